package connectorstest

import (
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// Past asks the exchange's own simulation for everything that its REST interface gives
// of the past, in every market: each page must hold what was asked for and nothing
// else, trades be those that happened, candles be what the trades were, and what is
// regular have no hole.
func Past(t *testing.T, s Subject) {
	for name, cfg := range s.Exchange.DefaultConfig().Markets {
		m, _ := market.ParseMarket(name)
		t.Run(name, func(t *testing.T) { testPast(t, s, m, cfg) })
	}
}

// past is a market whose past is asked for.
type past struct {
	*testing.T
	server     *simulator.Server
	venue      *connectors.Venue
	rest       connectors.Historian
	client     *connectors.Client
	instrument *market.Instrument
	end        int64 // of the time asked for, a whole 5 minutes
}

func testPast(t *testing.T, s Subject, m market.Market, cfg connectors.MarketConfig) {
	server, cfg := Simulate(t, s, m, cfg, simulator.Options{Seed: 12, Rate: 10, Symbols: 1, Genesis: time.Now().Add(-30 * time.Hour)})
	if len(cfg.Symbols) == 0 {
		t.Skip("no instrument of this market that trades")
	}
	v, err := s.Exchange.Venue(m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := v.REST.(connectors.Historian)
	if !ok {
		t.Fatalf("%s %s gives nothing of the past", v.Exchange, m)
	}
	p := &past{T: t, server: server, venue: v, rest: rest, client: connectors.NewClient(connectors.ClientOptions{Venue: v})}
	p.end = time.Now().Add(-10 * time.Minute).Truncate(5 * time.Minute).UnixNano()
	list, err := p.client.Instruments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.instrument, err = market.NewInstruments(list).Resolve(cfg.Symbols[0]); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, h := range rest.Histories() {
		if seen[h.Label()] || h.Page <= 0 || (h.Kind == market.KindTrade) != (h.Every == 0) {
			t.Errorf("history %+v", h)
		}
		seen[h.Label()] = true
		if h.Kind == market.KindTrade {
			t.Run(h.Label(), func(t *testing.T) { p.in(t).trades() })
			continue
		}
		t.Run(h.Label(), func(t *testing.T) { p.in(t).times(i, h) })
	}
	if !seen[market.KindTrade.String()] {
		t.Error("no trades")
	}
	if _, err := rest.Request(connectors.Need{Kind: connectors.NeedHistory, Instrument: p.instrument, History: len(rest.Histories())}); err == nil {
		t.Error("a history that does not exist is asked for")
	}
}

func (p past) in(t *testing.T) *past {
	p.T = t
	return &p
}

func (p *past) request(n connectors.Need) connectors.Request {
	p.Helper()
	n.Instrument = p.instrument
	req, err := p.rest.Request(n)
	if err != nil {
		p.Fatal(err)
	}
	return req
}

// first is the number of the first trade from a time on.
func (p *past) first(at int64) (int64, bool) {
	p.Helper()
	req := p.request(connectors.Need{Kind: connectors.NeedTradeAt, From: at})
	got, err := p.client.Do(p.Context(), req)
	if err != nil {
		p.Fatal(err)
	}
	n, ok, err := p.rest.First(req, got.Body)
	if err != nil {
		p.Fatal(err)
	}
	return n, ok
}

func (p *past) truth(from, to int64) []market.Trade {
	p.Helper()
	list, err := p.server.TradesBetween(p.instrument.ID(), from, to)
	if err != nil {
		p.Fatal(err)
	}
	return list
}

// trades finds the first trade of a time by asking, and compares it with the truth.
func (p *past) trades() {
	for _, back := range []time.Duration{time.Second, 10 * time.Minute, 26 * time.Hour} {
		at := p.end - int64(back)
		n, ok := p.first(at)
		if !ok || n <= 0 {
			p.Fatalf("%v before: no first trade", back)
		}
		around := p.truth(max(1, n-1), n)
		ms := func(t *market.Trade) int64 { return t.ExchangeTime / 1e6 }
		for i := range around {
			if before := ms(&around[i]) < at/1e6; before != (around[i].Seq.V < n) {
				p.Errorf("%v before: trade %d of %d is said to be the first from %d on, but %d is at %d", back, n, len(around), at/1e6, around[i].Seq.V, ms(&around[i]))
			}
		}
		var got market.Batch
		req := p.request(connectors.Need{Kind: connectors.NeedTradesFrom, FromID: n, ToID: n + 20})
		if err := p.client.Fetch(p.Context(), req, &got); err != nil {
			p.Fatal(err)
		}
		if got.Len() != 21 {
			p.Errorf("%d trades from %d on, want 21", got.Len(), n)
		}
	}
	if n, ok := p.first(time.Now().Add(time.Hour).UnixNano()); ok {
		if _, last, err := p.server.Last(p.instrument.ID()); err != nil || n < last {
			p.Errorf("a first trade from an hour ahead on: %d, the last is %d, %v", n, last, err)
		}
	}
}

// times asks for a window of each history.
func (p *past) times(index int, h connectors.History) {
	n := int64(min(20, h.Page))
	from := p.end - n*int64(h.Every)
	if h.Every > time.Hour { // longer than the market is old
		from = p.end - int64(26*time.Hour)
	}
	var b market.Batch
	req := p.request(connectors.Need{Kind: connectors.NeedHistory, History: index, From: from, To: p.end})
	if err := p.client.Fetch(p.Context(), req, &b); err != nil {
		p.Fatal(err)
	}
	have, last := map[int64]bool{}, int64(0)
	for r := range b.All() {
		market.Stamp(r)
		at := r.Head().TS
		if !h.Is(r) || at < from || at >= p.end || at < last || have[at] || !r.Head().Flags.Has(market.FlagBackfilled) {
			p.Fatalf("asked for %s from %d to %d: %+v", h.Label(), from, p.end, r)
		}
		have[at], last = true, at
		// Each takes two calls, which are rationed.
		if c, ok := r.(*market.Candle); ok && len(have) <= 3 {
			p.candle(c, h)
		}
	}
	if !h.Regular {
		if b.Len() == 0 {
			p.Error("nothing")
		}
		return
	}
	for at := (from + int64(h.Every) - 1) / int64(h.Every) * int64(h.Every); at < p.end; at += int64(h.Every) {
		if !have[at] {
			p.Errorf("%v is missing", time.Unix(0, at).UTC())
		}
	}
}

// candle compares with the trades that happened in it.
func (p *past) candle(c *market.Candle, h connectors.History) {
	p.Helper()
	if !c.Closed {
		p.Errorf("a candle that is not closed: %+v", c)
	}
	if h.Every > 15*time.Minute {
		return // many trades; the shorter ones prove the call
	}
	from, _ := p.first(c.OpenTime)
	to, _ := p.first(c.OpenTime + int64(h.Every))
	trades := p.truth(from, to-1)
	if len(trades) == 0 {
		return
	}
	open, last := trades[0].Price, trades[len(trades)-1].Price
	if c.Open.Cmp(open) != 0 || c.Close.Cmp(last) != 0 {
		p.Errorf("candle from %v: open %s, close %s; the trades %d to %d say %s and %s", time.Unix(0, c.OpenTime).UTC(), c.Open, c.Close, from, to-1, open, last)
	}
	if c.Trades.OK && c.Trades.V != int64(len(trades)) {
		p.Errorf("candle from %v: %d trades, want %d", time.Unix(0, c.OpenTime).UTC(), c.Trades.V, len(trades))
	}
}
