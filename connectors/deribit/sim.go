package deribit

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// Simulations implements [simulator.Simulated]: one host serves all markets.
func (Exchange) Simulations() []simulator.Simulation {
	return []simulator.Simulation{{
		Markets: market.Markets(),
		Terms: simulator.Terms{
			// The numbers of changes count those of all instruments.
			Stride: 11, Messages: limits.Messages, Connects: limits.Connects, Weight: limits.Weight,
		},
		Generate: generate,
		Connect: func(u *url.URL, l *simulator.Listing, _ *simulator.Reply) (simulator.Dialogue, bool) {
			if strings.TrimSuffix(u.Path, "/") != wsPath {
				return nil, false
			}
			return &simConn{listing: l, credits: subscribeCredits}, true
		},
		REST: simREST{},
	}}
}

// generate makes up linear perpetuals and pairs with USDC, and options of one
// expiry with ever further strikes.
func generate(m market.Market, n int) *market.Instrument {
	i := instrumentInfo{Base: simulator.Coin(n), Quote: "USDC", Counter: "USDC", Active: true}
	switch m {
	case market.Spot:
		i.Name, i.Kind = i.Base+"_USDC", "spot"
	case market.Perpetual:
		i.Name, i.Kind, i.Period, i.Settle = i.Base+"_USDC-PERPETUAL", "future", "perpetual", "USDC"
	case market.Option:
		strike := int64(20000 + n/2*500)
		i = instrumentInfo{
			Name: fmt.Sprintf("BTC-29MAR30-%d-C", strike), Kind: "option", Base: "BTC", Quote: "BTC", Counter: "USD", Settle: "BTC",
			Strike: market.NewDecimal(strike, 0), Option: "call", Active: true,
			Expiry: time.Date(2030, 3, 29, 8, 0, 0, 0, time.UTC).UnixMilli(),
			Tick:   market.NewDecimal(1, 4), Smallest: market.NewDecimal(1, 1),
		}
		if n%2 == 1 {
			i.Name, i.Option = strings.TrimSuffix(i.Name, "C")+"P", "put"
		}
	default:
		return nil
	}
	out, err := i.instrument(m)
	if err != nil {
		panic("deribit: a made-up instrument: " + err.Error()) // its members are all above
	}
	return out
}

// A subscription costs 3,000 credits of 30,000, and 10,000 come back a second.
// https://docs.deribit.com/articles/rate-limits
const (
	subscribeCredits = 30_000
	subscribeCost    = 3_000
	creditsPerSecond = 10_000

	codeRawNeedsLogin = 13778
)

// simConn is a simulated connection.
type simConn struct {
	listing  *simulator.Listing
	channels []string
	credits  int64
	counted  int64 // when credits were counted last, Unix ns
	// asked: a test_request waits for its answer. beats counts the heartbeats.
	asked bool
	beats int
}

// Hear implements [simulator.Dialogue].
func (c *simConn) Hear(frame []byte, r *simulator.Reply) {
	var q rpcRequest
	if err := json.Unmarshal(frame, &q); err != nil {
		r.Send(rpcError(nil, rpcParse, "Parse error"))
		return
	}
	if asks, channels := q.channels(); asks {
		c.ask(&q, channels, r)
		return
	}
	result, ok := q.answer()
	switch {
	case !ok:
		r.Send(rpcError(q.ID, rpcNoMethod, "Method not found"))
		return
	case q.Method == "public/set_heartbeat":
		every, ok := heartbeatInterval(q.Params)
		if !ok {
			r.Send(rpcError(q.ID, rpcParams, "Invalid params"))
			return
		}
		r.BeatEvery(every)
	case q.Method == "public/test":
		c.asked = false
	}
	r.Send(rpcResultAt(q.ID, result, r.Now()))
}

// heartbeatInterval is at least 10 seconds.
func heartbeatInterval(params json.RawMessage) (time.Duration, bool) {
	var p struct {
		Interval int64 `json:"interval"`
	}
	if json.Unmarshal(params, &p) != nil || p.Interval < 10 || p.Interval > 3600 {
		return 0, false
	}
	return time.Duration(p.Interval) * time.Second, true
}

// Beat implements [simulator.Beater]: a heartbeat, and every other time a test
// request; who leaves one unanswered is disconnected.
func (c *simConn) Beat(r *simulator.Reply) {
	if c.asked {
		r.Close(websocket.CloseNormalClosure, "test request unanswered")
		return
	}
	kind := "heartbeat"
	if c.beats++; c.beats%2 == 0 {
		kind, c.asked = "test_request", true
	}
	r.Send([]byte(`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"` + kind + `"}}`))
}

