// Package consul is one node's part in a Consul datacenter: it announces what the
// node runs, knows where the others are, and takes leases.
//
// # Authority
//
// Consul says who is there and who holds a lease; what Consul does not say changes
// nothing. A member is given up for one of three reasons only: Consul, which knew us
// when it listed it, no longer does; or it is not well, and its port does not answer;
// or it has not been well for longer than the grace while Consul took our own
// heartbeats. So a Consul that is frozen, slow, gone or starts again without its data
// takes nobody from the list, and this node itself is never given up.
//
// # States of a member
//
//	 listed, passing          not passing, or not listed
//	──────▶ well ─────────────────────────────▶ suspected
//	          ▲                                   │  │ port closed, or Consul has known us
//	          └──────── passing again ────────────┘  │ without it, or beyond the grace
//	                                                 ▼
//	                                               gone
//
// # Failure
//
// Each announcement has a goroutine that repeats its heartbeat three times a TTL, and
// registers anew when Consul does not know it. Calls have a deadline; errors are
// logged when they begin and when they end, and are tried again, with a pause that
// grows and is spread. A lease that Consul cannot confirm stays: nobody else can take
// it from a Consul that does not answer, and whoever takes it from one that we do not
// reach is above us by its fencing number, which is the broker's.
//
// A lease is a session that hangs on the heartbeat of an announcement and has no TTL of
// its own: Consul allows none below 10 s and lets it run to twice that, while a heartbeat
// of 3 s that is missed ends the session at once. After that Consul gives the lease to
// nobody for a lock delay of a second.
package consul
