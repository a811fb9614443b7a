// Package notify tells people what fires: it takes alerts from the rule engine, leaves
// out what is silenced or explained by another alert, groups the rest, and tells
// receivers, once.
//
// # Authority
//
// The dispatcher alone decides who is told what and when. What it decides by is a
// [Config] that does not change while it runs, the alerts that the rule engine repeats
// at every evaluation, the silences, and the notification log: what each destination
// was told last of each group. Silences, log and the alerts that fire are documents in
// the cluster's bucket and outlive every process. Of several nodes, the one with the
// lease tells.
//
//	notify
//	├─ dispatcher        alerts, groups, the log
//	├─ silences          follows the bucket, removes what has expired long ago
//	├─ <receiver>…       one a destination: a queue, and attempts
//	└─ alertmanager…     forwards every alert to a real Alertmanager
//
// # The way of an alert
//
//	accepted ─▶ route ─▶ group ── group_wait ─▶ look ─▶ inhibited? silenced? ─▶ new, or repeat? ─▶ told
//	                                ▲                                                        │
//	                                └─────────────────── group_interval ◀────────────────────┘
//
// # States of the dispatcher
//
//	           lease            log read, or unreadable for long
//	waiting ─────────▶ loading ─────────────────────────────────▶ telling
//	   ▲                                                             │ lease lost
//	   └─────────────────────────────────────────────────────────────┘
//
// # Failure
//
// A message that cannot be told is tried again until the group's next turn, which
// begins anew with what is true by then; so nothing waits for ever and nothing is
// forgotten, and an alert that ends before anybody was told is not told at all. A
// destination that is slow holds up no other. A crash between telling and writing that
// down tells once more after the restart: the promise is at least once, and twice only
// then. Without the bucket alerts are told all the same: a repeat is better than
// silence. An alert of which the rule engine speaks no longer is resolved at its
// Until.
package notify
