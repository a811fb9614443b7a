package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/persistence"
)

// How long a recorder may be silent before its next batch begins a new
// incarnation; see doc.go.
const incarnationIdle = 10 * time.Minute

// Pauses between two attempts of Deliver.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// Ack is a journal acknowledgement: the batch is stored and synced.
type Ack struct {
	Shard int
	// Seq is the message's sequence in its stream.
	Seq uint64
}

// Recorder writes batches to one shard, one in flight. It is a plain struct
// that belongs to one goroutine at a time: an actor seals, lets a helper
// goroutine deliver, and touches the Recorder again when the outcome is back.
type Recorder struct {
	journal *Journal
	shard   int
	guard   DiskGuard
	now     func() time.Time
	sealer  *sealer

	incarnation persistence.Incarnation
	n           uint64    // last acknowledged number
	acked       time.Time // of the last acknowledgement
	flight      []byte    // the sealed message; nil when idle
	rows        int
	doubt       bool // an attempt of the flight has an unknown outcome
}

// NewRecorder makes a recorder for a shard, with an incarnation of its own.
// now is the clock (nil: time.Now).
func (j *Journal) NewRecorder(shard int, guard DiskGuard, now func() time.Time) (*Recorder, error) {
	if shard < 0 || shard >= j.cfg.Shards {
		return nil, fmt.Errorf("recorder of shard %d: the journal has %d", shard, j.cfg.Shards)
	}
	s, err := newSealer()
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	r := &Recorder{journal: j, shard: shard, guard: guard, now: now, sealer: s}
	r.renew()
	return r, nil
}

// Shard is the shard that the recorder writes to.
func (r *Recorder) Shard() int { return r.shard }

// Incarnation is the current incarnation and the number of its last
// acknowledged batch.
func (r *Recorder) Incarnation() (persistence.Incarnation, uint64) { return r.incarnation, r.n }

// InFlight says whether a sealed batch awaits its acknowledgement.
func (r *Recorder) InFlight() bool { return r.flight != nil }

// InDoubt says whether the batch in flight may have been stored.
func (r *Recorder) InDoubt() bool { return r.doubt }

func (r *Recorder) renew() {
	r.incarnation = newIncarnation(r.now())
	r.n, r.acked = 0, r.now()
}

// Renew begins a new incarnation, as after a silence: what this one wrote may be
// gone with the copy of the journal that it was written to. Nothing may be in
// flight.
func (r *Recorder) Renew() {
	if r.flight == nil && r.n > 0 {
		r.renew()
	}
}

// Seal makes payload, of so many rows, the batch in flight, and returns its
// size as a message. payload may be reused at once. Errors: ErrInFlight; and
// ErrTooLarge, after which nothing is in flight.
func (r *Recorder) Seal(payload []byte, rows int) (size int, err error) {
	if r.flight != nil {
		return 0, ErrInFlight
	}
	if r.n > 0 && r.now().Sub(r.acked) > incarnationIdle {
		r.renew()
	}
	limit := MaxMessage
	if p := r.journal.nc.MaxPayload(); p > 0 {
		limit = int(min(int64(limit), p))
	}
	m, err := r.sealer.seal(r.incarnation, r.n+1, uint32(rows), payload, limit)
	if err != nil {
		r.journal.metrics.refused(r.shard, err)
		return 0, err
	}
	r.flight, r.rows, r.doubt = m, rows, false
	r.journal.metrics.sealed(r.shard, len(payload))
	return len(m), nil
}

// Publish sends the batch in flight once and waits for the acknowledgement, at
// most the configured publish_timeout. After an error the batch stays in
// flight, to be published again or abandoned. Errors: ErrFull, ErrDiskFull,
// ErrUnavailable, ErrTooLarge, ErrRefused, ErrNothingInFlight.
func (r *Recorder) Publish(ctx context.Context) (Ack, error) {
	if r.flight == nil {
		return Ack{}, ErrNothingInFlight
	}
	ack, doubt, err := r.attempt(ctx)
	if err != nil {
		r.doubt = r.doubt || doubt
		r.journal.metrics.refused(r.shard, err)
		return Ack{}, fmt.Errorf("publishing batch %d to %s: %w", r.n+1, StreamName(r.shard), err)
	}
	r.n++
	r.acked = r.now()
	r.flight, r.doubt = nil, false
	return ack, nil
}

func (r *Recorder) attempt(ctx context.Context) (ack Ack, doubt bool, err error) {
	if err := r.guard.check(); err != nil {
		return ack, false, err
	}
	if s := r.journal.nc.Status(); s != nats.CONNECTED {
		return ack, false, fmt.Errorf("%w: connection %s", ErrUnavailable, s)
	}
	ctx, cancel := context.WithTimeout(ctx, r.journal.cfg.PublishTimeout)
	defer cancel()
	began := r.now()
	pa, err := r.journal.js.PublishMsg(ctx, &nats.Msg{Subject: Subject(r.shard), Data: r.flight}, jetstream.WithRetryAttempts(0))
	if err != nil {
		err, doubt = classify(err)
		return ack, doubt, err
	}
	if pa.Stream != StreamName(r.shard) || pa.Sequence == 0 || pa.Duplicate {
		return ack, true, fmt.Errorf("%w: acknowledged as %s:%d, duplicate %v", ErrRefused, pa.Stream, pa.Sequence, pa.Duplicate)
	}
	r.journal.metrics.acknowledged(r.shard, r.rows, len(r.flight), pa.Sequence, r.now().Sub(began))
	return Ack{Shard: r.shard, Seq: pa.Sequence}, false, nil
}

// Deliver publishes the batch in flight, the same bytes again and again while
// the journal is unavailable, until it is acknowledged, refused, or ctx ends
// (then the error matches ErrUnavailable and ctx.Err()).
func (r *Recorder) Deliver(ctx context.Context) (Ack, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ack, err := r.Publish(ctx)
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return ack, err
		}
		select {
		case <-ctx.Done():
			return Ack{}, fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(jitter(pause)):
		}
	}
}

// Abandon gives the batch in flight up: the caller opens a gap for its rows. It
// says whether the batch may have been stored; then a new incarnation begins,
// else the number is used again.
func (r *Recorder) Abandon() (doubt bool) {
	if r.flight == nil {
		return false
	}
	doubt = r.doubt
	r.flight, r.doubt = nil, false
	if doubt {
		r.renew()
	}
	r.journal.metrics.abandon(r.shard)
	return doubt
}

// jitter spreads a pause by 20 % either way.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}
