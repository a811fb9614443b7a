// Package audit keeps who did what to the running system: logins and refusals, users
// and keys, and what operators do to actors, streams, tasks and the store.
//
// # Authority
//
// The stream AUDIT of the program's own account is the log. It is bounded by age and
// size, oldest first, and nobody deletes or changes an entry; clients do not reach it.
// A [Log] takes entries from anybody and the actor root/broker/audit publishes them in
// order; every process of the program writes to the same stream.
//
// # States of an entry
//
//	Record ──▶ waiting ──▶ recorded
//	   │          └─ the broker is away: tried again until it takes it
//	   └─ more wait than the queue holds: dropped, counted, and written to the log
//
// # Failure
//
// [Log.Record] waits for the broker's acknowledgement, at most [Wait]: what is audited
// is on disk before its answer leaves, and an ailing broker holds no request up for
// longer. An entry that is dropped, or lost at a stop, is written whole to the
// program's log instead.
package audit
