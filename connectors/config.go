package connectors

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Config is the settings of one exchange: config/exchanges/<exchange>.yaml.
type Config struct {
	Enabled bool `yaml:"enabled" doc:"Whether the exchange is collected."`
	// Markets is keyed by the market's word: "spot", "perpetual", "future",
	// "option".
	Markets map[string]MarketConfig `yaml:"markets" doc:"Markets of the exchange by their word: spot, perpetual, future, option."`
}

// MarketConfig is the settings of one market of an exchange. The defaults are
// those of [Exchange.DefaultConfig].
type MarketConfig struct {
	Enabled bool `yaml:"enabled" doc:"Whether this market of the exchange is collected."`
	// WSURL and RESTURL are scheme and host; the paths are the exchange's.
	WSURL   string `yaml:"ws_url" doc:"Scheme and host of the WebSocket server; the paths are the exchange's."`
	RESTURL string `yaml:"rest_url" doc:"Scheme and host of the REST server; the paths are the exchange's."`
	// Symbols in any accepted spelling, or patterns: "BTC-USDT", "*-USDT".
	Symbols []string `yaml:"symbols" doc:"Instruments in any accepted spelling, or patterns: BTC-USDT, *-USDT."`
	// Top adds the N instruments with the highest volume; 0 adds none.
	Top int `yaml:"top" doc:"Adds so many instruments, those with the highest volume; 0 adds none."`
	// DataTypes are kinds by name, table or alias: "trade", "orderbook".
	DataTypes []string `yaml:"data_types" doc:"What is collected, by kind, table or alias: trade, orderbook."`
	// Depth is the number of levels a side of a REST snapshot.
	Depth int `yaml:"depth" doc:"Levels a side of a REST snapshot of a book."`
	// DepthSpeed is the time between two changes of a book; 0 is the fastest that
	// the exchange offers.
	DepthSpeed time.Duration `yaml:"depth_speed" doc:"Time between two changes of a book; 0 is the fastest that the exchange offers."`
	// Intervals of candles: "1m", "1h".
	Intervals []string `yaml:"intervals" doc:"Intervals of the candles: 1m, 1h."`
	// Poll overrides the time between two calls of every polled channel; 0 keeps
	// each channel's own.
	Poll       time.Duration   `yaml:"poll" doc:"Time between two calls of every polled channel; 0 keeps each channel's own."`
	RateLimits RateLimits      `yaml:"rate_limits" doc:"How hard the exchange may be pressed; at most its own limits."`
	Watchdog   WatchdogConfig  `yaml:"watchdog" doc:"When silence is a fault."`
	Reconnect  ReconnectConfig `yaml:"reconnect" doc:"How sockets are made and replaced."`
}

// RateLimits are how hard we may press the exchange: at most its own limits.
type RateLimits struct {
	// RESTWeightPerMinute is how much of the budget we use.
	RESTWeightPerMinute int `yaml:"rest_weight_per_minute" doc:"REST request weight that may be used in a minute."`
	// WSMessagesPerSecond is how many frames we send on one connection, pongs
	// included.
	WSMessagesPerSecond int `yaml:"ws_messages_per_second" doc:"Frames that may be sent on one connection in a second, pongs included."`
	// WSConnectsPer5Minutes is how many connections we try.
	WSConnectsPer5Minutes int `yaml:"ws_connects_per_5_minutes" doc:"Connections that may be tried in five minutes."`
	// StreamsPerConnection is how many subscriptions share one socket.
	StreamsPerConnection int `yaml:"streams_per_connection" doc:"Subscriptions that share one socket."`
}

// WatchdogConfig says when silence is a fault.
type WatchdogConfig struct {
	Enabled bool `yaml:"enabled" doc:"Whether a channel that has fallen silent is subscribed to again, and its socket replaced."`
	// Silence replaces a channel's own limit, by channel name; 0 switches the
	// channel's off.
	Silence map[string]time.Duration `yaml:"silence" doc:"Longest silence of a channel, by channel name, in place of its own; 0 switches it off."`
}

