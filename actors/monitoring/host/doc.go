// Package host reads the figures of the machine and of this process: CPU, memory,
// disks, network, open files and the clock.
//
// A [Reader] keeps what it needs to make rates of counters, and is used by one
// goroutine. What cannot be read is left out and named in [Sample.Missing]; a sample is
// never refused as a whole.
package host
