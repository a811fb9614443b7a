package collector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// heals says which kinds the exchanges remember as they tell them live: what was missed
// is then there again. Of funding that is every rate that was paid; what the next one
// may be is told live all the time, and remembered by nobody.
var heals = kindsOf(market.KindCandle, market.KindLongShortRatio, market.KindLiquidation, market.KindFunding)

// timedGaps heals the marked entries of the ledger that touch a time, 0 for no bound, of
// channels of which the exchange gives the past by time. Of others it says that they
// stay, and why.
func (r *pastRun) timedGaps(ctx context.Context, from, to int64) error {
	var found []market.Gap
	err := r.stored(ctx, market.KindGap, 0, to, nil, func(rec market.Record) error {
		g := rec.(*market.Gap)
		if _, trades := stream.PastOf(r.config, g); trades || g.ToTime != 0 && g.ToTime < from || stream.Boundless(g) {
			return nil
		}
		if g.Outcome == market.OutcomeMarked && g.FromTime < g.ToTime || g.Outcome == market.OutcomeOpen {
			own := *g
			own.Instrument = r.instrument
			found = append(found, own)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range found {
		if err := r.timedGap(ctx, &found[i]); err != nil {
			return fmt.Errorf("%s from %s on: %w", found[i].Channel, time.Unix(0, found[i].FromTime).UTC().Format(time.RFC3339), err)
		}
		if r.status.Gaps {
			r.progress(float64(i+1) / float64(len(found)))
		}
	}
	return nil
}

// timedGap heals one entry, if it can be. What a range is not of is left.
func (r *pastRun) timedGap(ctx context.Context, g *market.Gap) error {
	kind, ok := market.ParseKind(g.Channel)
	of := r.historiesOf(kind)
	asked := len(r.request.Kinds) == 0 || slices.Contains(r.request.Kinds, kind.String())
	if !ok || !asked || !r.status.Gaps && len(of) == 0 {
		return nil
	}
	if g.Outcome == market.OutcomeOpen { // it ends with the next record
		r.note(func(s *BackfillStatus) { s.GapsFound, s.GapsLeft = s.GapsFound+1, s.GapsLeft+1 })
		return nil
	}
	if why := r.unobtainable(kind, of, g); why != "" {
		r.note(func(s *BackfillStatus) { s.Unobtainable = withEntry(s.Unobtainable, g.Channel, why) })
		return nil
	}
	r.note(func(s *BackfillStatus) { s.GapsFound++ })
	before := r.read().BackfillCounts
	for _, h := range of {
		if err := r.spanOf(ctx, h, g); err != nil {
			return err
		}
	}
	after := r.read().BackfillCounts
	return r.settle(ctx, g, after.Records-before.Records, after.Missing-before.Missing)
}

// historiesOf are those of a kind that the operation may bring.
func (r *pastRun) historiesOf(kind market.Kind) (of []chosen) {
	for _, h := range r.histories {
		if h.Kind == kind && kind != market.KindTrade {
			of = append(of, h)
		}
	}
	return of
}

// unobtainable is why nothing heals an entry; "" when something may.
func (r *pastRun) unobtainable(kind market.Kind, of []chosen, g *market.Gap) string {
	now := r.venue.opts.Now()
	switch {
	case kind == market.KindTrade:
		return "the entry names no trades by number"
	case len(of) == 0:
		return fmt.Sprintf("%s gives no %s of the past", r.venue.name, kind)
	case !heals.has(kind):
		return fmt.Sprintf("%s remembers %s at every %v alone, and tells it live more often", r.venue.name, kind, of[0].Every)
	}
	for _, h := range of {
		if h.Reach > 0 && g.FromTime < now.Add(-h.Reach).UnixNano() {
			return fmt.Sprintf("%s remembers %s for %s only", r.venue.name, h.Label(), days(h.Reach))
		}
	}
	return ""
}

func withEntry(list []Unobtainable, channel, reason string) []Unobtainable {
	list = slices.Clone(list) // somebody may be reading it
	for i := range list {
		if list[i].Channel == channel && list[i].Reason == reason {
			list[i].Entries++
			return list
		}
	}
	return append(list, Unobtainable{Channel: channel, Entries: 1, Reason: reason})
}

// spanOf brings what one history has of an entry's time: from the record on that was
// under way when the channel fell silent, up to the first one that came again.
func (r *pastRun) spanOf(ctx context.Context, h chosen, g *market.Gap) error {
	from, every := g.FromTime, int64(h.Every)
	if h.Regular && every > 0 {
		from -= from % every
	}
	if err := r.times(ctx, h, from, g.ToTime); err != nil {
		return fmt.Errorf("%s: %w", h.Label(), err)
	}
	return nil
}

// settle writes the ledger's word on an entry: healed, unless something is missing
// still.
func (r *pastRun) settle(ctx context.Context, g *market.Gap, brought, missing int64) error {
	var b market.Batch
	own := market.Add[market.Gap](&b)
	*own = *g
	own.ReceiveTime = r.venue.now()
	own.HealedRecords = market.Int(g.HealedRecords.V + brought)
	if missing == 0 {
		own.Outcome = market.OutcomeHealed
	} else if brought == 0 {
		return nil
	}
	market.Stamp(own)
	if err := r.record(ctx, []market.Record{own}); err != nil {
		return err
	}
	if route := r.venue.route(r.instrument); route != nil {
		route.history.gap(own)
	}
	if missing == 0 {
		r.note(func(s *BackfillStatus) { s.GapsHealed++ })
	}
	return nil
}
