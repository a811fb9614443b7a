package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/brokertest"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/cluster/placement"
)

const patience = 30 * time.Second

// site is what the nodes of a test share: who is there, the lease, the plan.
type site struct {
	*testing.T
	broker *brokertest.Server
	plans  bucket.Store
	lease  chan struct{} // holds one while it is free
	config cluster.PlacementConfig
	epochs atomic.Int64
	ids    []string

	mu      sync.Mutex
	members []placement.Node
	alive   []placement.Node
	known   bool
	says    map[string]bool
	changed chan struct{} // closed at the next change of anything here
	nodes   map[string]*node
	// divided is while nodes may record what others have: they cannot be asked.
	divided bool
	forget  time.Duration // how long who is away is remembered
}

func newSite(t *testing.T) *site {
	s := &site{
		T: t, broker: brokertest.New(t, nil).Start(), plans: buckettest.New(), lease: make(chan struct{}, 1), config: cluster.DefaultPlacement(),
		known: true, changed: make(chan struct{}), nodes: map[string]*node{},
	}
	s.lease <- struct{}{}
	s.config.Settle, s.config.LetGo = 0, 2*time.Second
	for i := range 60 {
		s.ids = append(s.ids, fmt.Sprintf("binance/spot/COIN%d-USDT", i))
	}
	return s
}

// change changes something and wakes those who wait for that.
func (s *site) change(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *site) await(what string, ok func() bool) {
	s.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		s.mu.Lock()
		next, done := s.changed, ok()
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-next:
		case <-limit.C:
			s.Fatalf("waited in vain for %s", what)
		}
	}
}

// Acquire implements coordinator.Lease.
func (s *site) Acquire(ctx context.Context) (<-chan struct{}, func(), error) {
	select {
	case <-s.lease:
		return make(chan struct{}), sync.OnceFunc(func() { s.lease <- struct{}{} }), nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func (s *site) list(of *[]placement.Node) func() coordinator.Members {
	return func() coordinator.Members {
		s.mu.Lock()
		defer s.mu.Unlock()
		return coordinator.Members{Nodes: slices.Clone(*of), Known: s.known, Says: s.says, Changed: s.changed}
	}
}

// node is a collector without an exchange.
type node struct {
	site        *site
	name        string
	coordinator *coordinator.Coordinator
	system      *supervise.System
	share       coordinator.Share
	records     map[string]bool // false: it is made, and waits
	off         string          // a market that its settings do not enable
	refusals    int             // how often it fails to let go
	lease       coordinator.Lease
	members     *[]placement.Node // whom it knows of
	sharers     map[string]int    // of its address, by market
}

func (s *site) start(name string) *node { return s.startWithout(name, "") }

// startWithout starts a node that does not run a market.
func (s *site) startWithout(name, off string) *node {
	return s.begin(&node{name: name, off: off, lease: s, members: &s.members})
}

func (s *site) begin(n *node) *node {
	s.Helper()
	name := n.name
	n.site, n.records = s, map[string]bool{}
	var err error
	n.coordinator, err = coordinator.New(coordinator.Options{
		Config: s.config, Node: name, Cluster: "test", Collector: n, Plans: s.plans, Lease: n.lease, Members: s.list(n.members), Alive: s.list(&s.alive), ForgetAfter: s.forget,
		Epoch:   func(context.Context) (int64, error) { return s.epochs.Add(1), nil },
		Connect: func(ctx context.Context) (*nats.Conn, error) { return s.broker.ConnectAs(ctx, broker.Placement) },
	})
	if err != nil {
		s.Fatal(err)
	}
	if n.system, err = supervise.NewSystem(s.Context(), supervise.Options{}); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := n.system.Start(ctx, n.coordinator.Spec()); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(n.stop)
	one := placement.Node{ID: name, Weight: 1}
	s.change(func() {
		s.nodes[name] = n
		s.members, s.alive = append(s.members, one), append(s.alive, one)
	})
	return n
}

func (n *node) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.system.Stop(ctx); err != nil {
		n.site.Error(err)
	}
}

// ringing wakes those who wait whenever somebody hears of plans, or tries to.
type ringing struct {
	bucket.Store
	site *site
}

// Watch implements bucket.Store.
func (r ringing) Watch(ctx context.Context, prefix string, each func(bucket.Change)) error {
	r.site.change(func() {})
	return r.Store.Watch(ctx, prefix, func(c bucket.Change) {
		each(c)
		r.site.change(func() {})
	})
}

// gone takes a node from a list.
func (s *site) gone(of *[]placement.Node, name string) {
	s.change(func() {
		*of = slices.DeleteFunc(slices.Clone(*of), func(n placement.Node) bool { return n.ID == name })
	})
}

// Demand implements coordinator.Collector, as do those below.
func (n *node) Demand() (d coordinator.Demand) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	for _, id := range n.site.ids {
		if group := group(id); group != n.off {
			d.Streams = append(d.Streams, placement.Stream{ID: id, Group: group, Cost: 1, Slots: 1})
		}
	}
	return d
}

// group is the market of a stream.
func group(id string) string { return path.Dir(id) }

func (n *node) Markets() (all []coordinator.Market) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	for _, id := range n.site.ids {
		group := group(id)
		if group != n.off && !slices.ContainsFunc(all, func(m coordinator.Market) bool { return m.Group == group }) {
			all = append(all, coordinator.Market{Group: group, Kinds: []string{"trade"}})
		}
	}
	return all
}

