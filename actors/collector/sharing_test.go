package collector

import (
	"testing"

	"github.com/marketprism/marketprism/connectors"
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
