package journal

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

// Purged is what one purge of a shard did.
type Purged struct {
	// First is the shard's first sequence afterwards.
	First uint64
	// Messages is how many were removed.
	Messages uint64
	// Readers is how many readers stay registered; without any, nothing is purged.
	Readers int
	// Unregistered are the readers that were too far behind another full copy.
	Unregistered []string
}

// Purge removes from a shard what every registered reader has stored: everything
// up to the lowest registered position, but never the last message. It may run on
// any node, and on several at once.
//
// A reader with a full copy of its own that is more than half of the journal's
// size behind is unregistered first, if another full copy is not that far behind;
// a sole copy never is. Error: ErrRolledBack when a reader has stored more than
// the journal holds; then nothing is purged.
func (g *Registry) Purge(ctx context.Context, shard int) (Purged, error) {
	readers, err := g.Readers(ctx, shard)
	if err != nil {
		return Purged{}, err
	}
	st, err := g.journal.State(ctx, shard)
	if err != nil {
		return Purged{}, err
	}
	done := Purged{First: st.First}
	for _, r := range readers {
		if r.Position > st.Last {
			return done, fmt.Errorf("%w: reader %s has stored shard %d up to %d, the journal ends at %d", ErrRolledBack, r.Reader, shard, r.Position, st.Last)
		}
	}
	kept, err := g.dropLaggards(ctx, readers, st, &done)
	if err != nil {
		return done, err
	}
	done.Readers = len(kept)
	if len(kept) == 0 || st.Messages == 0 {
		return done, nil
	}
	// Kept in the order of positions. WithPurgeSequence(n) keeps n itself.
	keep := min(kept[0].Position+1, st.Last)
	if keep <= st.First {
		return done, nil
	}
	if err := g.purge(ctx, shard, keep); err != nil {
		return done, err
	}
	done.First, done.Messages = keep, keep-st.First
	g.journal.metrics.purge(shard, done.Messages)
	return done, nil
}

func (g *Registry) purge(ctx context.Context, shard int, keep uint64) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := copies.Known(ctx, g.journal.js, StreamName(shard))
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSequence(keep))
	}
	if err != nil {
		return fmt.Errorf("purging %s up to %d: %w", StreamName(shard), keep, err)
	}
	return nil
}

// dropLaggards unregisters the full copies that are far behind another one, and
// returns who is left. One that advanced meanwhile stays.
func (g *Registry) dropLaggards(ctx context.Context, readers []Registered, st State, done *Purged) ([]Registered, error) {
	another := false
	for _, r := range readers {
		another = another || r.FullCopy && !farBehind(r.Position, st)
	}
	var kept []Registered
	for _, r := range readers {
		if !another || !r.FullCopy || !farBehind(r.Position, st) {
			kept = append(kept, r)
			continue
		}
		err := g.remove(ctx, fmt.Sprintf("%d.%s", r.Shard, r.Reader), r.revision)
		switch {
		case isConflict(err):
			kept = append(kept, r)
		case err != nil:
			return nil, err
		default:
			done.Unregistered = append(done.Unregistered, r.Reader)
			g.journal.metrics.unregister(r.Shard)
		}
	}
	return kept, nil
}

// farBehind says whether what is stored behind position takes more than half of
// the shard's size, all messages taken as equally large.
func farBehind(position uint64, st State) bool {
	if st.Messages == 0 || st.MaxBytes <= 0 || position >= st.Last {
		return false
	}
	behind := float64(min(st.Last-position, st.Messages)) / float64(st.Messages) * float64(st.Bytes)
	return behind > float64(st.MaxBytes)/2
}
