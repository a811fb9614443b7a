package okx

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Name is the exchange's name in every record.
const Name = "okx"

// Exchange is OKX; see the package's description.
type Exchange struct{}

// New returns the exchange.
func New() Exchange { return Exchange{} }

// Name implements [connectors.Exchange].
func (Exchange) Name() string { return Name }

// hosts are OKX's own and those of its regional companies; every market is served
// by each.
// https://www.okx.com/docs-v5/en/#overview-production-trading-services
var hosts = []string{
	"ws.okx.com", "wsaws.okx.com", "wseea.okx.com", "wsus.okx.com",
	"www.okx.com", "aws.okx.com", "eea.okx.com", "us.okx.com", "app.okx.com", "my.okx.com", "openapi.okx.com",
}

// bookDepth is the number of levels a side of channel books, and bookSpeed the
// time between two changes of it.
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
const (
	bookDepth = 400
	bookSpeed = 100 * time.Millisecond
)

// limits are OKX's: 3 connections a second and address, 480 subscriptions and
// ends of them an hour and connection. REST calls are counted by path, from 20 in
// 2 seconds; taken together here, at the lowest. The arguments of a connection's
// subscriptions must not exceed 64 KB, and none of ours has more than 64 bytes.
// https://www.okx.com/docs-v5/en/#overview-websocket-connect
// https://www.okx.com/docs-v5/en/#overview-websocket-subscribe
var limits = connectors.Limits{
	Messages: connectors.Rate{N: 3, Per: time.Second}, Demands: connectors.Rate{N: 480, Per: time.Hour},
	Connects: connectors.Rate{N: 900, Per: 5 * time.Minute}, Weight: connectors.Rate{N: 600, Per: time.Minute},
	StreamsPerConnection: 1000,
}

// rules: OKX ends a connection that was silent for 30 s, and expects us to ask for
// a sign of life before. It announces the end of a connection, and has no lifetime.
// https://www.okx.com/docs-v5/en/#overview-websocket-connect
var rules = connectors.WireRules{PingEvery: 20 * time.Second, Ping: []byte("ping"), ReadLimit: 4 << 20}

// DefaultConfig implements [connectors.Exchange].
func (Exchange) DefaultConfig() connectors.Config {
	common := []string{"trade", "book_delta", "book_ticker", "ticker", "candle"}
	spot := marketConfig()
	spot.Enabled, spot.Symbols, spot.DataTypes = true, []string{"BTC-USDT", "ETH-USDT"}, common
	perpetual := marketConfig()
	perpetual.Enabled, perpetual.Symbols = true, []string{"BTC-USDT", "ETH-USDT"}
	perpetual.DataTypes = slices.Concat(common, []string{
		"funding", "mark_price", "index_price", "open_interest", "liquidation", "long_short_ratio"})
	future := marketConfig()
	future.DataTypes = slices.Concat(common, []string{"mark_price", "index_price", "open_interest", "liquidation"})
	option := marketConfig()
	option.DataTypes = []string{"trade", "book_ticker", "ticker", "mark_price", "open_interest"}
	return connectors.Config{Enabled: true, Markets: map[string]connectors.MarketConfig{
		market.Spot.String(): spot, market.Perpetual.String(): perpetual,
		market.Future.String(): future, market.Option.String(): option,
	}}
}

// marketConfig keeps a fifth of each limit for others at the same address.
func marketConfig() connectors.MarketConfig {
	return connectors.MarketConfig{
		WSURL: "wss://ws.okx.com:8443", RESTURL: "https://www.okx.com",
		Depth: bookDepth, DepthSpeed: bookSpeed, Intervals: []string{"1m"},
		RateLimits: connectors.RateLimits{
			RESTWeightPerMinute: limits.Weight.N * 4 / 5, WSMessagesPerSecond: 2,
			WSConnectsPer5Minutes: limits.Connects.N * 4 / 5, StreamsPerConnection: 200,
		},
		Watchdog:  connectors.WatchdogConfig{Enabled: true},
		Reconnect: connectors.DefaultReconnectConfig(),
	}
}

// Venue implements [connectors.Exchange].
func (Exchange) Venue(m market.Market, cfg connectors.MarketConfig) (*connectors.Venue, error) {
	kind, ok := instTypes[m]
	if !ok {
		return nil, fmt.Errorf("okx has no %s market", m)
	}
	if err := check(cfg); err != nil {
		return nil, fmt.Errorf("okx %s: %w", m, err)
	}
	table := lines(m, cfg)
	for name := range cfg.Watchdog.Silence {
		if !slices.ContainsFunc(table, func(l line) bool { return l.Name == name }) {
			return nil, fmt.Errorf("okx %s: watchdog.silence: %q is no channel", m, name)
		}
	}
	return &connectors.Venue{
		Exchange: Name, Market: m, Hosts: hosts, Channels: channelsOf(table), Sequence: newSequence(),
		NewDecoder: func(t *market.Instruments) connectors.Decoder { return newDecoder(m, table, t) },
		Wire:       &wire{base: cfg.WSURL, instType: kind, lines: table, perConnection: cfg.RateLimits.StreamsPerConnection},
		REST:       &rest{base: cfg.RESTURL, market: m, instType: kind, lines: table, families: families(m, cfg)},
		Builtin:    func() *market.Instruments { return builtin(m) },
		Limits:     within(cfg.RateLimits),
	}, nil
}

// instTypes are OKX's words for the markets.
var instTypes = map[market.Market]string{
	market.Spot: "SPOT", market.Perpetual: "SWAP", market.Future: "FUTURES", market.Option: "OPTION",
}

func check(cfg connectors.MarketConfig) error {
	errs := []error{cfg.Validate()}
	if cfg.Depth != bookDepth {
		errs = append(errs, fmt.Errorf("depth: %d; the exchange offers %d alone", cfg.Depth, bookDepth))
	}
	if cfg.DepthSpeed != 0 && cfg.DepthSpeed != bookSpeed {
		errs = append(errs, fmt.Errorf("depth_speed: %v; the exchange offers %v alone", cfg.DepthSpeed, bookSpeed))
	}
	for _, name := range cfg.Intervals {
		if !slices.ContainsFunc(intervals, func(i interval) bool { return i.name == name }) {
			errs = append(errs, fmt.Errorf("intervals: %q is none of %v", name, intervalNames()))
		}
	}
	r := cfg.RateLimits
	for _, c := range []struct {
		key       string
		have, max int
	}{
		{"rest_weight_per_minute", r.RESTWeightPerMinute, limits.Weight.N},
		{"ws_messages_per_second", r.WSMessagesPerSecond, limits.Messages.N},
		{"ws_connects_per_5_minutes", r.WSConnectsPer5Minutes, limits.Connects.N},
		{"streams_per_connection", r.StreamsPerConnection, limits.StreamsPerConnection},
	} {
		if c.have > c.max {
			errs = append(errs, fmt.Errorf("rate_limits.%s: %d is above the exchange's %d", c.key, c.have, c.max))
		}
	}
	return errors.Join(errs...)
}

func within(r connectors.RateLimits) connectors.Limits {
	l := limits
	l.Weight.N, l.Messages.N = r.RESTWeightPerMinute, r.WSMessagesPerSecond
	l.Connects.N, l.StreamsPerConnection = r.WSConnectsPer5Minutes, r.StreamsPerConnection
	return l
}
