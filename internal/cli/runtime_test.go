package cli

import (
	"slices"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/http/client"
)

// The symbols that run-time changes make of the configured ones.
func TestChangesOverTheConfiguration(t *testing.T) {
	cfg := connectors.MarketConfig{Symbols: []string{"btcusdt", "ETH-USDT", "*-EUR"}, DataTypes: []string{"trade", "orderbook"}}
	both := []string{"trade", "book_snapshot"}
	add, remove := "subscribe", "unsubscribe"
	for _, tc := range []struct {
		name    string
		changes []client.SymbolChange
		want    []string
	}{
		{"nothing", nil, cfg.Symbols},
		{"one more", []client.SymbolChange{{Action: add, Symbol: "SOL-USDT", DataTypes: both[:1]}}, []string{"btcusdt", "ETH-USDT", "*-EUR", "SOL-USDT"}},
		{"one less", []client.SymbolChange{{Action: remove, Symbol: "BTC-USDT", DataTypes: both}}, []string{"ETH-USDT", "*-EUR"}},
		{"less of one", []client.SymbolChange{{Action: remove, Symbol: "BTC-USDT", DataTypes: both[:1]}}, cfg.Symbols},
		{"less of it twice", []client.SymbolChange{{Action: remove, Symbol: "BTC-USDT", DataTypes: both[:1]}, {Action: remove, Symbol: "BTC-USDT", DataTypes: both[1:]}}, []string{"ETH-USDT", "*-EUR"}},
		{"gone and back", []client.SymbolChange{{Action: remove, Symbol: "ETH-USDT", DataTypes: both}, {Action: add, Symbol: "ETH-USDT", DataTypes: both[:1]}}, cfg.Symbols},
		{"of a pattern", []client.SymbolChange{{Action: remove, Symbol: "BTC-EUR", DataTypes: both}}, cfg.Symbols},
		{"by a pattern", []client.SymbolChange{{Action: remove, Symbol: "*-EUR", DataTypes: both}}, []string{"btcusdt", "ETH-USDT"}},
		{"the same again", []client.SymbolChange{{Action: add, Symbol: "BTC-USDT", DataTypes: both}}, cfg.Symbols},
	} {
		m := client.MarketChanges{Exchange: "binance", Market: "spot", Changes: tc.changes}
		got := over(&m, cfg, "x")
		if !slices.Equal(got.Items, tc.want) || len(got.Notes) != len(tc.changes) || got.Path != "exchanges.binance.markets.spot.symbols" {
			t.Errorf("%s: %+v, want %v", tc.name, got, tc.want)
		}
	}
}