// ReconnectConfig is how sockets are made and replaced.
type ReconnectConfig struct {
	// InitialWait is the upper bound of the first wait, MaxWait of every; each
	// wait is drawn evenly between zero and its bound.
	InitialWait time.Duration `yaml:"initial_wait" doc:"Upper bound of the first wait before a new attempt, doubled each time; waits are drawn evenly between zero and their bound."`
	MaxWait     time.Duration `yaml:"max_wait" doc:"Upper bound of every wait before a new attempt."`
	// DialTimeout bounds connection, TLS and upgrade together.
	DialTimeout time.Duration `yaml:"dial_timeout" doc:"Bounds connection, TLS and upgrade together."`
	// AckTimeout is how long a subscription may stay unanswered.
	AckTimeout time.Duration `yaml:"ack_timeout" doc:"How long a subscription may stay unanswered."`
	// ReplaceBefore is how long before the end of its life a connection is
	// replaced.
	ReplaceBefore time.Duration `yaml:"replace_before" doc:"How long before the end of its life a connection is replaced."`
	// HealthyAfter is how long a connection must live for the waits to start anew.
	HealthyAfter time.Duration `yaml:"healthy_after" doc:"How long a connection must have lived for the waits to start anew."`
}

// DefaultReconnectConfig is the same for every exchange.
func DefaultReconnectConfig() ReconnectConfig {
	return ReconnectConfig{
		InitialWait: time.Second, MaxWait: time.Minute,
		DialTimeout: 10 * time.Second, AckTimeout: 10 * time.Second,
		ReplaceBefore: 10 * time.Minute, HealthyAfter: time.Minute,
	}
}

// Kinds are the data types as kinds; the error names those that are none.
func (c MarketConfig) Kinds() ([]market.Kind, error) {
	var kinds []market.Kind
	var errs []error
	for _, name := range c.DataTypes {
		k, ok := market.ParseKind(name)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("data_types: %q is no data type", name))
		case !slices.Contains(kinds, k):
			kinds = append(kinds, k)
		}
	}
	return kinds, errors.Join(errs...)
}

// Validate reports everything that no exchange could accept. An exchange's own
// rules (depths, intervals) are checked by [Exchange.Venue].
func (c Config) Validate() error {
	var errs []error
	for name, m := range c.Markets {
		if _, ok := market.ParseMarket(name); !ok {
			errs = append(errs, fmt.Errorf("markets: %q is no market (spot, perpetual, future, option)", name))
		}
		if err := m.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("markets.%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Validate reports everything that no exchange could accept.
func (c MarketConfig) Validate() error {
	_, kinds := c.Kinds()
	errs := []error{
		checkURL("ws_url", c.WSURL, "ws", "wss"),
		checkURL("rest_url", c.RESTURL, "http", "https"),
		kinds,
		c.Reconnect.validate(),
	}
	for name, n := range map[string]int{
		"depth": c.Depth, "rate_limits.rest_weight_per_minute": c.RateLimits.RESTWeightPerMinute,
		"rate_limits.ws_messages_per_second":    c.RateLimits.WSMessagesPerSecond,
		"rate_limits.ws_connects_per_5_minutes": c.RateLimits.WSConnectsPer5Minutes,
		"rate_limits.streams_per_connection":    c.RateLimits.StreamsPerConnection,
	} {
		if n <= 0 {
			errs = append(errs, fmt.Errorf("%s: %d is not above zero", name, n))
		}
	}
	if c.Top < 0 {
		errs = append(errs, fmt.Errorf("top: %d is below zero", c.Top))
	}
	if c.DepthSpeed < 0 || c.Poll < 0 {
		errs = append(errs, errors.New("depth_speed and poll: a time below zero"))
	}
	for name, d := range c.Watchdog.Silence {
		if d < 0 {
			errs = append(errs, fmt.Errorf("watchdog.silence.%s: %v is below zero", name, d))
		}
	}
	return errors.Join(errs...)
}

func (c ReconnectConfig) validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{
		"initial_wait": c.InitialWait, "max_wait": c.MaxWait, "dial_timeout": c.DialTimeout,
		"ack_timeout": c.AckTimeout, "replace_before": c.ReplaceBefore, "healthy_after": c.HealthyAfter,
	} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("reconnect.%s: %v is not above zero", name, d))
		}
	}
	if c.MaxWait < c.InitialWait {
		errs = append(errs, fmt.Errorf("reconnect.max_wait: %v is below initial_wait", c.MaxWait))
	}
	return errors.Join(errs...)
}

func checkURL(key, text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if !slices.Contains(schemes, u.Scheme) || u.Host == "" {
		return fmt.Errorf("%s: %q is not a %s URL", key, text, schemes[0])
	}
	return nil
}
