// Package live brings proven records to those who follow them: the clients of
// the WebSocket and of the server-sent events. It has no socket and knows no
// protocol; a façade connects a [Client], subscribes it and writes what it takes.
//
// # Authority
//
// The stream actor alone says what happened and in which order: it hands each
// record to its [Source] on its own goroutine, never waits, and begins every
// follower itself, between two steps. So what a follower gets first (the book, the
// last known state) and what follows it fit together exactly: nothing is lost
// between them and nothing comes twice. The relay, one goroutine, alone knows who
// follows what; a [Client] alone decides what becomes of records that its reader
// is too slow for.
//
//	stream actor ──Publish──► queue ──► relay ──push──► client's queue ──Take──► socket
//	     ▲                                │ one for all      one each, bounded
//	     └──────────── ask to begin ──────┘
//
// A record is encoded once; every client writes the same bytes.
//
// # A follower of one stream and kind
//
//	          the stream's actor begins it          too far behind
//	asked ─────────────────────────────────► following ───────────► behind
//	                                             ▲                     │ its reader is back
//	                                             └────── begun anew ◄──┘
//
// # Queues and what happens when they are full
//
//   - From the actors to the relay: [Config.RelayRecords]. Beyond it everything of
//     the stream concerned is dropped until the relay has caught up, counted; then
//     its books are begun anew and those who follow its other kinds are ended with
//     [CodeOverloaded].
//   - A client's: by kind, as [Policy] says. Book changes and states coalesce,
//     records that must not be left out end the client with [CodeSlow]. A client's
//     queue holds pointers to shared bytes.
//
// No queue makes its writer wait. One client that does not read costs the others
// nothing: what it is pushed is bounded work, and merging is done by its own
// reader.
//
// # Replay
//
// What those with a replay (server-sent events) follow is kept in one bounded
// ring, numbered by the relay, and for [Config.ReplayFor] after the last of them
// has left. Who comes back with the number of the last event it had gets what came
// after it, or is told that this cannot be had and begins anew.
//
// # Several nodes
//
// A stream's actor runs on one node. A client of another node is given what this one
// has by a [Foreign]: as messages, in their order, which are put into the client's queue
// and numbered there. Each node's queue to the other is bounded as every client's is,
// and whoever gives waits while too much waits for the client, so that a client that is
// too slow is so at every node. What becomes of a node that is lost is the façade's to
// see; it ends those that were given something by it.
//
// # Stop and failure
//
// The relay is an actor's goroutine. A panic in it ends every client with
// [CodeInternal], because nobody knows what they have been given; the supervisor
// starts it again. A stream that ends says so to its followers.
package live
