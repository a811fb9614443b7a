package binance

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Name is the exchange's name in every record.
const Name = "binance"

// Exchange is Binance; see the package's description.
type Exchange struct{}

// New returns the exchange.
func New() Exchange { return Exchange{} }

// Name implements [connectors.Exchange].
func (Exchange) Name() string { return Name }

// product is what differs between the spot market and USD-M futures.
type product struct {
	hosts []string
	paths paths
	// depths are the permitted numbers of levels of a snapshot with their weights,
	// ascending; a limit between two costs what the next one does.
	depths []depthWeight
	// exactDepths says that only the listed numbers are permitted.
	exactDepths bool
	speeds      []speed
	limits      connectors.Limits
	sequence    connectors.Sequence
	rules       connectors.WireRules
}

type depthWeight struct{ levels, weight int }

// speed is an update speed of the book and the stream's suffix for it.
type speed struct {
	every  time.Duration
	suffix string
}

// The limits and weights of the spot market:
// https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#general-wss-information
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
var spot = product{
	hosts: []string{
		"stream.binance.com", "data-stream.binance.vision", "api.binance.com", "data-api.binance.vision",
		"api1.binance.com", "api2.binance.com", "api3.binance.com", "api4.binance.com", "api-gcp.binance.com",
	},
	paths:  spotPaths,
	depths: []depthWeight{{100, 5}, {500, 25}, {1000, 50}, {5000, 250}},
	speeds: []speed{{100 * time.Millisecond, "depth@100ms"}, {time.Second, "depth"}},
	limits: connectors.Limits{
		Messages: connectors.Rate{N: 5, Per: time.Second}, Connects: connectors.Rate{N: 300, Per: 5 * time.Minute},
		Weight: connectors.Rate{N: 6000, Per: time.Minute}, StreamsPerConnection: 1024,
	},
	sequence: SpotSequence{},
	rules:    connectors.WireRules{ServerPingEvery: 20 * time.Second, Lifetime: 24 * time.Hour, ReadLimit: 16 << 20},
}

// The limits and weights of USD-M futures:
// https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
// https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Order-Book
var usdm = product{
	hosts:       []string{"fstream.binance.com", "fapi.binance.com"},
	paths:       usdmPaths,
	depths:      []depthWeight{{5, 2}, {10, 2}, {20, 2}, {50, 2}, {100, 5}, {500, 10}, {1000, 20}},
	exactDepths: true,
	speeds: []speed{
		{0, "depth@0ms"}, {100 * time.Millisecond, "depth@100ms"},
		{250 * time.Millisecond, "depth"}, {500 * time.Millisecond, "depth@500ms"},
	},
	limits: connectors.Limits{
		Messages: connectors.Rate{N: 10, Per: time.Second}, Connects: connectors.Rate{N: 300, Per: 5 * time.Minute},
		Weight: connectors.Rate{N: 2400, Per: time.Minute}, StreamsPerConnection: 1024,
	},
	sequence: FuturesSequence{},
	rules:    connectors.WireRules{ServerPingEvery: 3 * time.Minute, Lifetime: 24 * time.Hour, ReadLimit: 16 << 20},
}

// DefaultConfig implements [connectors.Exchange].
func (Exchange) DefaultConfig() connectors.Config {
	derivatives := []string{"funding", "mark_price", "index_price"}
	common := []string{"trade", "book_delta", "book_ticker", "ticker", "candle"}
	s := marketConfig(spot, "wss://stream.binance.com:9443", "https://api.binance.com")
	s.Enabled, s.Symbols, s.DataTypes = true, []string{"BTC-USDT", "ETH-USDT"}, common
	p := marketConfig(usdm, "wss://fstream.binance.com", "https://fapi.binance.com")
	p.Enabled, p.Symbols = true, []string{"BTC-USDT", "ETH-USDT"}
	p.DataTypes = slices.Concat(common, derivatives, []string{"liquidation", "open_interest", "long_short_ratio"})
	f := marketConfig(usdm, "wss://fstream.binance.com", "https://fapi.binance.com")
	f.DataTypes = slices.Concat(common, []string{"mark_price", "index_price", "liquidation", "open_interest"})
	return connectors.Config{Enabled: true, Markets: map[string]connectors.MarketConfig{
		market.Spot.String(): s, market.Perpetual.String(): p, market.Future.String(): f,
	}}
}

