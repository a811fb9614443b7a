package coordinator_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/marketprism/marketprism/actors/bucket"
)

// deaf is a bucket whose watches say nothing from a time on, as those do whose server is
// gone.
type deaf struct {
	bucket.Store
	silent *atomic.Bool
}

// Watch implements bucket.Store.
func (d deaf) Watch(ctx context.Context, prefix string, each func(bucket.Change)) error {
	return d.Store.Watch(ctx, prefix, func(c bucket.Change) {
		if !d.silent.Load() {
			each(c)
		}
	})
}

// TestOverdue: a node takes the plan that follows the loss of another although nobody
// tells it of any.
func TestOverdue(t *testing.T) {
	s := newSite(t)
	var silent atomic.Bool
	s.plans = deaf{s.plans, &silent}
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	b, c := s.start("b"), s.start("c")
	s.await("three nodes to share", s.spread(a, b, c))
	silent.Store(true)
	c.stop()
	s.change(func() { delete(s.nodes, "c") })
	s.gone(&s.alive, "c")
	s.gone(&s.members, "c")
	s.await("two nodes to share what there is", s.spread(a, b))
}
