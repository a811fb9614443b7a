package stream_test

import (
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// A liquidation that was missed with its trade comes back with it, once; one whose
// trade was received, or is not wanted any more, does not.
func TestBackfilledLiquidations(t *testing.T) {
	s := stream.New(config())
	var o stream.Output
	s.Step(trade(1), &o)
	s.Step(trade(5), &o)
	o.Reset()
	page := func(done bool, ids ...int64) (records []market.Record) {
		var b market.Batch
		for _, id := range ids {
			b.Copy(trade(id))
			if id%2 == 1 {
				l := market.Add[market.Liquidation](&b)
				l.Header, l.ID, l.Side = trade(id).Header, market.NumID(id), market.Sell
				l.Flags = market.FlagUnverifiable
			}
		}
		o.Reset()
		s.Backfilled(stream.Request{Kind: stream.RequestTrades, From: 2, To: 4}, &b, done, 100, &o)
		for _, r := range o.Records {
			if l, ok := r.(*market.Liquidation); ok {
				own := *l
				records = append(records, &own)
			}
		}
		return records
	}
	got := page(false, 1, 2, 3)
	if len(got) != 1 {
		t.Fatalf("%d liquidations, want that of trade 3", len(got))
	}
	l := got[0].(*market.Liquidation)
	if l.Seq.V != 3 || !l.Flags.Has(market.FlagBackfilled) || !l.Flags.Has(market.FlagUnverifiable) || l.TS != 30 {
		t.Errorf("%+v", *l)
	}
	if again := page(true, 3, 4, 5); len(again) != 0 {
		t.Errorf("liquidations came twice, or of trades that were not missed: %+v", again)
	}
	for _, st := range s.Stats() {
		if st.Kind == market.KindLiquidation && (st.Records != 1 || st.Received != 1) {
			t.Errorf("%+v", st)
		}
	}
}
