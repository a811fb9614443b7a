//go:build !linux

package host

// kernelClock says nothing here: only Linux is asked.
func kernelClock(*Clock) error { return nil }

// maxOpenFiles is not known here.
func maxOpenFiles() uint64 { return 0 }
