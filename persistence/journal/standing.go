package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
	"github.com/marketprism/marketprism/persistence"
)

// Compare holds a shard of the journal against what a store has read of it: pos is
// the store's durable position, applied the sequence that its queries see (at least
// pos.Seq). A store that never published anything (pos.JournalID is "") stands well
// with every journal. The state is good when err is nil or matches ErrOtherJournal,
// ErrRolledBack, ErrForked or ErrPurged; further errors: those of State.
func (j *Journal) Compare(ctx context.Context, pos persistence.Position, applied uint64) (State, error) {
	st, err := j.State(ctx, pos.Shard)
	if err != nil {
		return st, err
	}
	switch {
	case pos.JournalID == "":
		return st, nil
	case pos.JournalID != j.id:
		return st, fmt.Errorf("%w: the store was filled from %s, this is %s", ErrOtherJournal, pos.JournalID, j.id)
	case st.Last < max(pos.Seq, applied):
		return st, fmt.Errorf("%w: the store has %d, the last message is %d", ErrRolledBack, max(pos.Seq, applied), st.Last)
	case st.First > pos.Seq+1:
		return st, fmt.Errorf("%w: the store has %d, the first message is %d", ErrPurged, pos.Seq, st.First)
	}
	return st, j.forked(ctx, pos)
}

// forked looks whether the message at the position is the one that was read there.
// Mostly it is purged, and nothing can be said.
func (j *Journal) forked(ctx context.Context, pos persistence.Position) error {
	for incarnation, last := range pos.Recorders {
		if last.Seq != pos.Seq {
			continue
		}
		raw, err := j.message(ctx, pos.Shard, pos.Seq)
		if err != nil || raw == nil {
			return err
		}
		// A damaged message is no other message.
		e, err := parseEnvelope(raw)
		if err == nil && (e.incarnation != incarnation || e.n != last.N || e.sum != last.Sum) {
			return fmt.Errorf("%w: at %d stands batch %d of recorder %x, not %d of %x", ErrForked, pos.Seq, e.n, e.incarnation, last.N, incarnation)
		}
		return nil
	}
	return nil
}

// message fetches one message; nil when there is none at seq.
func (j *Journal) message(ctx context.Context, shard int, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := copies.Known(ctx, j.js, StreamName(shard))
	if err != nil {
		return nil, fmt.Errorf("asking for stream %s: %w", StreamName(shard), err)
	}
	m, err := s.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking for message %d of %s: %w", seq, StreamName(shard), err)
	}
	return m.Data, nil
}