// marketConfig keeps a fifth of each limit for others at the same address.
func marketConfig(p product, ws, rest string) connectors.MarketConfig {
	return connectors.MarketConfig{
		WSURL: ws, RESTURL: rest, Depth: 1000, DepthSpeed: 100 * time.Millisecond, Intervals: []string{"1m"},
		RateLimits: connectors.RateLimits{
			RESTWeightPerMinute: p.limits.Weight.N * 4 / 5, WSMessagesPerSecond: p.limits.Messages.N * 4 / 5,
			WSConnectsPer5Minutes: p.limits.Connects.N * 4 / 5, StreamsPerConnection: 200,
		},
		Watchdog:  connectors.WatchdogConfig{Enabled: true},
		Reconnect: connectors.DefaultReconnectConfig(),
	}
}

// Venue implements [connectors.Exchange].
func (Exchange) Venue(m market.Market, cfg connectors.MarketConfig) (*connectors.Venue, error) {
	var p product
	switch m {
	case market.Spot:
		p = spot
	case market.Perpetual, market.Future:
		p = usdm
	default:
		return nil, fmt.Errorf("binance has no %s market", m)
	}
	if err := p.check(cfg); err != nil {
		return nil, fmt.Errorf("binance %s: %w", m, err)
	}
	lines := p.lines(m, cfg)
	for name := range cfg.Watchdog.Silence {
		if indexOf(lines, name) < 0 {
			return nil, fmt.Errorf("binance %s: watchdog.silence: %q is no channel", m, name)
		}
	}
	v := &connectors.Venue{
		Exchange: Name, Market: m, Hosts: p.hosts, Channels: channelsOf(lines), Sequence: p.sequence,
		NewDecoder: func(t *market.Instruments) connectors.Decoder { return newDecoder(m, lines, t) },
		Wire:       &wire{base: cfg.WSURL, lines: lines, rules: p.rules, perConnection: cfg.RateLimits.StreamsPerConnection},
		REST:       &rest{base: cfg.RESTURL, market: m, product: p, lines: lines, depth: cfg.Depth},
		Builtin:    func() *market.Instruments { return builtin(m) },
		Limits:     p.within(cfg.RateLimits),
	}
	return v, nil
}

func (p product) check(cfg connectors.MarketConfig) error {
	errs := []error{cfg.Validate()}
	if _, ok := p.depthWeight(cfg.Depth); !ok {
		errs = append(errs, fmt.Errorf("depth: %d is not one that the exchange offers (up to %d)", cfg.Depth, p.depths[len(p.depths)-1].levels))
	}
	if _, ok := p.depthSuffix(cfg.DepthSpeed); !ok {
		errs = append(errs, fmt.Errorf("depth_speed: the exchange does not offer %v", cfg.DepthSpeed))
	}
	for _, i := range cfg.Intervals {
		if !slices.Contains(intervals, i) {
			errs = append(errs, fmt.Errorf("intervals: %q is none of %v", i, intervals))
		}
	}
	r, l := cfg.RateLimits, p.limits
	for _, c := range []struct {
		key       string
		have, max int
	}{
		{"rest_weight_per_minute", r.RESTWeightPerMinute, l.Weight.N},
		{"ws_messages_per_second", r.WSMessagesPerSecond, l.Messages.N},
		{"ws_connects_per_5_minutes", r.WSConnectsPer5Minutes, l.Connects.N},
		{"streams_per_connection", r.StreamsPerConnection, l.StreamsPerConnection},
	} {
		if c.have > c.max {
			errs = append(errs, fmt.Errorf("rate_limits.%s: %d is above the exchange's %d", c.key, c.have, c.max))
		}
	}
	return errors.Join(errs...)
}

func (p product) within(r connectors.RateLimits) connectors.Limits {
	l := p.limits
	l.Weight.N, l.Messages.N = r.RESTWeightPerMinute, r.WSMessagesPerSecond
	l.Connects.N, l.StreamsPerConnection = r.WSConnectsPer5Minutes, r.StreamsPerConnection
	return l
}

func (p product) depthWeight(levels int) (weight int, ok bool) {
	for _, d := range p.depths {
		if levels == d.levels || levels < d.levels && levels > 0 && !p.exactDepths {
			return d.weight, true
		}
	}
	return 0, false
}

// depthSuffix is the stream for an update speed; 0 is the fastest.
func (p product) depthSuffix(every time.Duration) (suffix string, ok bool) {
	for _, s := range p.speeds {
		if s.every == every || every == 0 {
			return s.suffix, true
		}
	}
	return "", false
}
