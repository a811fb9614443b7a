package collector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

const (
	// aside is how far the clock of a trade may be from that of its neighbours.
	aside = time.Second
	// emptyPages in a row say that the exchange has nothing of a range.
	emptyPages = 3
)

// tradesOf brings the trades of a time, then settles the entries of the ledger that
// touch it.
func (r *pastRun) tradesOf(ctx context.Context, from, to int64) error {
	first, last, err := r.numbers(ctx, from, to)
	if err != nil {
		return err
	}
	if first <= last {
		r.pages[r.part] += float64(last-first) / float64(max(1, r.tradeHistory().Page))
		past := stream.NewPast(r.config, first, last)
		if err := r.fill(ctx, past, from-int64(aside), to+int64(aside)); err != nil {
			return err
		}
		r.note(func(s *BackfillStatus) { s.Missing += past.Left() })
	}
	if err := r.applied(ctx); err != nil {
		return err
	}
	return r.gaps(ctx, from, to)
}

// numbers are the first and the last trade of a time; first > last for none.
func (r *pastRun) numbers(ctx context.Context, from, to int64) (first, last int64, err error) {
	first, ok, err := r.tradeAt(ctx, from)
	if err != nil || !ok {
		return 1, 0, err
	}
	after, ok, err := r.tradeAt(ctx, to)
	if err != nil {
		return 1, 0, err
	}
	if ok {
		return first, after - 1, nil
	}
	// There is none from the end on: the newest is the last.
	var newest market.Batch
	if err := r.fetch(ctx, r.tradeHistory(), connectors.Need{Kind: connectors.NeedRecentTrades}, &newest); err != nil {
		return 1, 0, err
	}
	for t := range market.Rows[market.Trade](&newest) {
		if n, ok := t.Number(); ok {
			last = max(last, n)
		}
	}
	return first, last, nil
}

