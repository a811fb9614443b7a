package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/marketprism/marketprism/persistence/journal"
)

const (
	// lookEvery is how often the journal is asked where it ends, lookAgain after it has
	// not said so.
	lookEvery = 2 * time.Second
	lookAgain = 250 * time.Millisecond
	// lookWithin bounds one question.
	lookWithin = 5 * time.Second
)

// freshness is up to when a shard's queries see everything that the journal had. The
// journal's end is what a majority says of it: a node that is cut off with a copy of the
// journal reads that to its end, and does not know that the others have gone on. It is
// safe for concurrent use.
type freshness struct {
	mu sync.Mutex
	// since is a moment at which the journal ended with seen, all of which is applied;
	// zero while there was none since the start.
	since time.Time
	seen  uint64
	// asked is a moment at which it ended with end, which is not applied; zero for none.
	asked time.Time
	end   uint64
	// why is what became of the last question.
	why error
}

// heard takes what the journal said when it was asked at a moment: its end, or why it did
// not.
func (f *freshness) heard(at time.Time, end, applied uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why = err
	f.settle(applied)
	if err == nil && f.asked.IsZero() {
		f.asked, f.end = at, end
		f.settle(applied)
	}
}

func (f *freshness) settle(applied uint64) {
	if !f.asked.IsZero() && applied >= f.end {
		f.since, f.seen, f.asked = f.asked, max(f.seen, f.end), time.Time{}
	}
}

// at is up to where queries see everything, and the moment at which that was all; zero
// when it is not known of any. why is what hinders it from being known of now.
func (f *freshness) at(applied uint64) (seen uint64, since time.Time, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle(applied)
	switch why = f.why; {
	case why != nil:
	case !f.asked.IsZero():
		why = fmt.Errorf("the store has the journal up to %d, and that went up to %d", applied, f.end)
	case f.since.IsZero():
		why = errors.New("the journal has not been asked yet")
	}
	return max(f.seen, applied), f.since, why
}

// watch asks again and again where a shard of the journal ends, as long as ctx lasts.
func (h *Handle) watch(ctx context.Context, p *progress) {
	for {
		pause := lookEvery
		at := time.Now()
		end, applied, err := h.look(ctx, p)
		p.fresh.heard(at, end, applied, err)
		if err != nil {
			pause = lookAgain
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// look returns where a shard of the journal ends, and up to where queries see it.
func (h *Handle) look(ctx context.Context, p *progress) (end, applied uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	engine := h.options.Engine
	if err := p.faulted(); err != nil {
		return 0, engine.Applied(p.shard), err
	}
	j, err := h.options.Journal(ctx)
	if err != nil {
		return 0, engine.Applied(p.shard), err
	}
	if from := engine.Position(p.shard); from.JournalID != "" && from.JournalID != j.ID() {
		return 0, engine.Applied(p.shard), journal.ErrOtherJournal
	}
	st, err := j.State(ctx, p.shard)
	if err != nil {
		return 0, engine.Applied(p.shard), err
	}
	if p.standby() != "" { // what others have brought there, their queries see and ours too
		if err := h.reachedElsewhere(ctx, p, p.shard, st.Last); err != nil {
			return 0, engine.Applied(p.shard), err
		}
		return st.Last, max(st.Last, engine.Applied(p.shard)), nil
	}
	return st.Last, engine.Applied(p.shard), nil
}

// Freshness is how much of the journal a query sees that is asked now.
type Freshness struct {
	// Applied is, of each shard, the sequence up to which it sees everything.
	Applied []uint64
	// Stale is why it may lack what the journal has had for longer than
	// Config.StaleAfter; nil when it does not.
	Stale error
	// Age is how long ago the journal had no more than the query sees, in that shard for
	// which it is longest; 0 when it is not known of any moment since the start.
	Age time.Duration
}

// Freshness says how much of the journal a query sees that is asked now. It asks nobody.
func (h *Handle) Freshness() Freshness {
	var f Freshness
	var stale []error
	unknown := false
	now := time.Now()
	for _, p := range h.shards {
		seen, since, why := p.fresh.at(h.options.Engine.Applied(p.shard))
		f.Applied = append(f.Applied, seen)
		if since.IsZero() {
			unknown = true
			stale = append(stale, fmt.Errorf("shard %d: %w", p.shard, why))
			continue
		}
		age := now.Sub(since)
		f.Age = max(f.Age, age)
		if age > h.options.Config.StaleAfter {
			stale = append(stale, fmt.Errorf("shard %d: %w", p.shard, why))
		}
	}
	if unknown {
		f.Age = 0
	}
	f.Stale = errors.Join(stale...)
	return f
}
