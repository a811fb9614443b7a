// Package feed joins what an exchange says of itself (connectors) to the step
// function that proves it (internal/stream). The live collector takes its stream
// settings from here; normalize and bench run whole frames through a [Feed].
package feed

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// Options are what a caller wants of the streams beyond proof.
type Options struct {
	// Epoch is written to every record; 0 outside the live service.
	Epoch int64
	// Depth is the number of levels at which the exchange cuts its snapshots off.
	Depth int
	// Refresh lets books ask for new snapshots; for callers who fetch them.
	Refresh bool
	// BookDepth and BookInterval ask for book_snapshot records; 0 is none.
	BookDepth    int
	BookInterval time.Duration
	// Tops asks for a book_top after every applied change.
	Tops bool
	// MaxUnasked is for callers who say when they ask for a book's snapshot: see
	// [stream.Config].
	MaxUnasked int
	// NoBook leaves books out: changes pass through, unproven.
	NoBook bool
}

// StreamConfig is how a venue's streams of one instrument are proven.
func StreamConfig(v *connectors.Venue, i *market.Instrument, o Options) stream.Config {
	cfg := stream.Config{
		Instrument: i, Epoch: o.Epoch, Proofs: proofs(v), Rules: v.Sequence, Backfills: v.REST != nil,
		SnapshotLimit: o.Depth, Refresh: o.Refresh, BookDepth: o.BookDepth, BookInterval: o.BookInterval, Tops: o.Tops,
		MaxUnasked: o.MaxUnasked,
	}
	cfg.SnapshotsInBand = slices.ContainsFunc(v.Channels, func(c connectors.Channel) bool {
		return c.Snapshot == connectors.SnapshotInStream
	})
	if cfg.SnapshotsInBand {
		cfg.SnapshotLimit = 0 // such a book is as deep as the channel is, and stays so
	}
	if o.NoBook {
		delete(cfg.Proofs, market.KindBookDelta)
		cfg.Rules = nil
	}
	return cfg
}

func proofs(v *connectors.Venue) map[market.Kind]stream.Proof {
	out := map[market.Kind]stream.Proof{market.KindBookTicker: stream.Rising}
	for _, c := range v.Channels {
		if c.Proof == connectors.NoProof {
			continue
		}
		if slices.Contains(c.Kinds, market.KindTrade) {
			out[market.KindTrade] = stream.Contiguous
		}
		if slices.Contains(c.Kinds, market.KindBookDelta) && v.Sequence != nil {
			out[market.KindBookDelta] = stream.Chained
		}
	}
	return out
}

// Feed runs frames of one venue through decoder and streams. It is not safe for
// concurrent use.
type Feed struct {
	Venue *connectors.Venue

	options Options
	decoder connectors.Decoder
	streams map[*market.Instrument]*stream.Stream
	order   []*stream.Stream
	last    *market.Instrument
	current *stream.Stream
	batch   market.Batch
}

// New makes a feed that knows the given instruments.
func New(v *connectors.Venue, known *market.Instruments, o Options) *Feed {
	return &Feed{Venue: v, options: o, decoder: v.NewDecoder(known), streams: map[*market.Instrument]*stream.Stream{}}
}

// Frame takes one frame of the WebSocket. What it emits is in out, good until the
// next call; received are the records that the frame held.
func (f *Feed) Frame(frame []byte, rc connectors.Receipt, out *stream.Output) (received *market.Batch, note connectors.Note, err error) {
	f.batch.Reset()
	note, err = f.decoder.Decode(frame, rc, &f.batch)
	if err != nil {
		return &f.batch, note, err
	}
	for i := range f.batch.Len() {
		r := f.batch.At(i)
		f.Stream(r.Head().Instrument).Step(r, out)
	}
	return &f.batch, note, nil
}

// Response takes the answer to a REST request.
func (f *Feed) Response(req connectors.Request, body []byte, rc connectors.Receipt, out *stream.Output) (received *market.Batch, err error) {
	f.batch.Reset()
	if err := f.Venue.REST.Decode(req, body, rc, &f.batch); err != nil {
		return &f.batch, err
	}
	if req.Kind == connectors.NeedRecentTrades || req.Kind == connectors.NeedTradesFrom {
		s := f.Stream(req.Instrument)
		s.Backfilled(stream.Request{Kind: stream.RequestTrades}, &f.batch, false, rc.Time, out)
		return &f.batch, nil
	}
	for i := range f.batch.Len() {
		r := f.batch.At(i)
		s := f.Stream(r.Head().Instrument)
		if d, ok := r.(*market.BookDelta); ok && d.IsSnapshot {
			s.Snapshot(d, out)
			continue
		}
		s.Step(r, out)
	}
	return &f.batch, nil
}

// Stream is the stream of an instrument, made when it is first asked for.
func (f *Feed) Stream(i *market.Instrument) *stream.Stream {
	if i == f.last {
		return f.current
	}
	s := f.streams[i]
	if s == nil {
		s = stream.New(StreamConfig(f.Venue, i, f.options))
		f.streams[i] = s
		f.order = append(f.order, s)
	}
	f.last, f.current = i, s
	return s
}

// Streams are all streams, in the order of their first record.
func (f *Feed) Streams() []*stream.Stream { return f.order }