func (n *node) Take(s coordinator.Share) error {
	n.site.change(func() {
		n.share = s
		for id, recording := range n.records {
			if _, mine := s.Streams[id]; !mine && !recording {
				delete(n.records, id)
			}
		}
		for id := range s.Streams {
			if _, had := n.records[id]; !had {
				n.records[id] = false
			}
		}
	})
	n.coordinator.Ready()
	return nil
}

func (n *node) Waiting() (ids []string) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	for id, recording := range n.records {
		if !recording {
			ids = append(ids, id)
		}
	}
	return ids
}

func (n *node) Recording() (ids []string) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	for id, recording := range n.records {
		if recording {
			ids = append(ids, id)
		}
	}
	return ids
}

func (n *node) Begin(ids, _ []string) {
	n.site.change(func() {
		for _, id := range ids {
			if _, made := n.records[id]; !made {
				continue // it was given up meanwhile
			}
			n.records[id] = true
			for _, other := range n.site.nodes {
				if other != n && other.records[id] && !n.site.divided {
					n.site.Errorf("%s begins %s while %s records it", n.name, id, other.name)
				}
			}
		}
	})
}

func (n *node) Yield(_ context.Context, ids []string, revision uint64) (seamless, refused []string, err error) {
	n.site.change(func() {
		if n.refusals > 0 {
			n.refusals--
			err = errors.New("not now")
			return
		}
		for _, id := range ids {
			_, mine := n.share.Streams[id]
			switch {
			case mine && n.share.Revision >= revision:
				refused = append(refused, id)
			case n.records[id]:
				seamless = append(seamless, id)
				fallthrough
			default:
				delete(n.records, id)
			}
		}
	})
	return seamless, refused, err
}

func (n *node) Streams() (recording, waiting int) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	for _, r := range n.records {
		if r {
			recording++
		} else {
			waiting++
		}
	}
	return recording, waiting
}

// spread reports whether each stream is recorded by one of some nodes, and each of them
// has its share.
func (s *site) spread(among ...*node) func() bool {
	return func() bool {
		for _, id := range s.ids {
			owners := 0
			for _, n := range among {
				if n.records[id] {
					owners++
				}
			}
			if owners != 1 {
				return false
			}
		}
		for _, n := range among {
			if n.off != "" {
				continue // it deserves less
			}
			if share := len(s.ids) / len(among); len(n.records) < share*8/10 || len(n.records) > share*12/10 {
				return false
			}
		}
		return true
	}
}

// TestStreamsMove: nodes join, one leaves in order, one dies, one hangs. No stream is
// ever begun while another node records it.
func TestStreamsMove(t *testing.T) {
	s := newSite(t)
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	b, c := s.start("b"), s.start("c")
	s.await("three nodes to share", s.spread(a, b, c))

	// b leaves: it is to have nothing more, and still lives.
	s.gone(&s.members, "b")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if left := b.coordinator.Leave(ctx); left != 0 {
		t.Errorf("%d streams are left on a node that has left", left)
	}
	s.await("two nodes to share", s.spread(a, c))
	s.gone(&s.alive, "b")
	b.stop()

	// c dies: it records nothing, and is in no list.
	c.stop()
	s.change(func() { clear(c.records) })
	s.gone(&s.members, "c")
	s.gone(&s.alive, "c")
	s.await("the last node to have everything", s.spread(a))

	// d joins, and hangs: it lives, and does not answer.
	d := s.start("d")
	s.await("two nodes to share again", s.spread(a, d))
	d.stop()
	s.change(func() { clear(d.records) })
	s.gone(&s.members, "d")
	s.await("what a silent node had to be taken", s.spread(a))
	plan, ok := a.coordinator.Plan()
	if !ok || len(plan.Owners) != len(s.ids) || plan.By == "" {
		t.Errorf("the plan: %v by %q with %d streams", ok, plan.By, len(plan.Owners))
	}
}

// TestBrokenBucket: plans that cannot be read or written change nothing, and afterwards
// all goes on.
func TestBrokenBucket(t *testing.T) {
	s := newSite(t)
	plans := buckettest.New()
	s.plans = ringing{plans, s}
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	plans.Break(errors.New("the broker is away"))
	b := s.start("b")
	s.await("the trouble to be told", func() bool { return a.coordinator.Err() != nil && b.coordinator.Err() != nil })
	s.mu.Lock()
	stayed := s.spread(a)()
	s.mu.Unlock()
	if !stayed {
		t.Error("streams moved without a plan")
	}
	plans.Break(nil)
	s.await("two nodes to share", s.spread(a, b))
	if err := a.coordinator.Err(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestAlone: where there is no plan and nobody can make one, a node takes everything;
// with the lease it makes the plan, and goes on with what it has.
func TestAlone(t *testing.T) {
	s := newSite(t)
	<-s.lease // nobody gets it
	s.known, s.config.Patience = false, 0
	a := s.start("a")
	s.await("everything to be taken", s.spread(a))
	if _, ok := a.coordinator.Plan(); ok {
		t.Error("there is a plan although nobody may write one")
	}
	s.change(func() { s.known = true })
	s.lease <- struct{}{}
	s.await("a plan", func() bool { return a.share.Revision > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.spread(a)() {
		t.Error("the plan took streams from the only node")
	}
}

// TestLetGoFails: a node that fails to let go is asked again, and its streams are not taken
// before it has.
func TestLetGoFails(t *testing.T) {
	s := newSite(t)
	s.config.LetGo = time.Minute // longer than this test waits
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	s.change(func() { a.refusals = 1 })
	b := s.start("b")
	s.await("two nodes to share", s.spread(a, b))
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.refusals != 0 {
		t.Error("it was not asked")
	}
}
