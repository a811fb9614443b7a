//go:build !linux

package broker

import "errors"

// exchange makes two directories change places, at once.
func exchange(_, _ string) error { return errors.ErrUnsupported }
