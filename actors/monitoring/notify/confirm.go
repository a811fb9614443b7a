package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
)

// errElsewhere: another node tells now, or has told of the group since this one knew
// last what was told.
var errElsewhere = errors.New("another node tells")

// blindness is since when the notification log could not be read.
type blindness struct {
	mu    sync.Mutex
	since time.Time // zero: it can be
}

// began notes a failure, and returns when the first of those in a row was.
func (b *blindness) began(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		b.since = now
	}
	return b.since
}

func (b *blindness) ended() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = time.Time{}
}

// confirm asks the cluster's log, right before a group is told, whether another node
// has been faster: who was suspended, or cut off, has lost the lease before it knows.
// While the log cannot be read nobody can say so; then it waits for loadPatience, for
// others to have their turn, and tells after all: a repeat is better than silence.
// Errors: errElsewhere, errFenced among it, and that of ctx.
func (h *Handle) confirm(ctx context.Context, o order) error {
	if h.alone() {
		return nil
	}
	for {
		if *h.standing.Load() != phaseTelling {
			return errElsewhere
		}
		err := h.ahead(ctx, o)
		if err == nil || errors.Is(err, errElsewhere) {
			h.blind.ended()
			return err
		}
		if now := h.options.Now(); now.Sub(h.blind.began(now)) >= loadPatience {
			h.metrics.storeFailures.Inc()
			return nil
		}
		timer := time.NewTimer(storeAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// ahead asks whether another has the lease by now, or has told of the group since this
// node knew last what was told. Errors: errElsewhere, errFenced, those of the store.
func (h *Handle) ahead(ctx context.Context, o order) error {
	ctx, cancel := context.WithTimeout(ctx, storeAgain)
	defer cancel()
	if err := h.fenced(ctx); err != nil {
		return err
	}
	d, there, err := h.options.Store.Get(ctx, entryKey(o.destination, o.group))
	if err != nil || !there {
		return err
	}
	last, err := entryOf(d)
	if err == nil && last.At.After(o.known) {
		return errElsewhere
	}
	return err
}

func entryOf(d bucket.Document) (entry, error) {
	var e entry
	if err := json.Unmarshal(d.Value, &e); err != nil {
		return e, fmt.Errorf("reading what was told: %w", err)
	}
	return e, nil
}
