// Package outbox publishes the program's events.
//
// # Authority
//
// An [Outbox] takes events from anybody, without blocking, into a bounded queue; the
// actor root/broker/events publishes them, in order, into the stream that keeps them:
// one that comes by itself at once, those that come within a tenth of a second together,
// as one batch under one sync. A server or a stream that takes no batches gets them one
// by one.
//
// An event beyond the queue is dropped and counted: what is said of the program's life
// never holds that life up.
//
// # Failure
//
// While the broker is down what was to be published is tried again and the rest waits; an
// event's id is that of its message, so nothing is stored twice. A stop publishes what
// waits, within the actor's time to stop.
package outbox
