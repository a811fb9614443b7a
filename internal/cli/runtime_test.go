package cli

import (
	"slices"
	"testing"

	"github.com/marketprism/marketprism/connectors"
)

// The symbols that run-time changes make of the configured ones.
func TestChangesOverTheConfiguration(t *testing.T) {
	cfg := connectors.MarketConfig{Symbols: []string{"btcusdt", "ETH-USDT", "*-EUR"}, DataTypes: []string{"trade", "orderbook"}}
	both := []string{"trade", "book_snapshot"}
	add, remove := "subscribe", "unsubscribe"
	for _, tc := range []struct {
		name    string
		changes []symbolChange
		want    []string
	}{
		{"nothing", nil, cfg.Symbols},
		{"one more", []symbolChange{{add, "SOL-USDT", both[:1]}}, []string{"btcusdt", "ETH-USDT", "*-EUR", "SOL-USDT"}},
		{"one less", []symbolChange{{remove, "BTC-USDT", both}}, []string{"ETH-USDT", "*-EUR"}},
		{"less of one", []symbolChange{{remove, "BTC-USDT", both[:1]}}, cfg.Symbols},
		{"less of it twice", []symbolChange{{remove, "BTC-USDT", both[:1]}, {remove, "BTC-USDT", both[1:]}}, []string{"ETH-USDT", "*-EUR"}},
		{"gone and back", []symbolChange{{remove, "ETH-USDT", both}, {add, "ETH-USDT", both[:1]}}, cfg.Symbols},
		{"of a pattern", []symbolChange{{remove, "BTC-EUR", both}}, cfg.Symbols},
		{"by a pattern", []symbolChange{{remove, "*-EUR", both}}, []string{"btcusdt", "ETH-USDT"}},
		{"the same again", []symbolChange{{add, "BTC-USDT", both}}, cfg.Symbols},
	} {
		m := marketChanges{Exchange: "binance", Market: "spot", Changes: tc.changes}
		got := m.over(cfg, "x")
		if !slices.Equal(got.Items, tc.want) || len(got.Notes) != len(tc.changes) || got.Path != "exchanges.binance.markets.spot.symbols" {
			t.Errorf("%s: %+v, want %v", tc.name, got, tc.want)
		}
	}
}
