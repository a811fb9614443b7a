package broker

import (
	"time"
	_ "unsafe" // for go:linkname
)

// How soon the nodes of the embedded broker elect another leader. nats-server has no
// option for it: it waits for 4 to 9 s, and beats once a second. That is longer than
// Consul takes to find a node dead, and nothing is placed or recorded meanwhile; what is
// dead is mostly found out by a connection that ends, so a third of it suffices. A node
// that pauses for longer loses what it leads, and nothing else. A version of the server
// that names these otherwise does not link.
const (
	electionAfter  = 2 * time.Second
	electionWithin = 4 * time.Second
	heartbeatEvery = 500 * time.Millisecond
)

//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

// Before the first server: its goroutines read them without a lock.
func init() {
	minElectionTimeout, maxElectionTimeout, hbInterval = electionAfter, electionWithin, heartbeatEvery
}
