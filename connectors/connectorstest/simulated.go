package connectorstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// simulatedSymbols is how many instruments of each market are followed.
const simulatedSymbols = 2

// Simulated runs the exchange against its own simulation, with real sessions on
// real sockets: every data type that it collects by default must come, every
// trade be one of those that happened, and every book be the market's at each
// sequence number that it reaches.
func Simulated(t *testing.T, s Subject) {
	cfg := s.Exchange.DefaultConfig()
	for _, m := range market.Markets() {
		if mc, ok := cfg.Markets[m.String()]; ok {
			t.Run(m.String(), func(t *testing.T) { testSimulated(t, s, m, mc) })
		}
	}
}

// Simulate starts the simulation of one market, and gives its settings.
func Simulate(t testing.TB, s Subject, m market.Market, cfg connectors.MarketConfig, o simulator.Options) (*simulator.Server, connectors.MarketConfig) {
	t.Helper()
	o.Exchanges = []connectors.Exchange{s.Exchange}
	o.Markets = map[string][]market.Market{s.Exchange.Name(): {m}}
	server, err := simulator.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for _, e := range server.Endpoints() {
		if e.Market == m.String() {
			cfg.WSURL, cfg.RESTURL, cfg.Symbols = e.WSURL, e.RESTURL, e.Symbols
		}
	}
	return server, cfg
}

func testSimulated(t *testing.T, s Subject, m market.Market, cfg connectors.MarketConfig) {
	server, cfg := Simulate(t, s, m, cfg, simulator.Options{Seed: 11, Rate: 100, Symbols: simulatedSymbols})
	if len(cfg.Symbols) == 0 {
		t.Skip("no instrument of this market that trades")
	}
	v, err := s.Exchange.Venue(m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := Follow(t, server, v, cfg)
	kinds, err := cfg.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f.Wait(ctx, func() string { return f.missing(kinds) }); err != nil {
		t.Error(err)
	}
	f.Stop()
	f.Check()
}

// missing says what has not come yet.
func (f *Follower) missing(kinds []market.Kind) string {
	var out []string
	for _, k := range kinds {
		wanted := 1
		if k == market.KindTrade || k == market.KindBookDelta {
			wanted = 100
		}
		if k != market.KindBookSnapshot && f.records[k] < wanted {
			out = append(out, fmt.Sprintf("%s: %d of %d", k, f.records[k], wanted))
		}
	}
	if f.books < 20 && slices.Contains(kinds, market.KindBookDelta) {
		out = append(out, fmt.Sprintf("books compared: %d of 20", f.books))
	}
	return strings.Join(out, ", ")
}
