package collector

import (
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/deribit"
	"github.com/marketprism/marketprism/connectors/okx"
	"github.com/marketprism/marketprism/internal/market"
)

// TestSharedTopicsReachSubscribersAlone: a topic of several instruments brings
// records of some that are not subscribed on the socket, though they have streams
// for other channels.
func TestSharedTopicsReachSubscribersAlone(t *testing.T) {
	a, b := &market.Instrument{Symbol: "A"}, &market.Instrument{Symbol: "B"}
	v := &venue{opts: &Options{Config: DefaultConfig()}}
	v.made.Store(&setup{sharing: true, channels: []kindSet{kindsOf(market.KindTrade), kindsOf(market.KindLiquidation)}})
	v.setRoutes(map[*market.Instrument]*route{a: {instrument: a}, b: {instrument: b}})
	s := &socket{venue: v, subs: []connectors.Subscription{{Channel: 0, Instrument: a}, {Channel: 1, Instrument: a}, {Channel: 0, Instrument: b}}}
	s.index()
	for _, tc := range []struct {
		channel int
		of      *market.Instrument
		want    bool
	}{
		{0, a, true}, {1, a, true}, {0, b, true}, {1, b, false},
	} {
		if got := s.routeOf(tc.channel, tc.of) != nil; got != tc.want {
			t.Errorf("channel %d of %s has a way: %v, want %v", tc.channel, tc.of.Symbol, got, tc.want)
		}
	}
	s.unsubscribe([]connectors.Subscription{{Channel: 1, Instrument: a}})
	if s.routeOf(1, a) != nil {
		t.Error("what was unsubscribed still has a way")
	}
}

// TestSessionsFillUpAsThePlanDoes: topics that several subscriptions share count once,
// and whatever else bounds a connection counts too.
func TestSessionsFillUpAsThePlanDoes(t *testing.T) {
	cfg := okx.New().DefaultConfig().Markets["perpetual"]
	cfg.RateLimits.StreamsPerConnection = 40
	table, err := okx.New().Venue(market.Perpetual, cfg)
	if err != nil {
		t.Fatal(err)
	}
	v := &venue{opts: &Options{Config: DefaultConfig()}}
	v.made.Store(&setup{table: table})
	known := table.Builtin()
	v.listing.Store(&listing{table: known})
	var instruments []*market.Instrument
	for n := range 60 {
		i := *known.All()[0]
		i.Symbol, i.Native = i.Symbol+string(rune('A'+n)), i.Native+string(rune('A'+n))
		instruments = append(instruments, &i)
	}
	v.listing.Store(&listing{table: market.NewInstruments(instruments)})
	of := func(channel string, from, to int) (subs []connectors.Subscription) {
		at := table.ChannelIndex(channel)
		if at < 0 {
			t.Fatalf("no channel %s", channel)
		}
		for _, i := range instruments[from:to] {
			subs = append(subs, connectors.Subscription{Channel: at, Instrument: i})
		}
		return subs
	}
	for _, tc := range []struct {
		name      string
		has, adds []connectors.Subscription
		want      bool
	}{
		{"one topic of sixty instruments, and as many tickers as then fit", of("liquidation", 0, 60), of("ticker", 0, 39), true},
		{"one topic of sixty instruments, and one ticker more", of("liquidation", 0, 60), of("ticker", 0, 40), false},
		{"as many tickers as fit, and one more", of("ticker", 0, 40), of("ticker", 40, 41), false},
		{"as many books as a connection may have, and one more", of("books", 0, 29), of("books", 29, 30), false},
		{"as many books as a connection may have, and what is none", of("books", 0, 29), of("ticker", 0, 5), true},
	} {
		have := table.Wire.Plan(tc.has)
		if len(have) != 1 {
			t.Fatalf("%s: planned on %d connections", tc.name, len(have))
		}
		k := newSocket(v, 1, have[0])
		adds := table.Wire.Plan(tc.adds)
		if len(adds) != 1 {
			t.Fatalf("%s: what is added is planned on %d connections", tc.name, len(adds))
		}
		if got := k.fits(adds[0]); got != tc.want {
			t.Errorf("%s: fits is %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestBudgetIsOfAMinute: an exchange may count by another time.
func TestBudgetIsOfAMinute(t *testing.T) {
	cfg := deribit.New().DefaultConfig().Markets["perpetual"]
	o := &Options{Config: DefaultConfig(), Now: time.Now}
	v, err := newVenue(o, Exchange{deribit.New(), connectors.Config{Enabled: true}}, market.Perpetual, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.stats().RESTWeight, cfg.RateLimits.RESTWeightPerMinute; got != want {
		t.Errorf("%d a minute, want %d as configured", got, want)
	}
}
