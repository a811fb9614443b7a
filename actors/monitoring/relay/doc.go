// Package relay brings what a process keeps for people (lines of its log, traces) to the
// process of the monitoring-service, by the broker.
//
// A [Link] says how the two reach each other. The side that has something gives a [Source],
// which [Link.Sender] reads in batches and publishes below a subject of the stream
// SERVICE_LOGS, at most two batches a second while they are small; the other side takes
// them, in [Link.Follower], from some minutes before its start on.
//
// # Failure
//
// A batch that is not known to be taken is sent again, so one may come twice: the taker
// makes that harmless. While the broker is away a source forgets its oldest, and counts
// what; nothing of what is told about ever waits. A follower that loses its connection goes
// on behind the last message that it has read.
package relay
