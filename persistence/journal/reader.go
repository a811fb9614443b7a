package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/persistence"
)

const (
	// readAheadMessages bounds what the broker sends ahead by count, beside the
	// configured bytes.
	readAheadMessages = 512
	// A silent pull is renewed after readExpiry; the broker shows that it lives
	// every readHeartbeat, and is given up after two.
	readExpiry    = 30 * time.Second
	readHeartbeat = 2 * time.Second
	// The broker removes a consumer that nobody pulled from for so long.
	consumerIdle = 5 * time.Minute
	// A stream that is not found may be one that a starting cluster does not
	// show yet, and one that ends too early may be told by who leads no more; after
	// doubtFor it is a fault.
	doubtFor = 15 * time.Second
	// So many deliveries in a row may leave out a message that the stream has.
	maxLosses = 5
)

// Message is one batch of the journal.
type Message struct {
	// Seq is its stream sequence.
	Seq uint64
	// Incarnation and N are the recorder's.
	Incarnation persistence.Incarnation
	N           uint64
	// Rows is the recorder's count of rows in Payload.
	Rows int
	// Payload is valid until the following call of Next.
	Payload []byte
	// Time is when the broker stored it, by the broker's clock.
	Time time.Time
	// Pending is how many messages followed when it was sent: 0 at the end.
	Pending uint64
}

// Reader reads one shard in order, from a saved position, each batch once. It
// belongs to one goroutine. After a *Fault it stays stopped.
type Reader struct {
	journal  *Journal
	opener   *opener
	pos      persistence.Position
	onRetry  func(error)
	onRepeat func(seq uint64)
	onCut    func(bytes uint64)

	delivery *delivery // nil: to be opened
	consumer string    // the broker's name for it, "" when there is none
	fault    error

	pause      time.Duration // before the next attempt to reach the broker
	doubtSince time.Time
	doubtFor   time.Duration
	losses     int
	end        uint64 // the journal's last message at the last heartbeat
	repeats    uint64
}

// ReaderOptions are optional.
type ReaderOptions struct {
	// OnRetry is told of every failure that the reader survives by opening its
	// consumer again, on the reader's goroutine.
	OnRetry func(error)
	// OnRepeat is told of every batch that is dropped because it was read before,
	// on the reader's goroutine, with its stream sequence: the recorder may have
	// been answered with that one. Position already includes it.
	OnRepeat func(seq uint64)
	// OnCut is told, each time that reading begins, what Journal.Cut says if it is
	// not 0: acknowledged batches may be among it, and the journal alone cannot
	// tell.
	OnCut func(bytes uint64)
}

// Start is the position before the first message that shard k holds: where a
// store begins that has nothing of its own, or does not know how far it is. Behind a
// purge the first batch of a recorder may have any number.
func (j *Journal) Start(ctx context.Context, k int) (persistence.Position, error) {
	st, err := j.State(ctx, k)
	if err != nil {
		return persistence.Position{}, err
	}
	p := persistence.Position{JournalID: j.id, Shard: k, Seq: st.First - 1}
	if p.Seq > 0 {
		p.Recorders = map[persistence.Incarnation]persistence.RecorderBatch{earlier: {Seq: p.Seq}}
	}
	return p, nil
}

// NewReader makes a reader that continues behind from. It asks the broker for
// nothing yet. Errors: ErrOtherJournal, ErrShards.
func (j *Journal) NewReader(from persistence.Position, opts ReaderOptions) (*Reader, error) {
	if from.JournalID != j.id {
		return nil, fmt.Errorf("%w: the position is of journal %s, this is %s", ErrOtherJournal, from.JournalID, j.id)
	}
	if from.Shard < 0 || from.Shard >= j.cfg.Shards {
		return nil, fmt.Errorf("%w: the position is of shard %d, the journal has %d", ErrShards, from.Shard, j.cfg.Shards)
	}
	o, err := newOpener()
	if err != nil {
		return nil, err
	}
	return &Reader{journal: j, opener: o, pos: withoutEpochs(from), onRetry: opts.OnRetry, onRepeat: opts.OnRepeat, onCut: opts.OnCut, doubtFor: doubtFor}, nil
}

// Position is where the reader is: everything up to and including the message
// that Next returned last. The copy is the caller's, to save once it has stored
// the rows; Epochs is left to the caller.
func (r *Reader) Position() persistence.Position { return withoutEpochs(r.pos) }

// withoutEpochs copies a position; the epochs belong to the layer above, and may
// be many.
func withoutEpochs(p persistence.Position) persistence.Position {
	p.Epochs = nil
	return p.Clone()
}

// Seq is Position().Seq.
func (r *Reader) Seq() uint64 { return r.pos.Seq }

// Repeats counts the batches that were dropped because they were read before.
func (r *Reader) Repeats() uint64 { return r.repeats }

// Lag asks the broker how many messages are behind the position; 0 means that
// the reader had caught up at that moment.
func (r *Reader) Lag(ctx context.Context) (uint64, error) {
	st, err := r.journal.State(ctx, r.pos.Shard)
	if err != nil {
		return 0, err
	}
	if st.Last < r.pos.Seq {
		return 0, r.faultAt(r.pos.Seq, fmt.Errorf("%w: last is %d", ErrRolledBack, st.Last))
	}
	return st.Last - r.pos.Seq, nil
}

