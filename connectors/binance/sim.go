package binance

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// Simulations implements [simulator.Simulated].
func (Exchange) Simulations() []simulator.Simulation {
	return []simulator.Simulation{
		simulation("spot", spot, 1, time.Minute, market.Spot),
		// The ids of a symbol are not contiguous there.
		simulation("usdm", usdm, 3, 10*time.Minute, market.Perpetual, market.Future),
	}
}

func simulation(name string, p product, stride int64, pong time.Duration, markets ...market.Market) simulator.Simulation {
	r := &simREST{replayer: replayer{paths: p.paths, futures: name != "spot"}, product: p}
	return simulator.Simulation{
		Name: name, Markets: markets,
		Terms: simulator.Terms{
			Stride: stride, Messages: p.limits.Messages, Connects: p.limits.Connects, Weight: p.limits.Weight,
			StreamsPerConnection: p.limits.StreamsPerConnection, PingEvery: p.rules.ServerPingEvery, PongWithin: pong,
			Lifetime: p.rules.Lifetime, BanAfter: 20,
		},
		Generate: generate,
		Connect: func(u *url.URL, l *simulator.Listing, reply *simulator.Reply) (simulator.Dialogue, bool) {
			conn, ok := r.Connect(u)
			if !ok {
				return nil, false
			}
			c := &simConn{replayConn: conn.(*replayConn), futures: r.futures, listing: l}
			c.group = strings.Split(strings.TrimPrefix(u.Path, "/"), "/")[0]
			c.settle(nil, reply)
			return c, true
		},
		REST: r,
	}
}

// generate makes up a pair with USDT.
func generate(m market.Market, n int) *market.Instrument {
	if m == market.Future {
		return nil
	}
	s := symbolInfo{BaseAsset: simulator.Coin(n), QuoteAsset: "USDT", Status: "TRADING"}
	if m == market.Perpetual {
		s.MarginAsset = "USDT"
	}
	s.Symbol = s.BaseAsset + s.QuoteAsset
	return s.instrument(m)
}

// simConn is a simulated connection: it hears what [replayConn] hears, and tells
// of a market of its own.
type simConn struct {
	*replayConn
	futures bool
	group   string // the first part of the path
	listing *simulator.Listing
}

// Hear implements [simulator.Dialogue].
func (c *simConn) Hear(frame []byte, r *simulator.Reply) {
	before := slices.Clone(c.streams)
	r.Send(c.answer(frame))
	c.settle(before, r)
}

// settle subscribes to what has been asked for since.
func (c *simConn) settle(before []string, r *simulator.Reply) {
	for _, s := range before {
		if !slices.Contains(c.streams, s) {
			r.Unsubscribe(s)
		}
	}
	for _, s := range c.streams {
		if slices.Contains(before, s) {
			continue
		}
		// A stream that does not exist is acknowledged like any other.
		if sub, ok := c.subscription(s); ok {
			r.Subscribe(sub)
		}
	}
}

// The tags of subscriptions: which message is written.
const (
	simTrade = 1 + iota
	simAggTrade
	simDepth
	simBookTicker
	simTicker
	simCandle
	simMarkPrice
	simForceOrder
)

// subscription is what a stream is: "btcusdt@depth@100ms".
func (c *simConn) subscription(stream string) (simulator.Subscription, bool) {
	native, name, _ := strings.Cut(stream, "@")
	name, speed, _ := strings.Cut(name, "@")
	i, known := c.listing.Instrument(strings.ToUpper(native))
	if !known || strings.ToLower(native) != native {
		return simulator.Subscription{}, false
	}
	s := simulator.Subscription{Topic: stream, Market: i.Market, Native: i.Native}
	group := "market"
	switch {
	case name == "trade":
		s.Channel, s.Feed, s.Tag, group = chTrade, simulator.FeedTrades, simTrade, "public"
	case name == "aggTrade":
		s.Channel, s.Feed, s.Tag = chAggTrade, simulator.FeedTrades, simAggTrade
	case name == "depth":
		s.Channel, s.Feed, s.Tag, group = chDepth, simulator.FeedBook, simDepth, "public"
		s.Every = c.depthEvery(speed)
	case name == "bookTicker":
		s.Channel, s.Feed, s.Tag, group = chBookTicker, simulator.FeedQuote, simBookTicker, "public"
	case name == "ticker":
		s.Channel, s.Feed, s.Every, s.Tag = chTicker, simulator.FeedState, time.Second, simTicker
	case strings.HasPrefix(name, "kline_") && slices.Contains(intervals, name[len("kline_"):]):
		s.Interval = name[len("kline_"):]
		s.Channel, s.Feed, s.Every, s.Tag = chCandle+s.Interval, simulator.FeedCandle, time.Second, simCandle
	case name == "markPrice" && c.futures:
		s.Channel, s.Feed, s.Every, s.Tag = chMarkPrice, simulator.FeedState, 3*time.Second, simMarkPrice
		if speed == "1s" {
			s.Every = time.Second
		}
	case name == "forceOrder" && c.futures:
		s.Channel, s.Feed, s.Tag = chLiquidation, simulator.FeedLiquidations, simForceOrder
	default:
		return s, false
	}
	// Under one of the two paths of USD-M nothing comes of the other's streams.
	elsewhere := (c.group == "public" || c.group == "market") && c.group != group
	return s, !elsewhere
}

// depthEvery is the time between two changes of a book.
func (c *simConn) depthEvery(speed string) time.Duration {
	if d, err := time.ParseDuration(speed); err == nil && d >= 0 {
		return d
	}
	if c.futures {
		return 250 * time.Millisecond
	}
	return time.Second
}
