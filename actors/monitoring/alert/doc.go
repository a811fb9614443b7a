// Package alert is what the rule engine says to whoever notifies: the alerts of a
// rule group after one evaluation. It is plain data, safe to share once it was
// handed over, and imports nothing of ours.
//
// An alert is known by its labels: two alerts with the same labels are the same
// alert, and [Labels.Fingerprint] is its identity everywhere (notification log,
// silences, the API).
//
//	            condition holds       held for `for`
//	inactive ──────────────────▶ pending ───────────▶ firing
//	    ▲                           │                    │ condition gone, and
//	    │          condition gone   │                    │ `keep_firing_for` over
//	    ├───────────────────────────┘                    ▼
//	    └──────────────────────────────────────────── resolved (kept 15 min)
//
// An alert of which nothing is heard any more is resolved at its Until: a rule that
// was removed, or a rule engine that died, leaves no alert firing for ever.
package alert
