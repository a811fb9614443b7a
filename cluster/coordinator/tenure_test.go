package coordinator_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/actors/bucket"
)

// muffled is a store whose changes are not heard for a while, and then all in order, or
// only the last of each key.
type muffled struct {
	bucket.Store
	last bool

	mu   sync.Mutex
	deaf bool
	held []bucket.Change
	each func(bucket.Change)
}

// Watch implements bucket.Store.
func (m *muffled) Watch(ctx context.Context, prefix string, each func(bucket.Change)) error {
	m.mu.Lock()
	m.each = each
	m.mu.Unlock()
	return m.Store.Watch(ctx, prefix, func(c bucket.Change) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.deaf {
			if m.last {
				m.held = slices.DeleteFunc(m.held, func(old bucket.Change) bool { return old.Key == c.Key })
			}
			m.held = append(m.held, c)
			return
		}
		each(c)
	})
}

// Get implements bucket.Store: who is cut off reads nothing by itself either.
func (m *muffled) Get(ctx context.Context, key string) (bucket.Document, bool, error) {
	m.mu.Lock()
	deaf := m.deaf
	m.mu.Unlock()
	if deaf {
		return bucket.Document{}, false, bucket.ErrUnavailable
	}
	return m.Store.Get(ctx, key)
}

func (m *muffled) deafen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf = true
}

// hear tells what was held back.
func (m *muffled) hear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf = false
	for _, c := range m.held {
		m.each(c)
	}
}

// TestCutOffMeanwhile: a node is cut off, another takes its streams, and by the next
// plan it has them again. It begins them anew, and the other one lets them go; also when
// it hears of the last plan alone.
func TestCutOffMeanwhile(t *testing.T) {
	for name, last := range map[string]bool{"both plans": false, "the last plan": true} {
		t.Run(name, func(t *testing.T) { cutOffMeanwhile(newSite(t), last) })
	}
}

func cutOffMeanwhile(s *site, last bool) {
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	plans := s.plans
	ears := &muffled{Store: plans, last: last}
	s.plans = ears
	b := s.start("b")
	s.plans = plans
	s.await("two nodes to share", s.spread(a, b))
	s.mu.Lock()
	epoch := b.share.Epoch
	s.mu.Unlock()

	ears.deafen()
	s.change(func() { s.divided = true })
	members, alive := slices.Clone(s.members), slices.Clone(s.alive)
	s.gone(&s.members, "b")
	s.gone(&s.alive, "b")
	s.await("the streams of the one that is cut off to be taken", func() bool { return s.spread(a)() && a.share.Revision > b.share.Revision })
	c := s.start("c") // and has some of them from now on
	s.await("two others to share", s.spread(a, c))
	s.change(func() {
		s.members, s.alive = append(members, s.members[len(s.members)-1]), append(alive, s.alive[len(s.alive)-1])
	})
	s.await("the next plan", func() bool { return len(a.share.Streams)+len(c.share.Streams) < len(s.ids) })
	s.change(func() { s.divided = false })
	ears.hear()
	s.await("three nodes to share", s.spread(a, b, c))
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.share.Epoch <= epoch {
		s.Errorf("it begins anew with epoch %d, as before", b.share.Epoch)
	}
}
