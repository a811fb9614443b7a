package okx

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// legacy is the profile of OKX before 2023: books without ids, with a checksum.
const legacy = "legacy"

// Simulations implements [simulator.Simulated]: one host serves all markets.
func (Exchange) Simulations() []simulator.Simulation {
	return []simulator.Simulation{simulation(""), simulation(legacy)}
}

func simulation(profile string) simulator.Simulation {
	return simulator.Simulation{
		Profile: profile,
		Markets: []market.Market{market.Spot, market.Perpetual, market.Future, market.Option},
		Terms: simulator.Terms{
			// Ids jump.
			Stride: 7, Connects: limits.Connects, Weight: limits.Weight,
			StreamsPerConnection: limits.StreamsPerConnection, Idle: 30 * time.Second,
		},
		Generate: generate,
		Shape:    shape,
		Connect: func(u *url.URL, l *simulator.Listing, _ *simulator.Reply) (simulator.Dialogue, bool) {
			path, ok := endpoint(u)
			return &simConn{replayConn: replayConn{path: path}, listing: l, legacy: profile == legacy}, ok
		},
		REST: simREST{},
	}
}

// shape lets amounts be whole contracts where the lot is not known.
func shape(i *market.Instrument) simulator.Shape {
	s := simulator.ShapeOf(i)
	if i.ContractSize.IsSet() && !i.AmountStep.IsSet() {
		s.AmountStep = i.ContractSize
	}
	return s
}

// generate makes up pairs, swaps and futures with USDT, and options of one expiry
// with ever further strikes.
func generate(m market.Market, n int) *market.Instrument {
	coin := simulator.Coin(n)
	row := instrumentInfo{InstFamily: coin + "-USDT", SettleCcy: "USDT", CtVal: "1", CtMult: "1", State: "live"}
	expiry := time.Date(2030, 3, 29, 8, 0, 0, 0, time.UTC)
	row.ExpTime = fmt.Sprint(expiry.UnixMilli())
	switch m {
	case market.Spot:
		row.InstID, row.BaseCcy, row.QuoteCcy, row.SettleCcy = row.InstFamily, coin, "USDT", ""
	case market.Perpetual:
		row.InstID = row.InstFamily + "-SWAP"
	case market.Future:
		row.InstID = row.InstFamily + "-" + expiry.Format("060102")
	case market.Option:
		row.Stk, row.OptType, row.TickSz, row.LotSz = fmt.Sprint(20000+n/2*500), "CP"[n%2:][:1], "0.0001", "1"
		row.InstFamily, row.SettleCcy, row.CtMult = "BTC-USD", "BTC", "0.01"
		row.InstID = fmt.Sprintf("BTC-USD-%s-%s-%s", expiry.Format("060102"), row.Stk, row.OptType)
	}
	i, err := row.instrument(m)
	if err != nil || i == nil {
		panic(fmt.Sprintf("okx: a made-up instrument: %v", err)) // its members are all above
	}
	return i
}

// simConn is a simulated connection.
type simConn struct {
	replayConn
	listing *simulator.Listing
	legacy  bool
	// demands are the times of the last hour's, Unix ns.
	demands []int64
}

// Hear implements [simulator.Dialogue].
func (c *simConn) Hear(frame []byte, r *simulator.Reply) {
	if string(frame) != "ping" && !c.afford(r.Now()) {
		r.Send(refusal("", codeTooMany, "Requests too frequent"))
		return
	}
	type change struct {
		op  string
		sub simulator.Subscription
	}
	var changes []change
	replies := c.hear(frame, func(op string, a argument) string {
		sub, ok := c.subscription(a)
		if !ok {
			return fmt.Sprintf("Wrong URL or channel:%s,instId:%s doesn't exist. Please use the correct URL, channel and parameters referring to API document.", a.Channel, a.subject())
		}
		c.change(op, a)
		changes = append(changes, change{op, sub})
		return ""
	})
	for _, reply := range replies {
		r.Send(reply)
	}
	for _, x := range changes {
		if x.op == "subscribe" {
			r.Subscribe(x.sub)
		} else {
			r.Unsubscribe(x.sub.Topic)
		}
	}
}

