// Package upstream chooses the instance of a service that answers a request.
//
// # Authority
//
// A [Pool] is one service: its instances, and what requests to it have shown. The
// actor of the service alone changes which instances there are ([Pool.Set]) and what
// probes have found ([Instance.Probed]); requests pick and report without asking it.
// A pool whose registry is gone keeps the instances that it has.
//
// # States of an instance
//
//	            2 probes fail                  Failures in a row, and
//	unknown ─┬────────────────▶ unhealthy      another one is there
//	         │ ◀────────────────    │     usable ──────────▶ ejected
//	         └──▶ usable ◀──────────┘        ▲                  │ after a while,
//	              a probe passes             └──────────────────┘ one request at a time
//
// Beside that each instance has a circuit breaker: closed, open for a while when too
// many of the last requests failed, half-open until a few have succeeded.
//
// An instance is picked among those that are usable and whose breaker lets requests
// through: two at random, of which the one with fewer requests under way. The last
// usable instance of a service is never ejected, and where all others are unhealthy an
// ejected one is used: its breaker decides.
//
// # Failure
//
// What counts as a failure is in [Outcome]: that an instance could not be reached, did
// not answer in time, broke off, or answered 500, 502, 504, or 503 without saying when
// to come back. A client that leaves says nothing about the instance.
package upstream
