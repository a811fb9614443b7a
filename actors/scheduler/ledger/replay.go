package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// replayed is a batch that was read, and where.
type replayed struct {
	seq uint64
	batch
}

// reading puts the messages of a stream together.
type reading struct {
	fires, results []replayed
	pieces         []byte // of the snapshot being read
	id             string
	next           int
	// The last snapshot that is whole.
	whole              []byte
	upTo, upToFinished uint64
	bytes              int64
}

// replay reads the whole stream into book and learns where both lines end.
func (w *writer) replay(ctx context.Context, book *Book) error {
	r := &reading{}
	if err := w.read(ctx, r); err != nil {
		return err
	}
	accounts := []Account{}
	if r.whole != nil {
		var err error
		if accounts, err = unpack(r.whole); err != nil {
			return err
		}
	}
	book.restore(accounts)
	f, d := r.fires, r.results
	// Both in the order of the stream: a result follows its fire.
	for len(f)+len(d) > 0 {
		if len(d) == 0 || len(f) > 0 && f[0].seq < d[0].seq {
			if f[0].seq > r.upTo {
				book.Fired(f[0].Fires)
			}
			f = f[1:]
			continue
		}
		if d[0].seq > r.upToFinished {
			book.Finished(d[0].Results)
		}
		d = d[1:]
	}
	w.written.Store(r.bytes)
	return nil
}

// read goes through the stream from its first message to the one that is last now.
func (w *writer) read(ctx context.Context, r *reading) error {
	stream, err := w.js.Stream(ctx, StreamName)
	if err != nil {
		return unavailable("reading the ledger", err)
	}
	state := stream.CachedInfo().State
	if state.LastSeq == 0 || state.Msgs == 0 {
		if state.LastSeq != 0 {
			return fmt.Errorf("%w: %d messages were appended and none is left", ErrDamaged, state.LastSeq)
		}
		return nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return unavailable("reading the ledger", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(16 << 20))
	if err != nil {
		return unavailable("reading the ledger", err)
	}
	defer messages.Stop()
	for at := state.FirstSeq; at <= state.LastSeq; at++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return unavailable("reading the ledger", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return unavailable("reading the ledger", err)
		}
		if meta.Sequence.Stream != at {
			return fmt.Errorf("%w: message %d follows where %d is expected", ErrDamaged, meta.Sequence.Stream, at)
		}
		if err := w.take(r, msg, at); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) take(r *reading, msg jetstream.Msg, seq uint64) error {
	if msg.Subject() == snapshotSubject {
		r.piece(msg.Headers(), msg.Data())
		return nil
	}
	var b batch
	if err := json.Unmarshal(msg.Data(), &b); err != nil {
		return fmt.Errorf("%w: message %d: %w", ErrDamaged, seq, err)
	}
	if b.Version != version {
		return fmt.Errorf("%w: message %d has version %d, this program reads %d", ErrDamaged, seq, b.Version, version)
	}
	r.bytes += int64(len(msg.Data()))
	switch msg.Subject() {
	case firesSubject:
		w.fires.last = seq
		r.fires = append(r.fires, replayed{seq, b})
	case resultsSubject:
		w.results.last = seq
		r.results = append(r.results, replayed{seq, b})
	}
	return nil
}

// piece adds a piece of a snapshot; one with a piece missing is none.
func (r *reading) piece(h nats.Header, data []byte) {
	id := h.Get(headerID)
	n, err := strconv.Atoi(h.Get(headerChunk))
	total, err2 := strconv.Atoi(h.Get(headerChunks))
	if err != nil || err2 != nil {
		return
	}
	if n == 0 {
		r.id, r.pieces, r.next = id, nil, 0
	}
	if id != r.id || n != r.next {
		return
	}
	r.pieces = append(r.pieces, data...)
	if r.next++; r.next < total {
		return
	}
	fires, err := strconv.ParseUint(h.Get(headerFires), 10, 64)
	results, err2 := strconv.ParseUint(h.Get(headerDone), 10, 64)
	if err == nil && err2 == nil {
		r.whole, r.upTo, r.upToFinished, r.bytes = r.pieces, fires, results, 0
	}
}
