// Package journal is the journal's branch of the tree: one recorder actor for each
// shard, the only way that records take into the journal on this node.
//
// # Authority
//
// A shard's intake belongs to its [Handle]: any goroutine puts entries into it,
// bounded by credit, and wakes the actor. From there on the actor alone decides:
// it encodes entries into the batch being built, and has one batch in flight,
// which a helper goroutine delivers. The next batch goes when the one before it
// is acknowledged; an idle recorder sends at once. While nobody waits for what is
// being built (persistence.Entry.Patient), the next batch also waits until
// batch_interval has passed since the last was sent: under steady traffic the
// records of that time share one sync, and the processor is left to the live
// plane. A full batch, one entry that somebody waits for, or a stop ends that
// pause. The entries that the actor has taken are kept beside it, so that whoever
// comes after a crash can account for them.
//
//	Record ──▶ intake ──▶ building ──Seal──▶ flight ──acknowledged──▶ Done(shard, seq)
//	  credit taken           │                 │                      credit returned
//	                         └── refused, stopped, crashed ──▶ Done(error)
//
// # States
//
//	          opened               full, disk full, refused
//	opening ─────────▶ accepting ───────────────────────────▶ refusing
//	                     │    ▲                                  │  ▲ probe fails
//	                     │    └────────── probe is stored ───────┘──┘
//	                stop ▼                                        │ stop
//	                  draining ──all acknowledged, or deadline──▶ stopped
//
// While it refuses, Record answers persistence.ErrRefusing and Accepting is false.
// The probe is a batch without records, sent once the shard has room for more than
// the next batch.
//
// A recorder asks whose journal it is (Options.Verify), before its first record and
// every few seconds. One that the store does not read is not written to: refusing,
// with persistence.ErrForeign, until it is joined to the store again. An
// acknowledgement under a place that was given before says the same. That nobody can
// say whose it is stops nothing that was going on.
//
// # Outcomes
//
// Done is called exactly once for each entry that Record took:
//
//   - nil: the journal has it, synced, at that shard and sequence;
//   - persistence.ErrJournalFull, ErrDiskFull, ErrTooLarge, ErrRefusing: certainly
//     not stored;
//   - persistence.ErrDoubt: it may be stored. A batch of unknown outcome is repeated,
//     the same bytes, for as long as give_up says; then it is abandoned, the
//     recorder goes on under a new incarnation, and a batch that was stored after
//     all is read like any other. The same holds for what is in flight when the
//     actor crashes, or its stop has to be cut short;
//   - persistence.ErrStopped: it was not sent, because the recorder stopped or
//     crashed.
//
// # Failure
//
// A crash of the actor costs what it had taken: the batch in flight is in doubt,
// the one being built is refused. The intake stays, and the next incarnation goes
// on with it.
package journal
