package coordinator_test

import (
	"context"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/cluster/placement"
)

// once is a lease that its holder never hears the end of, and has no second time.
type once struct {
	site  *site
	given chan struct{}
	ended chan struct{} // closed by the holder
}

// Acquire implements coordinator.Lease.
func (o once) Acquire(ctx context.Context) (<-chan struct{}, func(), error) {
	select {
	case <-o.given:
		return make(chan struct{}), sync.OnceFunc(func() { o.site.change(func() { close(o.ended) }) }), nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// TestTwoThatLead: who makes the plan loses sight of Consul, and with it of a node that
// leaves. Another has got its lease, and makes a plan without that node. The first one
// makes no more, though it goes on to believe in its lease and in the node: two would
// undo each other's plans for ever.
func TestTwoThatLead(t *testing.T) {
	s := newSite(t)
	old := once{site: s, given: make(chan struct{}, 1), ended: make(chan struct{})}
	old.given <- struct{}{}
	before := []placement.Node{{ID: "a", Weight: 1}, {ID: "b", Weight: 1}, {ID: "c", Weight: 1}}
	<-s.lease // nobody has the other one yet
	a := s.begin(&node{name: "a", lease: old, members: &before})
	b, c := s.start("b"), s.start("c")
	s.await("three nodes to share", s.spread(a, b, c))

	s.gone(&s.members, "c")
	c.stop()
	s.change(func() { delete(s.nodes, "c") })
	s.gone(&s.alive, "c")
	s.lease <- struct{}{}
	s.await("the one that led to make no more", func() bool {
		select {
		case <-old.ended:
			return true
		default:
			return false
		}
	})
	s.await("two nodes to have everything", s.spread(a, b))
}
