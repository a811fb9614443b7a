package consul

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

const (
	// vitalsEvery is the time between two rounds of probes, confirmAfter that until the second
	// probe of whoever refused the first, and probesAtOnce how many a round has.
	vitalsEvery  = 250 * time.Millisecond
	confirmAfter = 100 * time.Millisecond
	probesAtOnce = 8
	// forgiveAfter is how many TTLs of heartbeats make up for a port that refuses.
	forgiveAfter = 2
)

// vitals find out which process has died sooner than its heartbeat is missed: the port
// that is open for as long as it lives refuses connections, which the host says that it
// ran on. A host that does not answer says nothing.
//
// It is Consul that knows who lives. Without it nobody is taken for dead; and who is, and
// whose heartbeats it has all the same, is not from then on, until its port has answered
// again.
type vitals struct {
	node *Node
	of   *directory // nil: nobody is watched

	mu    sync.Mutex
	dead  map[string]string // processes, by node; replaced at each change
	later context.Context   // ends when dead changes
	turn  context.CancelFunc

	since    map[string]time.Time // when each of the dead was found so
	excused  map[string]string    // processes whose port says nothing, by node
	watching int                  // where the next round begins
}

func newVitals(n *Node) *vitals {
	v := &vitals{node: n, of: n.directories[n.vital], since: map[string]time.Time{}, excused: map[string]string{}}
	v.later, v.turn = context.WithCancel(context.Background())
	return v
}

// now are the processes that are dead, by node; later ends when they change.
func (v *vitals) now() (dead map[string]string, later context.Context) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.dead, v.later
}

// alive takes the members of dead processes out of a list.
func (v *vitals) alive(members []Member) []Member {
	dead, _ := v.now()
	if len(dead) == 0 {
		return members
	}
	left := make([]Member, 0, len(members))
	for _, m := range members {
		if process, is := dead[m.Node]; !is || process != m.Meta[processMeta] {
			left = append(left, m)
		}
	}
	return left
}

func (v *vitals) publish(dead map[string]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if maps.Equal(v.dead, dead) {
		return
	}
	v.turn()
	v.dead = dead
	v.later, v.turn = context.WithCancel(context.Background())
}

// run probes until ctx ends.
func (v *vitals) run(ctx context.Context, log *zap.Logger) {
	tick := time.NewTicker(vitalsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		v.round(ctx, log)
	}
}

// round looks at some of those that are watched, and judges.
func (v *vitals) round(ctx context.Context, log *zap.Logger) {
	watched := v.watched()
	t := v.node.trust()
	dead, _ := v.now()
	dead = maps.Clone(dead)
	if dead == nil {
		dead = map[string]string{}
	}
	for node, process := range dead {
		if !v.listed(node, process) {
			delete(dead, node)
			delete(v.since, node)
		}
	}
	for node, process := range v.excused {
		if watched[node].Meta[processMeta] != process {
			delete(v.excused, node)
		}
	}
	refused := v.probe(ctx, v.next(watched))
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	for node, is := range refused {
		m := watched[node]
		process := m.Meta[processMeta]
		found := v.since[node]
		switch {
		case !is:
			delete(v.excused, node)
			delete(dead, node)
			delete(v.since, node)
		case v.excused[node] == process || !m.well: // or its directory judges
		case dead[node] == process:
			if t.knewAt(found) && t.accepted.Sub(found) > forgiveAfter*v.node.cfg.TTL {
				log.Warn("the port of a node refuses connections, and Consul has its heartbeats: it lives", zap.String("member", node))
				v.excused[node] = process
				delete(dead, node)
				delete(v.since, node)
			}
		case !t.steady.IsZero() && now.Sub(t.accepted) < v.node.cfg.TTL:
			log.Info("a node has died: its port refuses connections", zap.String("member", node))
			dead[node], v.since[node] = process, now
		}
	}
	v.publish(dead)
}

// watched are the others with a port that lasts, by node.
func (v *vitals) watched() map[string]peer {
	all := map[string]peer{}
	for _, m := range v.of.others() {
		if m.Meta[lastingMeta] != "" {
			all[m.Node] = m
		}
	}
	return all
}

// listed reports whether anything of a process is in a list yet: one that is dead stays so
// until the last of its heartbeats has run out.
func (v *vitals) listed(node, process string) bool {
	for _, d := range v.node.directories {
		if slices.ContainsFunc(d.others(), func(m peer) bool { return m.Node == node && m.Meta[processMeta] == process }) {
			return true
		}
	}
	return false
}

// died reports whether a node is dead, and has not begun anew.
func (v *vitals) died(node string) bool {
	dead, _ := v.now()
	process, is := dead[node]
	return is && !slices.ContainsFunc(v.of.others(), func(m peer) bool { return m.Node == node && m.Meta[processMeta] != process })
}

// next are the nodes of this round.
func (v *vitals) next(watched map[string]peer) []Member {
	all := make([]Member, 0, len(watched))
	for _, m := range watched {
		all = append(all, m.Member)
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Node, b.Node) })
	if len(all) <= probesAtOnce {
		return all
	}
	begin := v.watching % len(all)
	v.watching = begin + probesAtOnce
	return append(all[begin:], all[:begin]...)[:probesAtOnce]
}

// probe reports by node whose port refused a connection, and another one a moment later.
// Whoever did neither that nor answer is left out.
func (v *vitals) probe(ctx context.Context, members []Member) map[string]bool {
	refused := map[string]bool{}
	var mu sync.Mutex
	ctx, cancel := context.WithTimeout(ctx, confirmAfter+vitalsEvery)
	defer cancel()
	probes := supervise.NewCrew(ctx)
	for _, m := range members {
		probes.Go(func(ctx context.Context) {
			err := v.node.probe(ctx, m)
			if errors.Is(err, syscall.ECONNREFUSED) && wait(ctx, confirmAfter) {
				err = v.node.probe(ctx, m)
			}
			if is := errors.Is(err, syscall.ECONNREFUSED); is || err == nil {
				mu.Lock()
				defer mu.Unlock()
				refused[m.Node] = is
			}
		})
	}
	if err := probes.Wait(); err != nil {
		panic(err) // the supervisor starts it anew
	}
	return refused
}
