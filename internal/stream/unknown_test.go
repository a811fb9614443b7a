package stream_test

import (
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// entries are the gaps among what was emitted.
func entries(o *stream.Output) (all []market.Gap) {
	for _, r := range o.Records {
		if g, ok := r.(*market.Gap); ok {
			all = append(all, *g)
		}
	}
	return all
}

// TestUnknown: a stream that could not be told what is stored says so with the first
// record, and gives the entry its beginning when it is told.
func TestUnknown(t *testing.T) {
	for _, tc := range []struct {
		name     string
		kind     market.Kind
		first    market.Record
		opened   string
		lastSeq  market.OptInt
		lastTime int64
		learned  string
	}{
		{
			"trades are missing", market.KindTrade, trade(20), "gap(trade 0..19 restart open) t20", market.Int(9), 90,
			"gap(trade 10..19 restart open) gap(trade 0..19 restart healed 0) ?trades(10..19)",
		},
		{"no trade is missing", market.KindTrade, trade(20), "gap(trade 0..19 restart open) t20", market.Int(19), 190, "gap(trade 0..19 restart healed 0)"},
		{"nothing was stored", market.KindTrade, trade(20), "gap(trade 0..19 restart open) t20", market.OptInt{}, 0, "gap(trade 0..19 restart healed 0)"},
		{
			"a channel that shows nothing", market.KindMarkPrice, &market.MarkPrice{Header: market.Header{Instrument: instrument, ExchangeTime: 200, ReceiveTime: 201}},
			"gap(mark_price 0..0 restart open) mark_price", market.OptInt{}, 90, "gap(mark_price 0..0 restart marked) gap(mark_price 0..0 restart healed 0)",
		},
		{
			"a book", market.KindBookDelta, delta(21, 22), "gap(book_delta 0..20 restart open) ?snapshot", market.Int(11), 110,
			"gap(book_delta 12..20 restart marked) gap(book_delta 0..20 restart healed 0)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := stream.New(config()), &stream.Output{}
			s.Unknown(tc.kind, market.CauseRestart, 1)
			s.Unknown(tc.kind, market.CauseRestart, 2) // says nothing new
			s.Step(tc.first, o)
			gaps := entries(o)
			if got := line(o); got != tc.opened {
				t.Fatalf("got  %s\nwant %s", got, tc.opened)
			}
			if !stream.Boundless(&gaps[0]) || gaps[0].FromTime == 0 || gaps[0].TS != gaps[0].FromTime {
				t.Fatalf("the entry is %+v", gaps[0])
			}
			if s.Known(tc.kind, tc.lastSeq, tc.lastTime, market.CauseRestart, 3, o) {
				t.Error("taken for a channel of which nothing came")
			}
			s.Learned(&gaps[0], tc.lastSeq, tc.lastTime, 400, o)
			after := entries(o)
			if got := line(o); got != tc.learned {
				t.Errorf("got  %s\nwant %s", got, tc.learned)
			}
			own := after[len(after)-1]
			if stream.Boundless(&own) || own.TS != gaps[0].TS || own.FromSeq != gaps[0].FromSeq {
				t.Errorf("the entry without beginning is not replaced: %+v", own)
			}
			if len(after) == 2 && (after[0].FromTime != tc.lastTime || after[0].ToTime != gaps[0].ToTime) {
				t.Errorf("bounds of %+v", after[0])
			}
			s.Learned(&own, tc.lastSeq, tc.lastTime, 500, o) // it is settled
			if got := line(o); got != "" {
				t.Errorf("settled twice: %s", got)
			}
		})
	}
}

// TestUnknownTilKnown: of a channel that stayed silent it is known in time.
func TestUnknownTilKnown(t *testing.T) {
	s, o := stream.New(config()), &stream.Output{}
	s.Unknown(market.KindTrade, market.CauseRestart, 1)
	s.Interrupted(market.CauseDisconnect, 2, o) // nothing can be said of it
	if !s.Known(market.KindTrade, market.Int(9), 90, market.CauseRestart, 3, o) {
		t.Error("not taken")
	}
	s.Step(trade(12), o)
	if got, want := line(o), "gap(trade 10..0 restart open) gap(trade 10..11 restart open) t12 ?trades(10..11)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s = stream.New(config())
	s.Unknown(market.KindTrade, market.CauseRestart, 1)
	s.Finish(9, o)
	if got := line(o); got != "" {
		t.Errorf("a stream that ends before its first record: %s", got)
	}
}
