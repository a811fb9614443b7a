package embedded

import (
	"context"
	"math"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// writeMerged writes one part with the rows of neighbouring ones. Its errors about
// a part are [*damagedPart].
func (e *Engine) writeMerged(ctx context.Context, group []*stored) (*part.Meta, error) {
	first, last := group[0].meta, group[len(group)-1].meta
	readers := make([]*rangeReader, 0, len(group))
	defer func() {
		for _, r := range readers {
			r.scan.Close()
		}
	}()
	for _, p := range group {
		f, err := p.open(e)
		if err != nil {
			return nil, &damagedPart{p, err}
		}
		readers = append(readers, &rangeReader{part: p, scan: f.NewScan(nil, part.InOrder, false)})
	}
	from := first.FirstSeq
	for _, p := range group { // one that was copied may reach back into those before it
		from = min(from, p.meta.FirstSeq)
	}
	meta := part.Meta{
		Kind: first.Kind, File: e.fileName(first.Kind, first.Shard, from, last.LastSeq), JournalID: last.JournalID,
		Shard: first.Shard, FirstSeq: from, LastSeq: last.LastSeq, Created: first.Created,
	}
	made, err := part.Create(e.disk, e.dir, e.schemas[first.Kind], e.names, meta, func(w *part.Writer) error {
		for {
			stream, sources := nextStream(readers)
			if len(sources) == 0 {
				return nil
			}
			if err := copyRows(ctx, w, stream, part.NewMerge(sources, false)); err != nil {
				return err
			}
		}
	})
	return &made, err
}

// rangeReader walks the instruments of one part.
type rangeReader struct {
	part *stored
	scan *part.Scan
	next int
}

// nextStream takes the first instrument that any reader has.
func nextStream(readers []*rangeReader) (stream market.StreamID, sources []part.Source) {
	var least *part.Range
	for _, r := range readers {
		if r.next < len(r.part.meta.Ranges) {
			rng := &r.part.meta.Ranges[r.next]
			if least == nil || part.CompareStreams(rng.Stream, least.Stream) < 0 {
				least = rng
			}
		}
	}
	if least == nil {
		return stream, nil
	}
	for _, r := range readers {
		if r.next >= len(r.part.meta.Ranges) || r.part.meta.Ranges[r.next].Stream != least.Stream {
			continue
		}
		scan := r.scan
		sources = append(sources, &lateSource{
			part: r.part, rng: &r.part.meta.Ranges[r.next], from: math.MinInt64, to: math.MaxInt64,
			scanOf: func(*stored) (*part.Scan, error) { return scan, nil },
		})
		r.next++
	}
	return least.Stream, sources
}
