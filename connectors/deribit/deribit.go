package deribit

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Name is the exchange's name in every record.
const Name = "deribit"

// Exchange is Deribit; see the package's description.
type Exchange struct{}

// New returns the exchange.
func New() Exchange { return Exchange{} }

// Name implements [connectors.Exchange].
func (Exchange) Name() string { return Name }

// One host serves all markets.
var hosts = []string{"www.deribit.com", "deribit.com", "test.deribit.com"}

// Credits are counted per call and come back at a steady rate: a call costs 500
// of 50,000 (10,000 come back a second), public/subscribe 3,000 of 30,000
// (10,000 a second: 3.3 calls), public/get_instruments 10,000 (one call a
// second). A weight of ours is 500 credits. Whoever exceeds them gets
// too_many_requests (10028) and loses the connection. At most 32 connections may
// be open from one address.
// https://docs.deribit.com/articles/rate-limits
// https://docs.deribit.com/articles/connection-management-best-practices
const (
	callWeight        = 1
	instrumentsWeight = 20
)

// limits are Deribit's; that of connects is ours, for want of a documented one,
// and so is the number of subscriptions on a connection.
var limits = connectors.Limits{
	Messages: connectors.Rate{N: 20, Per: time.Second}, Demands: connectors.Rate{N: 10, Per: 3 * time.Second},
	Connects: connectors.Rate{N: 100, Per: 5 * time.Minute}, Weight: connectors.Rate{N: 1200, Per: time.Minute},
	StreamsPerConnection: 1000,
}

// budgetWindow is the time over which our own budget is counted: short, so that
// two budgets used back to back stay below the 100 calls that may be made at once.
const budgetWindow = 2 * time.Second

// speeds are the update speeds of a book and the channel's word for each. The
// third, raw, is for those who are logged in.
// https://docs.deribit.com/subscriptions/orderbook/bookinstrument_nameinterval
var speeds = []struct {
	every    time.Duration
	interval string
}{{100 * time.Millisecond, "100ms"}, {2 * time.Second, "agg2"}}

// DefaultConfig implements [connectors.Exchange].
func (Exchange) DefaultConfig() connectors.Config {
	common := []string{"trade", "book_delta", "book_ticker", "ticker", "candle", "mark_price", "index_price"}
	perpetual := marketConfig(common, "open_interest", "liquidation", "funding", "volatility_index")
	perpetual.Enabled, perpetual.Symbols = true, []string{"BTC-USD", "ETH-USD"}
	return connectors.Config{Enabled: true, Markets: map[string]connectors.MarketConfig{
		market.Spot.String():      marketConfig(common),
		market.Perpetual.String(): perpetual,
		market.Future.String():    marketConfig(common, "open_interest", "liquidation"),
		market.Option.String():    marketConfig(common, "open_interest", "liquidation"),
	}}
}

// marketConfig keeps a fifth of each limit for others at the same address, and
// shares the budget of calls between the four markets, which have one host.
func marketConfig(common []string, more ...string) connectors.MarketConfig {
	return connectors.MarketConfig{
		WSURL: "wss://www.deribit.com", RESTURL: "https://www.deribit.com",
		DataTypes: slices.Concat(common, more), Depth: 10000, DepthSpeed: 100 * time.Millisecond, Intervals: []string{"1m"},
		RateLimits: connectors.RateLimits{
			RESTWeightPerMinute: limits.Weight.N / 5, WSMessagesPerSecond: limits.Messages.N * 4 / 5,
			WSConnectsPer5Minutes: limits.Connects.N * 4 / 5, StreamsPerConnection: 400,
		},
		Watchdog:  connectors.WatchdogConfig{Enabled: true},
		Reconnect: connectors.DefaultReconnectConfig(),
	}
}

// Venue implements [connectors.Exchange].
func (Exchange) Venue(m market.Market, cfg connectors.MarketConfig) (*connectors.Venue, error) {
	if m > market.Option {
		return nil, fmt.Errorf("deribit has no %s market", m)
	}
	if err := check(cfg); err != nil {
		return nil, fmt.Errorf("deribit %s: %w", m, err)
	}
	table := lines(m, cfg)
	for name := range cfg.Watchdog.Silence {
		if indexOf(table, name) < 0 {
			return nil, fmt.Errorf("deribit %s: watchdog.silence: %q is no channel", m, name)
		}
	}
	return &connectors.Venue{
		Exchange: Name, Market: m, Hosts: hosts, Channels: channelsOf(table), Sequence: Sequence{},
		NewDecoder: func(t *market.Instruments) connectors.Decoder { return newDecoder(m, table, t) },
		Wire:       &wire{base: cfg.WSURL, lines: table, perConnection: cfg.RateLimits.StreamsPerConnection},
		REST:       &rest{base: cfg.RESTURL, market: m, lines: table},
		Builtin:    func() *market.Instruments { return builtin(m) },
		Limits:     within(cfg.RateLimits),
	}, nil
}

func check(cfg connectors.MarketConfig) error {
	errs := []error{cfg.Validate()}
	if _, ok := depthInterval(cfg.DepthSpeed); !ok {
		errs = append(errs, fmt.Errorf("depth_speed: the exchange does not offer %v without a login", cfg.DepthSpeed))
	}
	for _, i := range cfg.Intervals {
		if resolutionOf(i) == "" {
			errs = append(errs, fmt.Errorf("intervals: %q is none of %v", i, intervals()))
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
	l.Weight = connectors.Rate{N: max(1, int(int64(r.RESTWeightPerMinute)*int64(budgetWindow)/int64(time.Minute))), Per: budgetWindow}
	l.Messages.N, l.Connects.N, l.StreamsPerConnection = r.WSMessagesPerSecond, r.WSConnectsPer5Minutes, r.StreamsPerConnection
	return l
}

// depthInterval is the channel's word for an update speed; 0 is the fastest.
func depthInterval(every time.Duration) (interval string, ok bool) {
	for _, s := range speeds {
		if s.every == every || every == 0 {
			return s.interval, true
		}
	}
	return "", false
}
