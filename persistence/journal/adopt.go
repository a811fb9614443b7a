package journal

import (
	"bytes"
	"context"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
	"github.com/marketprism/marketprism/persistence"
)

// Unread is what a journal holds that a store has not read.
type Unread struct {
	// Messages with Rows records were found; Damaged could not be read.
	Messages, Rows, Damaged int
	// Last is the shard's last sequence when it was looked through.
	Last uint64
	// Recorders are those of the position and of every message: with it, recorders
	// that go on where the journal ends are followed.
	Recorders map[persistence.Incarnation]persistence.RecorderBatch
}

// FindUnread goes through everything that a shard holds, whatever its place, and
// hands each batch that pos does not include, by the recorders' numbers, to keep, as
// it was written. It is for a journal that does not belong to the position
// ([IsForeign]); one that does is read by a [Reader].
func (j *Journal) FindUnread(ctx context.Context, pos persistence.Position, keep func(raw []byte) error) (Unread, error) {
	st, err := j.State(ctx, pos.Shard)
	if err != nil {
		return Unread{}, err
	}
	u := Unread{Last: st.Last, Recorders: maps.Clone(pos.Recorders)}
	if u.Recorders == nil {
		u.Recorders = map[persistence.Incarnation]persistence.RecorderBatch{}
	}
	for seq := st.First; st.Messages > 0 && seq <= st.Last; seq++ {
		raw, err := j.message(ctx, pos.Shard, seq)
		if err != nil {
			return u, err
		}
		if raw == nil {
			continue
		}
		e, err := parseEnvelope(raw)
		if err != nil {
			u.Damaged++
			continue
		}
		have := pos.Recorders[e.incarnation]
		if e.n < have.N || e.n == have.N && e.sum == have.Sum {
			continue
		}
		if u.Recorders[e.incarnation].N <= e.n {
			u.Recorders[e.incarnation] = persistence.RecorderBatch{N: e.n, Seq: seq, Sum: e.sum}
		}
		if e.rows == 0 {
			continue
		}
		u.Messages++
		u.Rows += int(e.rows)
		if err := keep(raw); err != nil {
			return u, err
		}
	}
	return u, nil
}

// SkipTo drops everything that a shard holds up to and including seq, which must
// not be below its last sequence, and makes the next message seq+1.
func (j *Journal) SkipTo(ctx context.Context, shard int, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := copies.Known(ctx, j.js, StreamName(shard))
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSequence(seq+1))
	}
	if err != nil {
		return fmt.Errorf("making %s go on behind %d: %w", StreamName(shard), seq, err)
	}
	st, err := j.State(ctx, shard)
	if err != nil {
		return err
	}
	if st.First > seq+1 || st.Last < seq {
		return fmt.Errorf("making %s go on behind %d: it now holds %d to %d", StreamName(shard), seq, st.First, st.Last)
	}
	return nil
}

// Replay writes a batch that was taken out by FindUnread, or made by Envelope, to
// the shard, under the recorder's next number.
func (r *Recorder) Replay(ctx context.Context, raw []byte) error {
	e, err := parseEnvelope(raw)
	if err != nil {
		return err
	}
	o, err := newOpener()
	if err != nil {
		return err
	}
	payload, err := o.open(&e)
	if err != nil {
		return err
	}
	if _, err := r.Seal(payload, int(e.rows)); err != nil {
		return err
	}
	if _, err := r.Deliver(ctx); err != nil {
		r.Abandon()
		return err
	}
	return nil
}

// Envelope makes a batch of a payload, for Replay, and puts nothing in flight.
// Errors: those of Seal.
func (r *Recorder) Envelope(payload []byte, rows int) ([]byte, error) {
	if _, err := r.Seal(payload, rows); err != nil {
		return nil, err
	}
	raw := bytes.Clone(r.flight)
	r.Abandon()
	return raw, nil
}
