// Package storage is the store's branch of the tree: it brings the journal into the
// store, keeps the store in order, and answers questions and writes.
//
// # Authority
//
//	root/storage
//	├─ reader/<shard>   the only writer of its shard into the engine
//	├─ lifecycle        what time brings due: merging, unlinking, verifying
//	└─ router           queries, and writes of clients
//
// The engine belongs to whoever made it, and outlives the branch. A reader has
// three goroutines, which live and end with its incarnation:
//
//	pump      journal ──read, decode──▶ parcels (3, so reading is at most that far ahead)
//	applier   parcels ──Apply──▶ visible; Seal when due
//	publisher sealed ──Publish──▶ durable ──▶ registration, purge
//
// A store that cannot publish fills its backlog; then the applier waits, the pump
// with it, and the journal keeps what comes: nothing reaches back to a socket.
//
// # States of a reader
//
//	          registered               stop              all published
//	opening ────────────▶ reading ────────────▶ draining ─────────────▶ stopped
//	                         │ crash: opening again
//	                         │ fault
//	                         ▼
//	                      faulted ── restarted by hand ──▶ opening
//
// Where others keep full copies (Options.Peers), opening includes copying what the journal
// has forgotten. Where others bring the journal into the same store (Options.Share), it
// includes standing by until it is this process's turn; who loses the turn opens again.
//
// Reading begins behind the store's saved position; messages that the engine has
// applied already, as after a crash of the reader alone, are read over. Both
// together make every batch count once.
//
// # Operations
//
// Archives and cleanups run one at a time and outlive whoever asked for them. The last
// ones are noted in a file, written whole before anybody is told of a change, so that
// the next process knows them; it queues again what a client had asked for and the
// end of the process cut off:
//
//	queued ─▶ running ─▶ succeeded | failed
//	   ▲         │ the process ends
//	   └─────────┴─▶ interrupted          at most three times, then for good
//
// # Failure
//
//   - The journal is away: the reader waits and tries again.
//   - The journal cannot be read on (persistence/journal.Fault), or a record cannot
//     be stored: the reader fails, which the tree shows with its reason, and its
//     next incarnation stays in the state faulted. [Handle.Health] fails. Queries
//     answer from what there is. Nothing is skipped.
//   - Publish fails (disk full): it is repeated with backoff; [Handle.Health] warns,
//     and fails while the reader waits for it.
//   - A full journal, missing credit: a write is refused with an
//     [UnavailableError], which says when to try again.
//
// # Leases
//
// A query's rows are a lease: they pin one view of the store, belong to whoever
// asked, and must be closed. When the asker has left before they came, they are
// closed for him. Their number is bounded.
package storage
