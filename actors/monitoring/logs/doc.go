// Package logs keeps the last log lines of this process, and of others, to be asked
// for and followed.
//
// A [Ring] is bounded by lines and by bytes; the oldest go first. [Ring.Core] is a zap
// core that fills it: it never blocks and never fails, holds a lock for as long as it
// takes to put one line into a slice, and costs about a microsecond a line. A follower
// is woken, and reads what came since; one that is slower than the ring is long learns
// how many lines it missed.
//
// # Other processes
//
// A process that does not run the monitoring-service has a [Ring.Forwarder]: it publishes
// what is logged, in batches, below service.logs. (package relay). The [Ring.Follower] of
// the monitoring-service puts that into its own ring. Lines that come
// faster than they can be sent are overtaken by the ring, and counted as missed: a log
// never holds up what it tells about.
package logs
