// Package ledger is the truth about what the scheduler has fired and what became of
// it.
//
// # Authority
//
// One process leads; it alone appends. A [Writer] appends batches of fires and of
// results to two subjects of one JetStream stream, each under the expected last
// sequence of its subject: whoever appends although another has taken over since is
// refused ([ErrFenced]), and that is why a fire is recorded once. A [Book] is what
// the appended batches add up to. Nothing counts before it is acknowledged.
//
// # States of a writer
//
//	 Lead             batch acknowledged
//	──────▶ leading ───────────────┐
//	           ▲  └────────────────┘
//	           │ the same batch again     another's batch is last
//	        in doubt ◀── no answer ── leading ──────────────────▶ fenced, for good
//
// # Failure
//
// A batch whose outcome is unknown is repeated, the same bytes under the same id,
// until it is known. Snapshots of the book let the front of the stream be purged, up
// to and not including the last message of either subject: an append could never
// name its expected sequence again if that were gone. A stream that is full refuses,
// and forgets nothing.
package ledger
