// Package monitoring is the façade of the monitoring-service: the health of every
// service, the machine, the supervision tree as it is and as it changes, reports.
//
// It holds no state: the branch keeps what it has seen, and the tree is its own
// registry; both may be read at any time without asking an actor. A follower of events
// that is too slow loses none: the history fills the holes, as far as it reaches.
//
// GET /health is the aggregate: one check for each other service, with the cause of its
// failure, beside the process's own. It says what the last round of checks found and
// asks nobody, so that it is cheap and cannot wait for a service that hangs.
package monitoring
