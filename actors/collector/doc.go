// Package collector is the market-data collector: the branch of the tree that
// talks to exchanges, proves what they say, and hands it on.
//
//	collector
//	├─ live                   hands what streams publish to those who follow them; package live
//	├─ <exchange-market>      one branch each; restarts one child, fails upward beyond its intensity
//	│   ├─ rest               instruments, snapshots, missed trades, polled channels
//	│   ├─ backfill           the past, when it is asked for; one operation at a time
//	│   ├─ subscriptions      what is wanted -> stream and session actors
//	│   ├─ <SYMBOL>           stream actors: one instrument, proven by internal/stream
//	│   └─ session-<n>        one socket each
//	└─ intake                 stops first, and closes every socket before anything else stops
//
// # Authority
//
// The subscriptions actor alone decides which streams and sessions exist: the
// configuration, the most traded symbols, then the [Overlay] of changes made at
// run time, over the instrument table. Another configuration ([Collector.Reconfigure])
// reaches it as a message like any other; the branch of a market that is not
// enabled idles. A session actor owns one socket; what comes from it goes to
// the stream actors directly, on the session's goroutine, without passing any
// mailbox but theirs. A stream actor alone drives the step function of its
// instrument; it publishes to the live plane and records in the journal. A route
// joins a stream to those that send to it; it outlives the stream's incarnations
// and holds what others read of it (figures, the recent ledger).
//
// # States of a stream actor
//
//	         storage answered, or gave no answer in time
//	Resuming ──────────────────────────────────────────► Stepping ──► Draining ──► (stopped)
//	   ▲  holds what arrives, bounded                      │            open entry handed over,
//	   └───────────────── panic: a new incarnation ────────┘            all acknowledged or late
//
// A new incarnation asks storage what it last stored, after the entries of the
// one before are settled and the reader has applied the journal's end; what lies
// between is a gap of cause panic, or restart at the start of the process. The
// session keeps its socket, and no other stream notices. Data types that are added
// to a running stream are looked up in the same way; their records alone wait.
//
// # Backfills
//
// The backfill actor of a market runs the operations that were asked for, one after
// the other, each on a goroutine that it owns. An operation knows what the store
// knows and nothing else: it looks up what is there, asks the exchange for what is
// not, and waits until the journal has it. Its calls wait while the rest actor has a
// book or missed trades to fetch, and leave a share of the budget
// ([Config.BackfillShare]). It writes to the ledger about entries that are marked;
// open ones are the stream's. The operations outlive the actor's incarnations; one that
// was under way begins again.
//
// # Queues and what happens when they are full
//
//   - A stream's mailbox: the newest delivery is refused, counted, given back to
//     the session, and becomes a gap: sequences show it by themselves, other
//     channels are interrupted with cause no_credit.
//   - All mailboxes together: [Config.BacklogBytes]; then as above.
//   - Records that arrive while a stream resumes: held up to
//     [Config.HoldRecords], and all streams together up to [Config.BacklogBytes];
//     then as above.
//   - What must not be lost (journal refusals, REST answers, a session's events
//     that the mailbox refused) waits on the route's own lane. It is bounded by
//     what the stream itself has begun.
//   - Entries that fill up for the journal, all together: [Config.BacklogBytes]; they
//     are handed over as they are.
//   - Backfills: a thousand of a market wait; one more is refused.
//   - The journal: a refused entry becomes part of the ledger, which the stream
//     holds until the recorder accepts again. The live plane goes on.
//
// # Stop
//
// The intake stops first: every session closes its socket and no delivery comes
// any more. Then each stream handles what its mailbox holds, hands over its last
// entry and waits until the journal has acknowledged everything, up to
// [Config.ShutdownTimeout]. Open ledger entries stay open: the next start takes
// them up, fetches what it can, and marks the rest. They are marked at once
// (stream.Finish) only when a stream ends for good, by being unsubscribed.
package collector
