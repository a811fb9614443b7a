// Package scheduler runs tasks when their cron expressions are due.
//
// # Authority
//
// The ledger (package ledger) is the truth about what was fired and what became of
// it; the bucket beside it holds the tasks. One process leads. There the leader
// reads both, and starts an actor for each task; that actor alone decides when its
// task is due, and what a run that is still under way means for the next one. What
// is due goes to the desk, which appends it to the ledger, in batches of what comes
// together; a run begins once its fire is acknowledged there. A result counts once
// it is acknowledged, too.
//
//	scheduler
//	├─ desk        appends fires and results, one batch of each in flight; wakes tasks,
//	│              and tells them what was recorded, a few at a time
//	├─ task        one actor a task
//	│  └─ <id>
//	└─ leader      the lease; reads ledger and tasks; changes tasks
//
// # What is promised
//
// Each nominal time of a task is recorded exactly once: as a fire, or as skipped, or
// as part of a span that was missed. The target of a fire is called at least once,
// with the same Idempotency-Key (task@nominal time) each time; the effect is once if
// the target honours it.
//
// # States of the branch
//
//	         lease           ledger and tasks read
//	waiting ───────▶ loading ──────────────────────▶ leading
//	   ▲                │ failed: again, later           │ lease lost, or fenced
//	   └────────────────┴────────────────────────────────┘
//
// While another node has the lease a branch waits, ready and healthy, and answers
// nothing about tasks. One that has lost the lease puts aside what has not begun;
// what runs goes on, and whoever leads next calls its targets again.
//
// A task is pending until its first run, running while one is under way, and then
// what the last run came to (completed, failed, cancelled); paused lies over these.
//
// A run is under way from the record of its fire to that of its result.
//
// # Failure
//
// While the ledger cannot be written nothing fires, and health fails. When it can be
// again, times that are older than misfire_grace are missed, and treated as the task
// says. After a crash a fire without a result is run again. An actor that fails is
// restarted and goes on from the ledger.
package scheduler
