package journal

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// silence is how long nothing is heard of a replica until it does not count: above the
// second between two of its leader's heartbeats, and below the four seconds after which
// replicas that hear nothing of a leader may elect another.
const silence = 3 * time.Second

// heard says whether the leader that answered hears a majority of the nodes that hold
// the stream. One that is cut off leads for another ten seconds, as far as it knows, and
// what it says of the stream is old: the others have gone on without it. While no leader
// is known to it, any of the nodes answers, with what it has.
func heard(info *jetstream.StreamInfo) error {
	if info.Cluster == nil || info.Config.Replicas < 2 {
		return nil
	}
	if info.Cluster.Leader == "" {
		return fmt.Errorf("%w: %s has no leader, as far as the node knows that answers for it", ErrUnavailable, info.Config.Name)
	}
	near := 1 // itself
	for _, r := range info.Cluster.Replicas {
		if !r.Offline && r.Active < silence {
			near++
		}
	}
	if near > info.Config.Replicas/2 {
		return nil
	}
	return fmt.Errorf("%w: %s, which answers for %s, hears %d of the %d nodes that hold it", ErrUnavailable, info.Cluster.Leader, info.Config.Name, near, info.Config.Replicas)
}
