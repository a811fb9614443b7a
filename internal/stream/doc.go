// Package stream is the step function of one instrument: decoded records go in;
// proven, stamped records, gap-ledger entries and requests come out. It does no
// I/O, starts nothing and reads no clock, so that the live collector and the
// normalize command run this same code, and the same input gives the same output.
//
// # Authority
//
// A [Stream] alone decides which records of its instrument are valid, what is
// known to be missing, and whether its book may be called live. Its owner feeds
// it, sends what it emits to the journal and carries out its requests.
//
// # The book's states
//
//	          request answered and spliced
//	Syncing ──────────────────────────────► Live ◄─────────┐
//	   ▲                                     │             │ spliced, or the
//	   │ first record, nothing known        │ hole,        │ missing change
//	   │                                     │ crossed,    │ arrived late
//	(start)                                  │ checksum,   │
//	                                         ▼ silence     │
//	                                       Stale ──────────┘
//
// Syncing has no book. Stale has the last proven one, frozen, and serves it as
// stale: what comes in is buffered, and a new snapshot is spliced beside it, so
// that nobody ever reads a half-built book.
//
// # What proves continuity
//
//   - trades: identifiers that rise by one ([Contiguous]);
//   - book changes: the exchange's own chain ([BookRules]), a checksum where there
//     is one, and that bids stay below asks;
//   - everything else: nothing, and its records are flagged unverifiable. Where a
//     number at least never falls ([Rising]), duplicates vanish.
//
// # Failure
//
// Nothing that a record holds makes a Stream fail: bad input becomes a gap, a
// count or a request. Memory is bounded: changes that wait for a snapshot, open
// holes and held ledger entries each have a limit, and passing it is recorded.
package stream
