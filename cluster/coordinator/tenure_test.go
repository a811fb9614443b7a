package coordinator_test

import (
	"context"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/actors/bucket"
)

// muffled is a store whose changes are not heard for a while, and then only the last of
// each key.
type muffled struct {
	bucket.Store

	mu   sync.Mutex
	deaf bool
	held map[string]bucket.Change
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
			m.held[c.Key] = c
			return
		}
		each(c)
	})
}

func (m *muffled) deafen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf, m.held = true, map[string]bucket.Change{}
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
// plan it has them again: the only one that it hears of. It begins them anew, and the
// other one lets them go.
func TestCutOffMeanwhile(t *testing.T) {
	s := newSite(t)
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	plans := s.plans
	ears := &muffled{Store: plans}
	s.plans = ears
	b := s.start("b")
	s.plans = plans
	s.await("two nodes to share", s.spread(a, b))
	s.mu.Lock()
	epoch := b.share.Epoch
	s.mu.Unlock()

	ears.deafen()
	s.change(func() { s.divided = true })
	members, alive := s.members, s.alive
	s.gone(&s.members, "b")
	s.gone(&s.alive, "b")
	s.await("the streams of the one that is cut off to be taken", func() bool { return s.spread(a)() && a.share.Revision > b.share.Revision })
	s.change(func() { s.members, s.alive = members, alive })
	s.await("the next plan", func() bool { return len(a.share.Streams) < len(s.ids) })
	s.change(func() { s.divided = false })
	ears.hear()
	s.await("two nodes to share again", s.spread(a, b))
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.share.Epoch <= epoch {
		t.Errorf("it begins anew with epoch %d, as before", b.share.Epoch)
	}
}
