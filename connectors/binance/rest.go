package binance

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// paths are the REST calls of a product with their weights.
type paths struct {
	instruments, volumes, depth, trades, oldTrades            string
	instrumentsWeight, volumesWeight, tradesWeight, oldWeight int
}

// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
var spotPaths = paths{
	instruments: "/api/v3/exchangeInfo", volumes: "/api/v3/ticker/24hr", depth: "/api/v3/depth", trades: "/api/v3/trades", oldTrades: "/api/v3/historicalTrades",
	instrumentsWeight: 20, volumesWeight: 80, tradesWeight: 25, oldWeight: 25,
}

// https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data
var usdmPaths = paths{
	instruments: "/fapi/v1/exchangeInfo", volumes: "/fapi/v1/ticker/24hr", depth: "/fapi/v1/depth", trades: "/fapi/v1/trades", oldTrades: "/fapi/v1/historicalTrades",
	instrumentsWeight: 1, volumesWeight: 40, tradesWeight: 5, oldWeight: 20,
}

// The number of trades that one call gives, spot and futures alike. (Futures:
// historicalTrades gives 500.)
const (
	tradesPage       = 1000
	futuresOldTrades = 500
)

// ratioPeriod is the shortest that the exchange offers.
const ratioPeriod = "5m"

// rest is the REST interface of one market.
type rest struct {
	base    string
	market  market.Market
	product product
	lines   []line
	depth   int
}

// Used implements [connectors.Metered].
func (*rest) Used(h http.Header) (int, bool) {
	n, err := strconv.Atoi(h.Get("X-Mbx-Used-Weight-1m"))
	return n, err == nil
}

// Request implements [connectors.REST].
func (r *rest) Request(n connectors.Need) (connectors.Request, error) {
	p := r.product.paths
	if n.Kind == connectors.NeedInstruments {
		return r.call(n, p.instruments, p.instrumentsWeight, 0), nil
	}
	if n.Kind == connectors.NeedVolumes {
		return r.call(n, p.volumes, p.volumesWeight, 0), nil
	}
	if n.Instrument == nil {
		return connectors.Request{}, fmt.Errorf("%s of no instrument: %w", n.Kind, connectors.ErrUnsupported)
	}
	switch n.Kind {
	case connectors.NeedSnapshot:
		weight, _ := r.product.depthWeight(r.depth)
		return r.call(n, p.depth, weight, 0, "limit", strconv.Itoa(r.depth)), nil
	case connectors.NeedRecentTrades:
		return r.call(n, p.trades, p.tradesWeight, tradesPage, "limit", strconv.Itoa(tradesPage)), nil
	case connectors.NeedTradesFrom:
		page := r.oldPage()
		return r.call(n, p.oldTrades, p.oldWeight, page, "limit", strconv.Itoa(page), "fromId", strconv.FormatInt(n.FromID, 10)), nil
	case connectors.NeedPoll:
		if n.Channel >= 0 && n.Channel < len(r.lines) && r.lines[n.Channel].path != "" {
			return r.poll(n, r.lines[n.Channel]), nil
		}
	case connectors.NeedHistory:
		return r.history(n)
	case connectors.NeedTradeAt:
		return r.tradeAt(n), nil
	}
	return connectors.Request{}, fmt.Errorf("%s: %w", n.Kind, connectors.ErrUnsupported)
}

func (r *rest) oldPage() int {
	if r.market == market.Spot {
		return tradesPage
	}
	return futuresOldTrades
}

// poll asks for the last two periods of a ratio: one is published some seconds
// after its end, and the key makes a repeat harmless.
func (r *rest) poll(n connectors.Need, l line) connectors.Request {
	if l.ratioKind == "" {
		return r.call(n, l.path, l.weight(), 0)
	}
	return r.call(n, l.path, l.weight(), 0, "period", ratioPeriod, "limit", "2")
}

