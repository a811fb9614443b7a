// Package deadletters keeps the messages that consumers have given up, and gives them
// back.
//
// # Authority
//
// The actor root/broker/deadletters takes what the server says of messages that came
// max_deliver times without an acknowledgement, or were terminated. The server says it
// once, to whoever listens; the stream DLQ_NOTICES listens always, so nothing is
// missed while the actor is away. A notice carries no payload: the actor fetches the
// message by its sequence, puts it into the stream DLQ as a letter, and acknowledges
// the notice last. Several processes may do so at once.
//
// # A letter
//
// Its subject is dlq.<stream>.<consumer>.<sequence>.<time>, which names one message
// of one consumer; it is written only if there is none of it yet, and none was within
// the stream's window for duplicates, so a notice that is handled twice makes one
// letter, also when that was replayed in between. It has the message's headers, and
// what happened in headers of its own (Dead-Letter-…). Its id is its sequence in DLQ.
// The server gives a message up only when its consumer is asked for more; where nobody
// asks, the actor does, without taking anything.
//
//	message ─ max_deliver, or Term ─▶ notice ─▶ letter ─┬─ Replay ─▶ message, with the reason
//	                                                    └─ Remove, or the age of DLQ
//
// # Failure
//
// A message of a work queue is gone with its Term: a consumer that terminates over
// NATS leaves a letter without a payload, which says so. Over HTTP, Bury is called
// first. A crash between a replay and the removal of its letter replays it again: at
// least once, as everything here.
package deadletters
