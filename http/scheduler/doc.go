// Package scheduler is the façade of the scheduler-service: tasks, their runs, and
// when they are due. It holds no state: each request is one message to the branch,
// or a look at what the branch has published.
//
// A task has a revision, its entity tag. A change may name the one that it was made
// for in If-Match, and is refused with 412 when the task has another by now.
package scheduler
