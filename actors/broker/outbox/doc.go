// Package outbox publishes the program's events.
//
// # Authority
//
// An [Outbox] takes events from anybody, without blocking, into a bounded queue; the
// actor root/broker/events publishes them, in order, into the stream that keeps them.
// An event beyond the queue is dropped and counted: what is said of the program's life
// never holds that life up.
//
// # Failure
//
// While the broker is down the first event is tried again and the rest wait; its id is
// that of the message, so nothing is stored twice. A stop publishes what waits, within
// the actor's time to stop.
package outbox
