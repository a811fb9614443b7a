// Package rules evaluates rule files in Prometheus' format: recording rules, whose
// results become series, and alerting rules, whose results become alerts.
//
// # Authority
//
// The engine, one actor, owns all groups. A [Group] owns the state of its rules: which
// alerts are active, since when. Its results go to a series.Store, its alerts to an
// alert.Sink, which decides whom to tell. What an alert has to remember over a restart
// (since when it is active, since when its condition is gone) is in a [Memory].
//
// # States of an alert
//
//	            condition holds          held for `for`
//	inactive ─────────────────▶ pending ───────────────▶ firing ◀── condition holds ──┐
//	    ▲                          │                       │ condition gone           │
//	    │      condition gone      │                       ▼                          │
//	    ├──────────────────────────┘               keeps firing (`keep_firing_for`) ──┘
//	    │                                                  │ that is over
//	    └── 15 minutes ── resolved ◀───────────────────────┘
//
// Each evaluation writes ALERTS{alertstate} and ALERTS_FOR_STATE for every alert that
// is pending or firing, and ends the series of those that are not any more: a change
// from pending to firing ends the pending series, so that the two never coexist.
//
// # Time
//
// A group is evaluated at fixed points: multiples of its interval, moved by an offset
// that its name gives it. An evaluation that is still under way at the next point
// makes that one be left out, counted.
//
// # Restart
//
// Remembered alerts come back as they were. The time for which the program was down
// does not count towards `for`. Since the series of before are gone, a condition may
// seem to be gone, too, until enough has been scraped: until Config.Grace has passed,
// a remembered alert that fires stays so.
//
// # Failure
//
//   - A rule that cannot be evaluated keeps its alerts and series as they are; it has
//     health "err" and its error, until it can.
//   - A file with a fault changes nothing: all older rules stay, the fault is shown,
//     and mp_rule_reload_successful is 0.
//   - Alerts that nobody takes are handed over again at the next evaluation.
package rules