// tradeAt is the number of the first trade from a time on.
func (r *pastRun) tradeAt(ctx context.Context, at int64) (number int64, ok bool, err error) {
	v := r.venue
	h, able := v.table().REST.(connectors.Historian)
	if !able {
		return 0, false, connectors.ErrUnsupported
	}
	err = r.ask(ctx, r.tradeHistory(), connectors.Need{Kind: connectors.NeedTradeAt, From: at}, func(req connectors.Request) error {
		resp, err := v.made.Load().client.Do(ctx, req)
		if err != nil {
			return err
		}
		number, ok, err = h.First(req, resp.Body)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("looking for the first trade from %s on: %w", time.Unix(0, at).UTC().Format(time.RFC3339), err)
	}
	return number, ok, nil
}

func (r *pastRun) tradeHistory() connectors.History {
	all := r.venue.table().HistoriesOf()
	i := slices.IndexFunc(all, func(h connectors.History) bool { return h.Kind == market.KindTrade })
	if i < 0 {
		return connectors.History{Kind: market.KindTrade}
	}
	return all[i]
}

// fill asks for what is not stored of a range of trades, whose times lie between from
// and to; ends with what the exchange does not give.
func (r *pastRun) fill(ctx context.Context, past *stream.Past, from, to int64) error {
	all := past.Left()
	err := r.stored(ctx, market.KindTrade, from, to, []string{market.FieldSeq.Column, "trade_id"}, func(rec market.Record) error {
		if n, ok := rec.(*market.Trade).Number(); ok {
			past.Have(n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.note(func(s *BackfillStatus) { s.Stored += all - past.Left() })
	var page market.Batch
	var out stream.Output
	for empty := 0; empty < emptyPages; {
		next, upTo, ok := past.Missing()
		if !ok {
			return nil
		}
		asked, err := r.tradePage(ctx, next, upTo, &page)
		if err != nil {
			return err
		}
		out.Reset()
		taken := past.Take(&page, &out)
		if err := r.record(ctx, out.Records); err != nil {
			return err
		}
		r.brought(taken)
		past.Passed(asked)
		if empty++; page.Len() > 0 {
			empty = 0
		}
		if first, last := past.Range(); !r.status.Gaps {
			r.progress(float64(asked-first) / float64(last-first+1))
		}
	}
	return nil
}

// tradePage fetches trades from a number on, and says up to which they are all that
// the exchange has. One that gives none by number is asked for its newest.
func (r *pastRun) tradePage(ctx context.Context, from, to int64, into *market.Batch) (asked int64, err error) {
	h := r.tradeHistory()
	err = r.fetch(ctx, h, connectors.Need{Kind: connectors.NeedTradesFrom, FromID: from, ToID: to}, into)
	if err != nil && final(err) {
		return to, r.recentTrades(ctx, err, from, to, into)
	}
	if err != nil {
		return 0, err
	}
	last := int64(-1)
	for t := range market.Rows[market.Trade](into) {
		if n, ok := t.Number(); ok {
			last = max(last, n)
		}
	}
	if last < from {
		last = from + int64(max(1, h.Page)) - 1
	}
	return min(to, last), nil
}

// recentTrades is the other way, where there is none by number: good as far as the
// newest reach.
func (r *pastRun) recentTrades(ctx context.Context, why error, from, to int64, into *market.Batch) error {
	if err := r.fetch(ctx, r.tradeHistory(), connectors.Need{Kind: connectors.NeedRecentTrades}, into); err != nil {
		return fmt.Errorf("%w; nor does it give its newest trades: %w", why, err)
	}
	for t := range market.Rows[market.Trade](into) {
		if n, ok := t.Number(); ok && n >= from && n <= to {
			return nil
		}
	}
	return why
}

// gaps heals what the ledger says is missing of trades: those that are marked, by
// itself; those that are open belong to the running stream, which is asked to try
// again.
func (r *pastRun) gaps(ctx context.Context, from, to int64) error {
	marked, open, err := r.entries(ctx, from, to)
	if err != nil {
		return err
	}
	route := r.venue.route(r.instrument)
	if route == nil {
		marked, open = append(marked, open...), nil
	}
	if len(open) > 0 {
		if _, err := supervise.Ask[refetched](ctx, r.venue.opts.System, route.pid.Load(), refetch{}); err != nil {
			return fmt.Errorf("asking the stream to try again: %w", err)
		}
	}
	r.note(func(s *BackfillStatus) {
		s.GapsFound += len(marked) + len(open)
		s.GapsLeft += len(open)
	})
	for i := range marked {
		if err := r.gap(ctx, route, &marked[i]); err != nil {
			return fmt.Errorf("trades %d to %d: %w", marked[i].FromSeq.V, marked[i].ToSeq.V, err)
		}
		if r.status.Gaps {
			r.progress(float64(i+1) / float64(len(marked)))
		}
	}
	return nil
}

// entries are the entries of the ledger about trades that touch a time, oldest first,
// each with its bounds.
func (r *pastRun) entries(ctx context.Context, from, to int64) (marked, open []market.Gap, err error) {
	err = r.stored(ctx, market.KindGap, 0, to, nil, func(rec market.Record) error {
		g := rec.(*market.Gap)
		if _, ok := stream.PastOf(r.config, g); !ok || g.ToTime != 0 && g.ToTime < from {
			return nil
		}
		own := *g
		own.Instrument = r.instrument
		switch g.Outcome {
		case market.OutcomeMarked:
			marked = append(marked, own)
		case market.OutcomeOpen:
			open = append(open, own)
		}
		return nil
	})
	return marked, open, err
}

// gap heals one entry as far as the exchange gives what it lacks.
func (r *pastRun) gap(ctx context.Context, route *route, g *market.Gap) error {
	past, _ := stream.PastOf(r.config, g)
	to := g.ToTime
	if to == 0 {
		to = r.venue.now()
	}
	if err := r.fill(ctx, past, g.FromTime-int64(aside), to+int64(aside)); err != nil {
		return err
	}
	var out stream.Output
	healed := past.Close(r.venue.now(), &out)
	if err := r.record(ctx, out.Records); err != nil {
		return err
	}
	for _, rec := range out.Records {
		if entry, ok := rec.(*market.Gap); ok && route != nil {
			route.history.gap(entry)
		}
	}
	r.note(func(s *BackfillStatus) {
		if healed {
			s.GapsHealed++
			return
		}
		if s.Gaps {
			s.Missing += past.Left()
		}
	})
	return nil
}
