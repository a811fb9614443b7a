// Package tasks is a queue of work for whoever asks for it: submitted once, given to
// one worker at a time, repeated until it is done or dead.
//
// # Authority
//
// The work itself is a message of the stream TASKS, a work queue: tasks.<queue>. What
// is known of a task is a record in the bucket tasks of the program's account, changed
// by compare-and-set. The message is written first, so a task that was acknowledged is
// always worked on; the record may be made by whoever takes the message.
//
// # States
//
//	         claimed             complete
//	queued ───────────▶ running ───────────▶ succeeded
//	  ▲ │ cancel        │  │  │ fail, or the lease ends
//	  │ ▼               │  │  ▼
//	  │ cancelled ◀─────┘  │ retrying ──after the pause──▶ running
//	  │      cancel        │  │ no attempt left
//	  │                    ▼  ▼
//	  └──── retry ─────── dead            and a letter in DLQ, with the reason
//
// A worker holds a lease: it reports progress before the lease ends, or the task goes
// to the next one. Pauses between attempts double.
//
// # Failure
//
// Everything is at least once. A worker that dies in the middle is found out when its
// lease ends; the last attempt that ends so makes the task dead, by the server's own
// count of deliveries. Two workers may finish the same task when a lease ended too
// early: the first result counts. A task that is submitted again with its
// Idempotency-Key is the same task for as long as its record is kept.
package tasks
