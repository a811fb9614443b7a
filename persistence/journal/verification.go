package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

// verify holds the journal as it is now against the position. A *Fault says
// that reading cannot go on; any other error, that the broker did not answer.
func (r *Reader) verify(ctx context.Context) error {
	st, err := r.journal.State(ctx, r.pos.Shard)
	switch {
	case errors.Is(err, ErrMissing):
		return r.persists(err)
	case errors.Is(err, ErrOtherJournal), errors.Is(err, ErrShards), errors.Is(err, ErrSettings), errors.Is(err, ErrVersion):
		return r.faultAt(r.pos.Seq, err)
	case err != nil:
		return err
	}
	if st.Last < r.pos.Seq {
		err := fmt.Errorf("%w: the last message is %d", ErrRolledBack, st.Last)
		if st.Replicas > 1 { // a node that comes back may lead before it knows that it must not
			return r.persists(err)
		}
		return r.faultAt(r.pos.Seq, err)
	}
	r.doubtSince = time.Time{}
	if st.First > r.pos.Seq+1 {
		return r.faultAt(r.pos.Seq+1, fmt.Errorf("%w: the first message is %d", ErrPurged, st.First))
	}
	return nil
}

// reportCut passes on what the broker cut off the journal when it started.
func (r *Reader) reportCut(ctx context.Context) error {
	if r.onCut == nil {
		return nil
	}
	bytes, err := r.journal.Cut(ctx, r.pos.Shard)
	if err == nil && bytes > 0 {
		r.onCut(bytes)
	}
	return err
}

// persists makes what one of several nodes may be wrong about a fault when it stays so.
func (r *Reader) persists(err error) error {
	if r.doubtSince.IsZero() {
		r.doubtSince = time.Now()
	}
	if time.Since(r.doubtSince) >= r.doubtFor {
		return r.faultAt(r.pos.Seq, err)
	}
	return err
}

// irregular finds out why seq came instead of the one after the position: the
// journal lacks it (a fault), or delivery lost it (begin again).
func (r *Reader) irregular(ctx context.Context, seq uint64) error {
	want := r.pos.Seq + 1
	if err := r.verify(ctx); err != nil {
		return err
	}
	s, err := copies.Known(ctx, r.journal.js, StreamName(r.pos.Shard))
	if err != nil {
		return fmt.Errorf("asking for stream %s: %w", StreamName(r.pos.Shard), err)
	}
	_, err = s.GetMsg(ctx, want)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return r.faultAt(want, fmt.Errorf("%w: %d comes after %d", ErrHole, seq, r.pos.Seq))
	}
	if err != nil {
		return fmt.Errorf("asking for message %d of %s: %w", want, StreamName(r.pos.Shard), err)
	}
	if r.losses++; r.losses > maxLosses {
		return r.faultAt(want, fmt.Errorf("%w: stored, but %d deliveries in a row left it out", ErrHole, r.losses))
	}
	return fmt.Errorf("delivery of %s went from %d to %d", StreamName(r.pos.Shard), r.pos.Seq, seq)
}

func (r *Reader) faultAt(seq uint64, err error) *Fault {
	return &Fault{Shard: r.pos.Shard, Seq: seq, Err: err}
}
