package collector

import (
	"context"
	"maps"
	"slices"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// times brings a history that is asked for by time, a page at a time: what is not
// stored of it.
func (r *pastRun) times(ctx context.Context, h chosen, from, to int64) error {
	page := int64(h.Every) * int64(h.Page)
	for at := from; at < to; at += page {
		end := min(to, at+page)
		if err := r.page(ctx, h, at, end); err != nil {
			return err
		}
		if !r.status.Gaps {
			r.progress(float64(end-from) / float64(to-from))
		}
	}
	return nil
}

// page brings what is not stored of a time that one call covers.
func (r *pastRun) page(ctx context.Context, h chosen, from, to int64) error {
	have, err := r.have(ctx, h.History, from, to)
	if err != nil {
		return err
	}
	var lacks map[int64]bool
	if h.Regular {
		if lacks, err = r.lacks(ctx, h.History, have, from, to); err != nil {
			return err
		}
		if len(lacks) == 0 {
			r.note(func(s *BackfillStatus) { s.Stored += int64(len(have)) })
			return nil
		}
		at := slices.Sorted(maps.Keys(lacks))
		from, to = at[0], at[len(at)-1]+int64(h.Every)
	}
	var got market.Batch
	if err := r.fetch(ctx, h.History, connectors.Need{Kind: connectors.NeedHistory, History: h.index, From: from, To: to}, &got); err != nil {
		return err
	}
	var fresh []market.Record
	for rec := range got.All() {
		r.step.Recovered(rec)
		at := rec.Head().TS
		there, err := r.has(ctx, h.History, have, at)
		if err != nil {
			return err
		}
		if !there {
			fresh = append(fresh, rec)
		}
		delete(lacks, at)
	}
	if err := r.record(ctx, fresh); err != nil {
		return err
	}
	r.brought(len(fresh))
	r.note(func(s *BackfillStatus) {
		s.Stored += int64(len(have))
		s.Missing += int64(len(lacks))
	})
	return nil
}

// dense kinds are recorded live far more often than the exchange remembers them: of
// these single times are looked up.
func dense(k market.Kind) bool { return k == market.KindFunding }

// have are the times of which a record is stored; of a dense kind they are found out
// as they are asked for.
func (r *pastRun) have(ctx context.Context, h connectors.History, from, to int64) (map[int64]bool, error) {
	have := map[int64]bool{}
	if dense(h.Kind) {
		return have, nil
	}
	err := r.stored(ctx, h.Kind, from, to, nil, func(rec market.Record) error {
		if h.Is(rec) && complete(rec) {
			have[rec.Head().TS] = true
		}
		return nil
	})
	return have, err
}

// has reports whether a record of a time is stored.
func (r *pastRun) has(ctx context.Context, h connectors.History, have map[int64]bool, at int64) (bool, error) {
	if !dense(h.Kind) || have[at] {
		return have[at], nil
	}
	err := r.stored(ctx, h.Kind, at, at+1, nil, func(rec market.Record) error {
		have[at] = have[at] || h.Is(rec) && rec.Head().TS == at
		return nil
	})
	return have[at], err
}

// lacks are the times at which a regular history has a record by now, and none is
// stored.
func (r *pastRun) lacks(ctx context.Context, h connectors.History, have map[int64]bool, from, to int64) (map[int64]bool, error) {
	all, every := map[int64]bool{}, int64(h.Every)
	for at := (from + every - 1) / every * every; at < to && at+every <= r.venue.now(); at += every {
		there, err := r.has(ctx, h, have, at)
		if err != nil {
			return nil, err
		}
		if !there {
			all[at] = true
		}
	}
	return all, nil
}

// complete reports whether a stored record needs no better one: a candle that was
// still running when the connection was lost does.
func complete(r market.Record) bool {
	c, ok := r.(*market.Candle)
	return !ok || c.Closed || c.Flags.Has(market.FlagBackfilled)
}