// afford counts a demand: 480 an hour.
// https://www.okx.com/docs-v5/en/#overview-websocket-connect
func (c *simConn) afford(now int64) bool {
	old := now - int64(limits.Demands.Per)
	c.demands = slices.DeleteFunc(c.demands, func(t int64) bool { return t <= old })
	if len(c.demands) >= limits.Demands.N {
		return false
	}
	c.demands = append(c.demands, now)
	return true
}

// The tags of subscriptions: which message is written.
const (
	simTrade = 1 + iota
	simTrades
	simBook
	simQuote
	simTicker
	simCandle
	simMark
	simIndex
	simOpenInterest
	simFunding
	simLiquidation
)

// simChannel is how a channel is made.
type simChannel struct {
	sub  simulator.Subscription
	path string
}

var simChannels = map[string]simChannel{
	"trades-all": {simulator.Subscription{Channel: "trades_all", Feed: simulator.FeedTrades, Tag: simTrade}, business},
	"trades":     {simulator.Subscription{Channel: "trades", Feed: simulator.FeedTrades, Together: true, Tag: simTrades}, public},
	"books":      {simulator.Subscription{Channel: "books", Feed: simulator.FeedBook, Every: bookSpeed, Snapshot: true, Tag: simBook}, public},
	"bbo-tbt":    {simulator.Subscription{Channel: "book_ticker", Feed: simulator.FeedQuote, Tag: simQuote}, public},
	"tickers":    {simulator.Subscription{Channel: "ticker", Feed: simulator.FeedState, Every: time.Second, Tag: simTicker}, public},
	"mark-price": {simulator.Subscription{Channel: "mark_price", Feed: simulator.FeedState, Every: time.Second, Tag: simMark}, public},
	"index-tickers": {simulator.Subscription{
		Channel: "index_price", Feed: simulator.FeedState, Every: time.Second, Tag: simIndex}, public},
	"open-interest": {simulator.Subscription{
		Channel: "open_interest", Feed: simulator.FeedState, Every: 3 * time.Second, Tag: simOpenInterest}, public},
	"funding-rate": {simulator.Subscription{
		Channel: "funding", Feed: simulator.FeedState, Every: 30 * time.Second, Tag: simFunding}, public},
	"liquidation-orders": {simulator.Subscription{Channel: "liquidation", Feed: simulator.FeedLiquidations, Tag: simLiquidation}, public},
}

// subscription is what a topic is; false for one that OKX does not have, or not
// under this path.
func (c *simConn) subscription(a argument) (simulator.Subscription, bool) {
	ch, ok := simChannels[a.Channel]
	if name, candle := strings.CutPrefix(a.Channel, "candle"); candle {
		at := slices.IndexFunc(intervals, func(i interval) bool { return i.okx == name })
		if at < 0 {
			return ch.sub, false
		}
		ch.path, ok = business, true
		ch.sub = simulator.Subscription{
			Channel: "candle_" + intervals[at].name, Feed: simulator.FeedCandle, Every: time.Second, Interval: intervals[at].name, Tag: simCandle,
		}
	}
	if !ok || ch.path != c.path {
		return ch.sub, false
	}
	s := ch.sub
	s.Topic = a.Channel + ":" + a.subject()
	s.Checksum = c.legacy && s.Tag == simBook
	if s.Tag == simLiquidation {
		for m, word := range instTypes {
			if word == a.InstType && m != market.Spot {
				s.Market = m
				return s, true
			}
		}
		return s, false
	}
	i, known := c.listing.Instrument(a.InstID)
	if s.Tag == simIndex {
		i, known = c.indexed(a.InstID)
	}
	if !known || s.Tag == simFunding && i.Market != market.Perpetual || s.Tag >= simMark && i.Market == market.Spot {
		return s, false
	}
	s.Market, s.Native = i.Market, i.Native
	return s, true
}

// indexed is an instrument that has an index.
func (c *simConn) indexed(index string) (*market.Instrument, bool) {
	for _, m := range []market.Market{market.Perpetual, market.Future, market.Option} {
		for _, i := range c.listing.Instruments(m) {
			if indexName(i) == index {
				return i, true
			}
		}
	}
	return nil, false
}

// Leave implements [simulator.Leaver].
// https://www.okx.com/docs-v5/en/#overview-websocket-notification
func (c *simConn) Leave(r *simulator.Reply) {
	r.Send([]byte(`{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"` + connID + `"}`))
}