// Next returns the batch behind the position; it waits for one as long as ctx
// lasts. While the broker is away it tries again, with a pause of up to a
// second. Errors: ctx.Err(); nats.ErrConnectionClosed when the connection was
// closed for good; and finally a *Fault.
func (r *Reader) Next(ctx context.Context) (Message, error) {
	for r.fault == nil {
		m, err := r.step(ctx)
		var fault *Fault
		switch {
		case err == nil && m.Seq != 0:
			return m, nil
		case err == nil: // a repeat, or delivery begins again
		case errors.As(err, &fault):
			r.fault = fault
			r.journal.metrics.fault(r.pos.Shard)
			r.Close(ctx)
		case ctx.Err() != nil:
			return Message{}, ctx.Err()
		default:
			if err := r.retry(ctx, err); err != nil {
				return Message{}, err
			}
		}
	}
	return Message{}, r.fault
}

// step takes one message; the zero Message means to take another.
func (r *Reader) step(ctx context.Context) (Message, error) {
	if r.delivery == nil {
		if err := r.open(ctx); err != nil {
			return Message{}, err
		}
	}
	raw, err := r.delivery.take(ctx)
	if errors.Is(err, errIdle) {
		return Message{}, r.idle(ctx)
	}
	if err != nil {
		return Message{}, err
	}
	return r.accept(ctx, raw)
}

// idle is told that the broker has nothing to deliver. That may be wrong: with
// nats-server v2.15.2 a consumer was seen, around a purge and a restart, that had
// messages before it, sent heartbeats, and delivered nothing more. The next message
// would betray it; a journal that has gone quiet has none. So a reader that is still
// at the same place one heartbeat later, with messages behind it, begins again.
func (r *Reader) idle(ctx context.Context) error {
	bound, release := whileConnected(ctx, r.journal.nc)
	defer release()
	if r.end > r.pos.Seq {
		return fmt.Errorf("%w: at %d of %d", errPassedOver, r.pos.Seq, r.end)
	}
	st, err := r.journal.State(bound, r.pos.Shard)
	if err != nil {
		return err
	}
	r.end = st.Last
	return nil
}

// accept checks one message, and moves the position over it.
func (r *Reader) accept(ctx context.Context, raw *nats.Msg) (Message, error) {
	at, err := parsePlace(raw.Reply)
	if err != nil {
		return Message{}, err
	}
	seq := at.seq
	if seq != r.pos.Seq+1 {
		return Message{}, r.irregular(ctx, seq)
	}
	e, err := parseEnvelope(raw.Data)
	if err != nil {
		return Message{}, r.faultAt(seq, err)
	}
	payload, err := r.opener.open(&e)
	if err != nil {
		return Message{}, r.faultAt(seq, err)
	}
	repeat, err := admit(&r.pos, &e, seq)
	if err != nil {
		return Message{}, r.faultAt(seq, err)
	}
	r.pos.Seq = seq
	r.pause, r.losses = 0, 0
	r.journal.metrics.readOne(r.pos.Shard, seq, at.pending, len(payload), repeat)
	if repeat {
		r.repeats++
		if r.onRepeat != nil {
			r.onRepeat(seq)
		}
		return Message{}, nil
	}
	return Message{
		Seq: seq, Incarnation: e.incarnation, N: e.n, Rows: int(e.rows),
		Payload: payload, Time: at.time, Pending: at.pending,
	}, nil
}

// retry drops the consumer and waits before it is made again.
func (r *Reader) retry(ctx context.Context, cause error) error {
	r.journal.metrics.reopen(r.pos.Shard)
	if r.onRetry != nil {
		r.onRetry(cause)
	}
	r.stop()
	r.consumer = "" // it is lost, or removes itself
	if r.journal.nc.IsClosed() {
		return fmt.Errorf("reading %s: %w", StreamName(r.pos.Shard), nats.ErrConnectionClosed)
	}
	r.pause = min(max(2*r.pause, firstPause), lastPause)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(jitter(r.pause)):
		return nil
	}
}

func (r *Reader) stop() {
	if r.delivery != nil {
		r.delivery.stop()
		r.delivery = nil
	}
}

// Close ends the delivery and, as long as ctx lasts, removes the consumer from
// the broker, which otherwise does so by itself after five minutes. It may be
// called more than once; Next may be called after it, and begins again.
func (r *Reader) Close(ctx context.Context) {
	r.stop()
	if r.consumer == "" {
		return
	}
	name := r.consumer
	r.consumer = ""
	if err := r.journal.js.DeleteConsumer(ctx, StreamName(r.pos.Shard), name); err != nil && r.onRetry != nil {
		r.onRetry(fmt.Errorf("removing a consumer: %w", err))
	}
}

// open verifies the journal and makes a consumer that begins behind the
// position. The consumer is plain, without acknowledgements and in memory: the
// position is ours, and an ordered consumer would go on behind a hole without a
// word.
func (r *Reader) open(ctx context.Context) error {
	r.end = 0
	ctx, release := whileConnected(ctx, r.journal.nc)
	defer release()
	if err := r.verify(ctx); err != nil {
		return err
	}
	if err := r.journal.forked(ctx, r.pos); errors.Is(err, ErrForked) {
		return r.faultAt(r.pos.Seq, err)
	} else if err != nil {
		return err
	}
	if err := r.reportCut(ctx); err != nil {
		return err
	}
	api, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream := StreamName(r.pos.Shard)
	c, err := r.journal.js.CreateConsumer(api, stream, jetstream.ConsumerConfig{
		Description:       "MarketPrism journal reader",
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.pos.Seq + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		ReplayPolicy:      jetstream.ReplayInstantPolicy,
		InactiveThreshold: consumerIdle,
		MemoryStorage:     true,
		Replicas:          1,
	})
	if err != nil {
		return fmt.Errorf("making a consumer of %s from %d: %w", stream, r.pos.Seq+1, err)
	}
	r.consumer = c.CachedInfo().Name
	r.delivery, err = newDelivery(r.journal.nc, stream, r.consumer, r.journal.cfg.ReadAheadBytes)
	return err
}