// weight is what polling costs; the ratios have a budget of their own, of 1000
// calls in 5 minutes.
func (l line) weight() int {
	if l.ratioKind != "" {
		return 0
	}
	return 1
}

func (r *rest) call(n connectors.Need, path string, weight, page int, query ...string) connectors.Request {
	var q strings.Builder
	if n.Instrument != nil {
		q.WriteString("?symbol=" + url.QueryEscape(n.Instrument.Native))
	}
	for i := 0; i < len(query); i += 2 {
		q.WriteString("&" + query[i] + "=" + url.QueryEscape(query[i+1]))
	}
	return connectors.Request{Need: n, URL: strings.TrimSuffix(r.base, "/") + path + q.String(), Weight: weight, PageSize: page}
}

// Recognise implements [connectors.REST].
func (r *rest) Recognise(u *url.URL, known *market.Instruments) (connectors.Request, bool) {
	p, q := r.product.paths, u.Query()
	req := connectors.Request{URL: u.String(), Weight: 1}
	switch u.Path {
	case p.instruments:
		req.Kind, req.Weight = connectors.NeedInstruments, p.instrumentsWeight
		return req, true
	case p.volumes:
		req.Kind, req.Weight = connectors.NeedVolumes, p.volumesWeight
		return req, q.Get("symbol") == ""
	case p.depth:
		req.Kind = connectors.NeedSnapshot
		if n, err := strconv.Atoi(q.Get("limit")); err == nil {
			req.Weight, _ = r.product.depthWeight(n)
		}
	case p.trades:
		req.Kind, req.Weight, req.PageSize = connectors.NeedRecentTrades, p.tradesWeight, tradesPage
	case p.oldTrades:
		req.Kind, req.Weight, req.PageSize = connectors.NeedTradesFrom, p.oldWeight, r.oldPage()
		if id, err := strconv.ParseInt(q.Get("fromId"), 10, 64); err == nil {
			req.FromID = id
		}
	default:
		req.Channel = -1
		for i, l := range r.lines {
			if l.path != "" && l.path == u.Path {
				req.Kind, req.Channel, req.Weight = connectors.NeedPoll, i, l.weight()
			}
		}
		if req.Channel < 0 {
			return connectors.Request{}, false
		}
	}
	inst, ok := known.Native([]byte(q.Get("symbol")))
	req.Instrument = inst
	return req, ok
}

// Decode implements [connectors.REST].
func (r *rest) Decode(req connectors.Request, body []byte, rc connectors.Receipt, out *market.Batch) error {
	d := &decoder{futures: r.market != market.Spot}
	d.s.Reset(body, 0)
	m := message{frame: body, rc: rc, out: out}
	before := out.Len()
	switch req.Kind {
	case connectors.NeedSnapshot:
		d.snapshot(m, req)
	case connectors.NeedRecentTrades, connectors.NeedTradesFrom:
		d.pastTrades(m, req)
	case connectors.NeedPoll:
		if r.lines[req.Channel].ratioKind == "" {
			d.openInterest(m, req)
		} else {
			d.ratios(m, req, r.lines[req.Channel].ratioKind)
		}
	case connectors.NeedHistory:
		p, err := connectors.PastOf(r.pasts(), req.Need)
		if err != nil {
			return fmt.Errorf("records of %w", err)
		}
		p.read(d, m, req, &p)
	default:
		return fmt.Errorf("records of %s: %w", req.Kind, connectors.ErrUnsupported)
	}
	d.s.End()
	err := d.s.Err()
	if err != nil {
		out.Truncate(before)
	}
	return err
}

