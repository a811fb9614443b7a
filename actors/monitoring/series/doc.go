// Package series keeps the samples of metrics in memory: the store below the
// PromQL engine.
//
// # Authority
//
// A [Store] is the only copy of what was scraped and of what rules recorded. It is
// bounded three ways (series, samples, age) and does not survive the process: the
// state of alerts, which has to, is kept elsewhere.
//
// # A series
//
//	        Series            Append             not appended to for Idle,
//	(none) ───────▶ resolved ───────▶ appended   room is needed, or all its samples are
//	                                     │       older than Retention
//	                                     └──────────────────────────▶ collected
//
// Samples are compressed in chunks of 120 (Gorilla: delta of delta for times, XOR
// for values). A sample must be later than the last one of its series; an equal or
// earlier one is refused and counted, but for an exact repetition, which does
// nothing. A [Stale] value ends a series until its next sample, so that a query does
// not look back beyond it.
//
// Whoever appends holds a [Ref]. A collected series refuses its old Ref with
// ErrCollected; the caller resolves it anew.
//
// # Failure
//
// A full store refuses new series, or samples, and counts them; what it holds stays
// readable. Reading never blocks writing for longer than the copy of one chunk.
// A reader sees each series as it is when it comes to it: of a scrape that is being
// appended it may see a part.
package series
