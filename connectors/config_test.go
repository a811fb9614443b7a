package connectors_test

import (
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/internal/market"
)

func TestConfigNamesEveryFault(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*connectors.MarketConfig)
		want   []string
	}{
		{"as it is", func(*connectors.MarketConfig) {}, nil},
		{"URLs", func(c *connectors.MarketConfig) { c.WSURL, c.RESTURL = "https://x", "" }, []string{"ws_url", "rest_url"}},
		{"data types", func(c *connectors.MarketConfig) { c.DataTypes = []string{"trades", "nosuch", "kline"} }, []string{`data_types: "nosuch"`}},
		{"numbers", func(c *connectors.MarketConfig) { c.Depth, c.Top, c.Poll = 0, -1, -1 }, []string{"depth", "top", "poll"}},
		{"limits", func(c *connectors.MarketConfig) { c.RateLimits = connectors.RateLimits{} }, []string{
			"rest_weight_per_minute", "ws_messages_per_second", "ws_connects_per_5_minutes", "streams_per_connection"}},
		{"waits", func(c *connectors.MarketConfig) { c.Reconnect.MaxWait, c.Reconnect.AckTimeout = 1, 0 }, []string{"max_wait", "ack_timeout"}},
		{"Binance's depths", func(c *connectors.MarketConfig) { c.Depth = 5001 }, []string{"depth: 5001"}},
		{"Binance's speeds", func(c *connectors.MarketConfig) { c.DepthSpeed = 7 }, []string{"depth_speed"}},
		{"Binance's intervals", func(c *connectors.MarketConfig) { c.Intervals = []string{"7m"} }, []string{"intervals"}},
		{"Binance's limits", func(c *connectors.MarketConfig) { c.RateLimits.WSMessagesPerSecond = 6 }, []string{"above the exchange's 5"}},
	} {
		cfg := binance.New().DefaultConfig().Markets["spot"]
		tc.change(&cfg)
		_, err := binance.New().Venue(market.Spot, cfg)
		if (err == nil) != (len(tc.want) == 0) {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not name %q", tc.name, err, w)
			}
		}
	}
	bad := connectors.Config{Markets: map[string]connectors.MarketConfig{"nosuch": binance.New().DefaultConfig().Markets["spot"]}}
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), `"nosuch" is no market`) {
		t.Errorf("an unknown market: %v", err)
	}
}
