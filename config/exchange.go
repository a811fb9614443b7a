package config

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Exchange is one file of exchanges/. It is owned by package connectors.
type Exchange struct {
	Enabled    bool                  `yaml:"enabled" doc:"false keeps the file and collects nothing."`
	Markets    map[string]Market     `yaml:"markets" doc:"What is collected, by market: spot, perpetual, future, option."`
	RateLimits map[string]RateLimits `yaml:"rate_limits" doc:"The exchange's own limits, by market."`
	Reconnect  Reconnect             `yaml:"reconnect" doc:"How a lost connection comes back."`
}

// Market is one market of an exchange.
type Market struct {
	WSURL           string        `yaml:"ws_url" doc:"WebSocket endpoint of the public streams."`
	WSMarketURL     string        `yaml:"ws_market_url" doc:"Second endpoint, of an exchange that splits its streams; empty when there is one."`
	RESTURL         string        `yaml:"rest_url" doc:"REST endpoint: instruments, snapshots, backfill."`
	Symbols         []string      `yaml:"symbols" doc:"Instruments in any accepted spelling; *-USDT takes every instrument with that quote."`
	Top             int           `yaml:"top" min:"0" max:"10000" doc:"Also the this many instruments of most volume; 0 for none."`
	DataTypes       []string      `yaml:"data_types" enum:"trade,book_delta,book_snapshot,book_ticker,ticker,candle,funding,mark_price,index_price,open_interest,liquidation,long_short_ratio,volatility_index" doc:"Kinds of record to collect."`
	Depth           int           `yaml:"depth" min:"1" max:"10000" doc:"Levels a side of the snapshot that a book starts from."`
	DepthInterval   time.Duration `yaml:"depth_interval" min:"0s" max:"10s" doc:"Pace of book deltas, as the exchange offers it; 0 is as fast as it goes."`
	SnapshotDepth   int           `yaml:"snapshot_depth" min:"1" max:"1000" doc:"Levels a side of a book_snapshot record."`
	SnapshotEvery   time.Duration `yaml:"snapshot_every" min:"100ms" max:"24h" doc:"Interval of book_snapshot records, by event time."`
	CandleIntervals []string      `yaml:"candle_intervals" enum:"1s,1m,3m,5m,15m,30m,1h,2h,4h,6h,8h,12h,1d,3d,1w,1M" doc:"Intervals of candle records."`
	PollEvery       time.Duration `yaml:"poll_every" min:"5s" max:"24h" doc:"Pace of what only REST gives: open interest, ratios."`
}

// RateLimits are one market's limits as the exchange publishes them; the
// session stays below.
type RateLimits struct {
	WeightPerMinute      int `yaml:"weight_per_minute" min:"1" doc:"Request weight of one IP address a minute."`
	MessagesPerSecond    int `yaml:"messages_per_second" min:"1" doc:"Messages that we may send on one connection, pongs included."`
	StreamsPerConnection int `yaml:"streams_per_connection" min:"1" doc:"Subscriptions that one connection may carry."`
	ConnectsPer5Minutes  int `yaml:"connects_per_5m" min:"1" doc:"New connections of one IP address in 5 minutes."`
}

// Reconnect is how a lost connection comes back, and when one is replaced
// before the exchange ends it.
type Reconnect struct {
	Base         time.Duration `yaml:"base" min:"10ms" max:"1m" doc:"Mean wait before the first attempt; doubles with each, with full jitter."`
	Cap          time.Duration `yaml:"cap" min:"1s" max:"1h" doc:"Longest mean wait."`
	ReplaceAfter time.Duration `yaml:"replace_after" min:"1m" doc:"Age at which a connection is replaced, the new one first."`
}

// SetDefaults gives an exchange what its file does not say.
func (e *Exchange) SetDefaults() {
	e.Enabled = true
	e.Reconnect = Reconnect{Base: 500 * time.Millisecond, Cap: 30 * time.Second, ReplaceAfter: 23*time.Hour + 30*time.Minute}
}

// SetDefaults gives a market what its file does not say.
func (m *Market) SetDefaults() {
	m.Depth, m.DepthInterval = 1000, 100*time.Millisecond
	m.SnapshotDepth, m.SnapshotEvery = 20, time.Second
	m.CandleIntervals = []string{"1m"}
	m.PollEvery = 30 * time.Second
}

// SetDefaults gives limits that every exchange allows.
func (r *RateLimits) SetDefaults() {
	*r = RateLimits{WeightPerMinute: 600, MessagesPerSecond: 3, StreamsPerConnection: 100, ConnectsPer5Minutes: 60}
}

// Validate checks the market names and that the waits are in order.
func (e Exchange) Validate() error {
	var errs []error
	for _, name := range sortedKeys(e.Markets) {
		if !slices.Contains([]string{"spot", "perpetual", "future", "option"}, name) {
			errs = append(errs, wrong("markets."+name, "is no market; allowed: spot, perpetual, future, option"))
		}
	}
	for _, name := range sortedKeys(e.RateLimits) {
		if _, ok := e.Markets[name]; !ok {
			errs = append(errs, wrong("rate_limits."+name, "is not one of this exchange's markets"))
		}
	}
	if e.Reconnect.Cap < e.Reconnect.Base {
		errs = append(errs, wrong("reconnect.cap", "must not be below reconnect.base"))
	}
	return errors.Join(errs...)
}

// Validate checks the endpoints and that something is collected.
func (m Market) Validate() error {
	var errs []error
	endpoints := []struct {
		key, url string
		schemes  []string
		optional bool
	}{
		{"ws_url", m.WSURL, []string{"wss", "ws"}, false},
		{"ws_market_url", m.WSMarketURL, []string{"wss", "ws"}, true},
		{"rest_url", m.RESTURL, []string{"https", "http"}, false},
	}
	for _, e := range endpoints {
		u, err := url.Parse(e.url)
		if e.optional && e.url == "" {
			continue
		}
		if err != nil || u.Host == "" || !slices.Contains(e.schemes, u.Scheme) {
			errs = append(errs, wrong(e.key, "must be a URL that starts with %s://", strings.Join(e.schemes, ":// or ")))
		}
	}
	if len(m.Symbols) == 0 && m.Top == 0 {
		errs = append(errs, wrong("symbols", "nothing to collect; name symbols, or set top"))
	}
	return errors.Join(errs...)
}
