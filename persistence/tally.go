package persistence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Tally counts the records of one stretch of time.
type Tally struct {
	Start    int64 `json:"start_ns" doc:"Unix ns, a multiple of the width of a stretch"`
	Records  int64 `json:"records" doc:"collected ones that are stored"`
	Verified int64 `json:"verified" doc:"those of them that a sequence number or a checksum proves"`
}

// MaxTallies is how many stretches one count may have.
const MaxTallies = 10_000

// Count counts the collected records of one kind of a stream from from to to (Unix
// ns, half-open, both given), in stretches of width of the clock; those without
// records are left out. It reads every record, flags alone. Errors: [ErrQuery], and
// those of the query.
func Count(ctx context.Context, query func(context.Context, Query) (Rows, error), kind market.Kind, stream market.StreamID, from, to int64, width time.Duration) (all []Tally, err error) {
	if width < time.Second || to <= from || (to-from)/int64(width) > MaxTallies {
		return nil, fmt.Errorf("%w: stretches of %v from %d to %d", ErrQuery, width, from, to)
	}
	rows, err := query(ctx, Query{Kind: kind, Stream: &stream, From: from, To: to, Origin: OriginCollected, Columns: []string{market.FieldFlags.Column}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b market.Batch
	for {
		b.Reset()
		n, err := rows.Next(ctx, &b)
		for r := range b.All() {
			h := r.Head()
			start := h.TS - h.TS%int64(width)
			if last := len(all); last == 0 || all[last-1].Start != start {
				all = append(all, Tally{Start: start})
			}
			at := &all[len(all)-1]
			at.Records++
			if h.Flags&(market.FlagUnverifiable|market.FlagSuspect) == 0 {
				at.Verified++
			}
		}
		switch {
		case errors.Is(err, io.EOF) || err == nil && n == 0:
			return all, nil
		case err != nil:
			return nil, err
		}
	}
}
