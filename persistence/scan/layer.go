package scan

import (
	"context"
	"slices"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Selection is what a query wants to see of a layer.
type Selection struct {
	Kind market.Kind
	// Stream is the only stream wanted; nil for all.
	Stream *market.StreamID
	// From and To bound ts, Unix ns, half-open.
	From, To int64
	// Has are the columns wanted; nil for all.
	Has part.Projection
	// Newest reads in descending order.
	Newest bool
	// Reads counts what is read; it may be nil.
	Reads *persistence.Reads
}

// Layer is a place that has rows. It is safe for concurrent use.
type Layer interface {
	// Pin fixes what a query sees. The caller releases the view.
	Pin(ctx context.Context, s Selection) (View, error)
	// HasCollected reports whether a stream has records of a kind that we collected
	// ourselves.
	HasCollected(ctx context.Context, kind market.Kind, stream market.StreamID) (bool, error)
	// Failed is told the error that reading a view's source ended with, acts on it,
	// and returns what the caller is to be told.
	Failed(err error) error
}

// View is what one query sees of a layer. It belongs to one goroutine.
type View interface {
	// Streams lists the streams that may have rows, in any order, perhaps twice.
	Streams() []market.StreamID
	// Sources appends a stream's rows as sources of a merge; access says how many
	// streams take turns.
	Sources(dst []part.Source, stream market.StreamID, access part.Access) []part.Source
	// Release ends the view and its sources; it is idempotent.
	Release()
}

// views are those of all layers.
type views struct {
	layers []Layer
	all    []View
	newest bool
}

func pin(ctx context.Context, layers []Layer, s Selection) (*views, error) {
	v := &views{layers: layers, newest: s.Newest}
	for _, l := range layers {
		one, err := l.Pin(ctx, s)
		if err != nil {
			v.release()
			return nil, err
		}
		v.all = append(v.all, one)
	}
	return v, nil
}

func (v *views) release() {
	for _, one := range v.all {
		one.Release()
	}
	v.all = nil
}

// failed lets the layers act on an error.
func (v *views) failed(err error) error {
	for _, l := range v.layers {
		err = l.Failed(err)
	}
	return err
}

// streams lists the streams of all layers, in the order of a part.
func (v *views) streams() []market.StreamID {
	seen := map[market.StreamID]bool{}
	var list []market.StreamID
	for _, one := range v.all {
		for _, s := range one.Streams() {
			if !seen[s] {
				seen[s] = true
				list = append(list, s)
			}
		}
	}
	slices.SortFunc(list, part.CompareStreams)
	return list
}

func (v *views) merge(stream market.StreamID, access part.Access) *part.Merge {
	var sources []part.Source
	for _, one := range v.all {
		sources = one.Sources(sources, stream, access)
	}
	return part.NewMerge(sources, v.newest)
}

// spans yields rows in reading order.
type spans interface {
	Next(ctx context.Context) (part.Span, error)
}

// ownScans is how many streams of one query each keep a page of their own; more of
// them share pages, which takes time instead of memory.
const ownScans = 32

// open returns the rows of one stream, or of all.
func (v *views) open(stream *market.StreamID) spans {
	if stream != nil {
		return v.merge(*stream, part.OneStream)
	}
	streams := v.streams()
	access := part.Interleaved
	if len(streams) <= ownScans {
		access = part.OneStream
	}
	var merges []*part.Merge
	for _, s := range streams {
		merges = append(merges, v.merge(s, access))
	}
	return part.NewFan(merges, v.newest)
}

// Streams lists the streams that have rows of a kind.
func Streams(ctx context.Context, layers []Layer, kind market.Kind) ([]market.StreamID, error) {
	from, to := bounds(0, 0)
	v, err := pin(ctx, layers, Selection{Kind: kind, From: from, To: to})
	if err != nil {
		return nil, err
	}
	defer v.release()
	return v.streams(), nil
}

// originFilter resolves the filters that depend on the stream.
func originFilter(ctx context.Context, layers []Layer, f, byDefault persistence.OriginFilter, kind market.Kind, stream *market.StreamID) (persistence.OriginFilter, error) {
	if f == persistence.OriginDefault {
		f = byDefault
	}
	if f != persistence.OriginPreferCollected {
		return f, nil
	}
	if stream == nil {
		return persistence.OriginCollected, nil
	}
	for _, l := range layers {
		if has, err := l.HasCollected(ctx, kind, *stream); has || err != nil {
			return persistence.OriginCollected, err
		}
	}
	return persistence.OriginExternal, nil
}

func wanted(f persistence.OriginFilter, o market.Origin) bool {
	switch f {
	case persistence.OriginCollected:
		return o == market.Collected
	case persistence.OriginExternal:
		return o == market.External
	}
	return true
}
