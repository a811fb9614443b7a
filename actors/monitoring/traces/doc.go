// Package traces keeps the traces that are worth looking at: those that were slow, and
// those that failed. It decides when a trace's first span of this process ends
// (tail sampling): until then its spans wait; then they are kept together, or forgotten.
//
// Where an OTLP collector is configured, spans go there too, all of them or a share by
// trace id, in batches and beside whoever made them.
//
// A [Recorder] is bounded everywhere: spans of a trace, traces that wait, traces that
// are kept. What is beyond a bound is counted and forgotten; recording a span never
// blocks and costs well below a microsecond while nothing is kept.
//
// # Other processes
//
// A process that does not run the monitoring-service has a [Recorder.Forwarder]: it sends
// the spans of what is kept below service.traces. (package relay). The
// [Recorder.Follower] of the monitoring-service puts spans of one trace together, whichever
// process they come from; one that comes twice is one. Each process decides by itself what
// is worth keeping: a call that was quick and did well in one process is not shown, though
// the trace was slow in another.
package traces
