// Package limit bounds what clients may ask of the gateway: how fast each of them
// asks, how much in a day, how much is under way at once, and how much is asked again.
//
// # Authority
//
// Everything is counted in this process, in memory of a fixed size, and forgotten when
// the process ends. Each type is safe for concurrent use and never blocks.
//
//	Rates        a token bucket for each client and rule
//	Quotas       a count for each client and day (UTC)
//	Concurrency  requests and streams under way
//	Budget       tries beyond the first, as a share of the requests
//
// # Failure
//
// A table that is full gives up what matters least: buckets that are full again, then
// the client that was not heard of for longest among a few. A client that is forgotten
// starts with a full bucket, so a table that is too small errs on the side of the
// client; [Rates.Evicted] counts it.
package limit
