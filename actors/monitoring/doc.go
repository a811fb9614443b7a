// Package monitoring watches the program from inside: it asks every service how it
// is, reads the figures of the machine, and keeps what it has seen.
//
// # Authority
//
// The branch root/monitoring decides nothing about the others. Its checker asks the
// /health of every instance that the registry knows, and alone says whether a service
// is healthy, unhealthy or unreachable; its sampler reads the machine. What they find
// is kept by the [Handle], which outlives them and answers the façade without asking
// an actor: how each service is, how it was, the last figures, reports.
//
//	monitoring
//	├─ checker   asks every instance, each interval or when it is told to
//	├─ sampler   CPU, memory, disks, network, files, clock
//	└─ …         what else watches: series, rules, alerts
//
// # States of a service
//
//	            answers well                 answers ill, or not at all
//	unknown ───────────────────▶ healthy ◀────────────────────────────▶ unhealthy
//	   │                            ▲                                        ▲
//	   │ nobody there               └──────────────▶ unreachable ◀───────────┘
//	   └──────────────────────────────────────────────────▲
//
// A service of several instances is healthy as long as one is, and degraded when not
// all are, or when one says so itself. One that was never reached since the start may
// run nowhere: that is a warning; one that was reached and is not any more is a
// failure.
//
// # Failure
//
// A check that gets no answer within its timeout counts as unreachable, and holds up
// no other. The checker has one round under way at a time; who asks for one meanwhile
// gets the next. What is kept is bounded: the last checks of each service, the last
// changes, the last reports. None of it outlives the process; metrics do, elsewhere.
package monitoring