// ask subscribes or unsubscribes, and answers with the list of what was done.
func (c *simConn) ask(q *rpcRequest, channels []string, r *simulator.Reply) {
	if !c.afford(r.Now()) {
		r.Send(rpcError(q.ID, codeTooManyRequests, "too_many_requests"))
		r.Close(websocket.ClosePolicyViolation, "too many requests")
		return
	}
	if q.Method == methodUnsubscribe {
		done := []string{}
		for _, ch := range channels {
			if slices.Contains(c.channels, ch) {
				c.channels = slices.DeleteFunc(c.channels, func(o string) bool { return o == ch })
				done = append(done, ch)
				r.Unsubscribe(ch)
			}
		}
		r.Send(rpcResultAt(q.ID, rpcList(done), r.Now()))
		return
	}
	done, begin := []string{}, []simulator.Subscription{}
	for _, ch := range channels {
		sub, needsLogin, ok := c.subscription(ch)
		switch {
		case needsLogin:
			r.Send(rpcError(q.ID, codeRawNeedsLogin, "raw_subscriptions_not_available_for_unauthorized"))
			return
		case !ok || slices.Contains(done, ch):
			continue
		case sub.Feed != 0 && !slices.Contains(c.channels, ch):
			c.channels = append(c.channels, ch)
			begin = append(begin, sub)
		}
		done = append(done, ch)
	}
	r.Send(rpcResultAt(q.ID, rpcList(done), r.Now()))
	for _, s := range begin {
		r.Subscribe(s)
	}
}

// afford takes the credits of a call; false when there are too few.
func (c *simConn) afford(now int64) bool {
	if c.counted > 0 {
		back := min(max(now-c.counted, 0), int64(time.Minute)) / int64(time.Millisecond) * creditsPerSecond / 1000
		c.credits = min(subscribeCredits, c.credits+back)
	}
	c.counted = now
	if c.credits < subscribeCost {
		return false
	}
	c.credits -= subscribeCost
	return true
}

// indexEvery is how often an index moves, and with it the tickers that are told
// whenever something changes.
const indexEvery = time.Second

// subscription is what a channel is: "book.BTC-PERPETUAL.100ms". One without a
// feed exists and stays silent.
func (c *simConn) subscription(channel string) (s simulator.Subscription, needsLogin, ok bool) {
	f, subject, rest := split([]byte(channel))
	if f == noFamily {
		return s, false, false
	}
	i, known := c.subject(f, string(subject))
	if !known {
		return s, false, false
	}
	if string(rest) == "raw" {
		return s, true, false
	}
	s = simulator.Subscription{Topic: channel, Market: i.Market, Native: i.Native, Tag: int(f)}
	every := 100 * time.Millisecond
	if string(rest) == "agg2" {
		every = 2 * time.Second
	}
	switch f {
	case trades:
		s.Channel, s.Feed, s.Together = chTrade, simulator.FeedTrades, true
	case book:
		s.Channel, s.Feed, s.Every, s.Snapshot = chBook, simulator.FeedBook, every, true
	case ticker:
		s.Channel, s.Feed, s.Every = chTicker, simulator.FeedState, max(every, indexEvery)
	case quote:
		s.Channel, s.Feed = chQuote, simulator.FeedQuote
	case chart:
		s.Interval = resolutions[resolution(rest)].interval
		s.Channel, s.Feed, s.Every = chCandle+s.Interval, simulator.FeedCandle, time.Second
	case volatilityIndex:
		s.Channel, s.Feed, s.Every = chVolatilityIndex, simulator.FeedState, indexEvery
		if i.Quote != "USD" {
			s.Feed = 0 // only some currencies have one
		}
	case priceIndex:
		s.Channel, s.Feed, s.Every = chPriceIndex, simulator.FeedState, indexEvery
	}
	return s, false, true
}

// subject is the instrument that a channel is of, or that moves its index.
func (c *simConn) subject(f family, name string) (*market.Instrument, bool) {
	if f != volatilityIndex && f != priceIndex {
		return c.listing.Instrument(name)
	}
	for _, i := range c.listing.Instruments(market.Perpetual) {
		if indexName(i) == name {
			return i, true
		}
	}
	return nil, false
}