// snapshot reads {"lastUpdateId":…,"E":…,"T":…,"bids":[…],"asks":[…]}; E and T are
// the futures'.
func (d *decoder) snapshot(m message, req connectors.Request) {
	s := &d.s
	last, at := int64(-1), int64(0)
	var bids, asks []market.Level
	hasBids, hasAsks := false, false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "lastUpdateId":
			last = s.Int()
		case "T":
			at = d.time()
		case "bids":
			bids, hasBids = s.Levels(m.out), true
		case "asks":
			asks, hasAsks = s.Levels(m.out), true
		default:
			s.Skip()
		}
	}
	if last < 0 || !hasBids || !hasAsks || d.futures && at == 0 {
		s.Fail("a snapshot without lastUpdateId, bids, asks or its time")
	}
	if s.Err() != nil {
		return
	}
	b := market.Add[market.BookDelta](m.out)
	head(&b.Header, req.Instrument, m)
	b.ExchangeTime, b.Flags, b.Seq = at, market.FlagSnapshot, market.Int(last)
	b.IsSnapshot, b.Bids, b.Asks = true, bids, asks
}

// pastTrades reads [{"id":…,"price":…,"qty":…,"quoteQty":…,"time":…,"isBuyerMaker":…},…].
func (d *decoder) pastTrades(m message, req connectors.Request) {
	s := &d.s
	s.Array()
	for s.Element() {
		var price, amount, quote market.Decimal
		id, at := int64(-1), int64(0)
		maker, hasMaker := false, false
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "id":
				id = s.Int()
			case "price":
				price = s.Decimal()
			case "qty":
				amount = s.Decimal()
			case "quoteQty":
				quote = s.Decimal()
			case "time":
				at = d.time()
			case "isBuyerMaker":
				maker, hasMaker = s.Bool(), true
			default:
				s.Skip()
			}
		}
		if id < 0 || !price.IsSet() || !amount.IsSet() || at == 0 || !hasMaker {
			s.Fail("a trade without id, price, qty, time or isBuyerMaker")
		}
		if s.Err() == nil && id >= req.FromID && (req.ToID == 0 || id <= req.ToID) {
			t := addTrade(m, req.Instrument, id, price, amount, at, maker, market.FlagBackfilled)
			t.QuoteAmount = quote
		}
	}
}

// openInterest reads {"symbol":…,"openInterest":base,"time":…}.
func (d *decoder) openInterest(m message, req connectors.Request) {
	s := &d.s
	var base market.Decimal
	at := int64(0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "openInterest":
			base = s.Decimal()
		case "time":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if !base.IsSet() || at == 0 {
		s.Fail("an open interest without openInterest or time")
	}
	if s.Err() != nil {
		return
	}
	o := market.Add[market.OpenInterest](m.out)
	head(&o.Header, req.Instrument, m)
	o.ExchangeTime, o.Flags, o.Base = at, market.FlagUnverifiable, base
}

// ratios reads [{"longShortRatio":…,"longAccount":…,"shortAccount":…,"timestamp":…},…],
// the same for accounts and positions.
func (d *decoder) ratios(m message, req connectors.Request, kind string) {
	s := &d.s
	s.Array()
	for s.Element() {
		var long, short, ratio market.Decimal
		at := int64(0)
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "longShortRatio":
				ratio = s.Decimal()
			case "longAccount", "longPosition":
				long = s.Decimal()
			case "shortAccount", "shortPosition":
				short = s.Decimal()
			case "timestamp":
				at = d.time()
			default:
				s.Skip()
			}
		}
		if !ratio.IsSet() || !long.IsSet() || !short.IsSet() || at == 0 {
			s.Fail("a ratio without longShortRatio, long or short side, or timestamp")
		}
		if s.Err() != nil {
			return
		}
		flags := market.FlagUnverifiable
		if req.Kind == connectors.NeedHistory {
			if !req.Covers(at) {
				continue
			}
			flags |= market.FlagBackfilled
		}
		l := market.Add[market.LongShortRatio](m.out)
		head(&l.Header, req.Instrument, m)
		l.ExchangeTime, l.Flags, l.RatioKind, l.Period = at, flags, kind, ratioPeriod
		l.Long, l.Short, l.Ratio = long, short, ratio
	}
}
