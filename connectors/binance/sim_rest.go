package binance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// simREST is the REST interface of a simulated host: it reads calls as [replayer]
// does.
type simREST struct {
	replayer
	product product
}

// Weight implements [simulator.REST].
func (r *simREST) Weight(u *url.URL) int {
	p, q := r.product.paths, u.Query()
	switch u.Path {
	case p.instruments:
		return p.instrumentsWeight
	case p.trades:
		return p.tradesWeight
	case p.oldTrades:
		return p.oldWeight
	case p.depth:
		limit, err := strconv.Atoi(q.Get("limit"))
		if err != nil {
			limit = 100
		}
		for _, d := range r.product.depths {
			if limit <= d.levels {
				return d.weight
			}
		}
	}
	if strings.HasSuffix(u.Path, "/ticker/24hr") && q.Get("symbol") == "" {
		return 40
	}
	if strings.HasSuffix(u.Path, "/aggTrades") && r.futures {
		return 20
	}
	if strings.HasPrefix(u.Path, "/futures/data/") {
		return 0
	}
	return 1
}

// Meter implements [simulator.Meter].
func (*simREST) Meter(h http.Header, used int) {
	h.Set("X-Mbx-Used-Weight-1m", strconv.Itoa(used))
}

// Refuse implements [simulator.REST].
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
func (r *simREST) Refuse(why simulator.Refusal, _ http.Header) simulator.Answer {
	text := fmt.Sprintf("Too many requests; current limit is %d request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.", r.product.limits.Weight.N)
	if why.Status == http.StatusTeapot {
		text = fmt.Sprintf("Way too many requests; IP banned until %d. Please use WebSocket Streams for live updates to avoid bans.", why.Until/1e6)
	}
	return refuse(why.Status, -1003, text)
}

func refuse(status, code int, text string) simulator.Answer {
	body := append(strconv.AppendInt([]byte(`{"code":`), int64(code), 10), `,"msg":`...)
	return simulator.Answer{Status: status, Body: append(market.AppendJSONString(body, text), '}')}
}

// Answer implements [simulator.REST].
func (r *simREST) Answer(u *url.URL, v *simulator.View) simulator.Answer {
	c := r.Call(u)
	if c.Symbol != "" {
		if _, known := v.Instrument(c.Symbol); !known {
			return refuse(http.StatusBadRequest, -1121, "Invalid symbol.")
		}
	}
	s := &connectors.ReplayState{Time: v.Now()}
	switch name := u.Path[strings.LastIndexByte(u.Path, '/')+1:]; {
	case c.Kind == connectors.NeedInstruments:
		for _, m := range market.Markets() {
			s.Instruments = append(s.Instruments, v.Instruments(m)...)
		}
	case name == "ping" || name == "time":
	case strings.HasSuffix(u.Path, "/ticker/24hr"):
		return r.tickers(c, v)
	case c.Symbol == "":
		if c.Kind == 0 && !r.serves(u.Path) {
			return refuse(http.StatusNotFound, -5000, "Path "+u.Path+", Method GET is invalid")
		}
		return refuse(http.StatusBadRequest, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
	case c.Kind == connectors.NeedSnapshot:
		if _, ok := r.product.depthWeight(max(c.Limit, 1)); !ok && c.Limit > 0 && r.futures {
			return refuse(http.StatusBadRequest, -4021, fmt.Sprintf("%d is not valid depth limit.", c.Limit))
		}
		s.Book = r.book(c, v)
	case c.Kind == connectors.NeedRecentTrades, c.Kind == connectors.NeedTradesFrom:
		s.Trades = r.trades(c, u, v)
	default:
		return r.derived(c, u, v)
	}
	body, ok := r.Compose(c, s)
	if !ok {
		return refuse(http.StatusBadRequest, -1130, "Data sent for parameter is not valid.")
	}
	return simulator.Answer{Status: http.StatusOK, Body: body}
}

func (r *simREST) serves(path string) bool {
	return strings.HasSuffix(path, "/klines") || strings.HasSuffix(path, "/aggTrades") || r.futures && (path == "/fapi/v1/openInterest" || path == "/fapi/v1/fundingRate" || strings.HasPrefix(path, "/futures/data/"))
}

func (r *simREST) book(c connectors.ReplayCall, v *simulator.View) *connectors.ReplayBook {
	bids, asks, seq, at, _ := v.Book(c.Symbol, max(c.Limit, 500))
	for _, side := range [][]market.Level{bids, asks} {
		for i := range side {
			side[i] = market.Level{Price: r.written(side[i].Price), Amount: r.written(side[i].Amount)}
		}
	}
	return &connectors.ReplayBook{Seq: seq, Time: at, Bids: bids, Asks: asks}
}

// written is a number with the digits that the market writes.
func (r *simREST) written(d market.Decimal) market.Decimal {
	coef, ok := d.Coefficient()
	if r.futures || !ok || d.Scale() >= 8 {
		return d
	}
	if p := market.Pow10(8 - d.Scale()); coef <= (1<<63-1)/p {
		return market.NewDecimal(coef*p, 8)
	}
	return d
}

func (r *simREST) trades(c connectors.ReplayCall, u *url.URL, v *simulator.View) []market.Trade {
	limit := page(c, 500)
	if r.futures && c.Kind == connectors.NeedTradesFrom {
		limit = min(limit, futuresOldTrades)
	}
	var list []market.Trade
	if c.Kind == connectors.NeedTradesFrom && u.Query().Has("fromId") {
		list, _ = v.Trades(c.Symbol, c.FromID, max(c.FromID, 1)+int64(limit)-1)
	} else {
		list, _ = v.LastTrades(c.Symbol, limit)
	}
	for i := range list {
		t := &list[i]
		t.Price, t.Amount, t.QuoteAmount = r.written(t.Price), r.written(t.Amount), r.written(t.QuoteAmount)
	}
	return list
}

// derived answers what is no need of a [connectors.Replayer].
func (r *simREST) derived(c connectors.ReplayCall, u *url.URL, v *simulator.View) simulator.Answer {
	var body any
	q := u.Query()
	switch {
	case strings.HasSuffix(u.Path, "/klines"):
		n := min(page(c, 500), 1000)
		list, ok := v.Candles(c.Symbol, q.Get("interval"), n)
		if from, to, timed := span(q, v); timed {
			list, ok = v.CandlesBetween(c.Symbol, q.Get("interval"), from, to, n)
		}
		if !ok || !slices.Contains(intervals, q.Get("interval")) {
			return refuse(http.StatusBadRequest, -1120, "Invalid interval.")
		}
		rows := make([][]any, 0, len(list))
		for _, k := range list {
			rows = append(rows, []any{
				k.OpenTime / 1e6, k.Open, k.High, k.Low, k.Close, k.Volume, k.CloseTime / 1e6, k.QuoteVolume, k.Trades.V,
				k.BoughtVolume, k.BoughtQuoteVolume, "0",
			})
		}
		body = rows
	case strings.HasSuffix(u.Path, "/aggTrades"):
		if from, _, timed := span(q, v); timed {
			if q.Has("fromId") || q.Has("endTime") {
				return refuse(http.StatusBadRequest, -1128, "Combination of optional parameters invalid.")
			}
			id, ok := v.TradeAt(c.Symbol, from)
			if !ok {
				return simulator.Answer{Status: http.StatusOK, Body: []byte("[]")}
			}
			list, _ := v.Trades(c.Symbol, id, id+int64(page(c, 500))-1)
			return simulator.Answer{Status: http.StatusOK, Body: r.aggregates(list)}
		}
		c.Kind = connectors.NeedTradesFrom // from an id, or the last ones
		return simulator.Answer{Status: http.StatusOK, Body: r.aggregates(r.trades(c, u, v))}
	case r.futures && u.Path == "/fapi/v1/openInterest":
		s, _ := v.State(c.Symbol)
		body = struct {
			OpenInterest market.Decimal `json:"openInterest"`
			Symbol       string         `json:"symbol"`
			Time         int64          `json:"time"`
		}{s.OpenInterest, c.Symbol, v.Now() / 1e6}
	case r.futures && ratioKinds[u.Path] != "":
		return r.ratios(ratioKinds[u.Path], c, q, v)
	case r.futures && u.Path == "/futures/data/openInterestHist":
		return r.interests(c, q, v)
	case r.futures && u.Path == "/fapi/v1/fundingRate":
		return r.fundings(c, q, v)
	default:
		return refuse(http.StatusNotFound, -5000, "Path "+u.Path+", Method GET is invalid")
	}
	return asJSON(body)
}

// aggregates lets every trade be an aggregate of its own, as the stream does.
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#compressedaggregate-trades-list
func (r *simREST) aggregates(list []market.Trade) []byte {
	w := &simConn{futures: r.futures}
	out := []byte{'['}
	for i := range list {
		t := &list[i]
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(append(out, `{"a":`...), t.Seq.V, 10)
		out = w.number(out, "p", t.Price)
		out = w.number(out, "q", t.Amount)
		out = addInt(out, "f", t.Seq.V)
		out = addInt(out, "l", t.Seq.V)
		out = addInt(out, "T", t.ExchangeTime/1e6)
		out = addBool(out, "m", t.Side == market.Sell)
		if !r.futures {
			out = append(out, `,"M":true`...)
		}
		out = append(out, '}')
	}
	return append(out, ']')
}

func asJSON(body any) simulator.Answer {
	text, err := json.Marshal(body)
	if err != nil {
		return refuse(http.StatusInternalServerError, -1000, err.Error())
	}
	return simulator.Answer{Status: http.StatusOK, Body: text}
}

var ratioKinds = map[string]string{
	"/futures/data/globalLongShortAccountRatio": "all_accounts",
	"/futures/data/topLongShortAccountRatio":    "top_accounts",
	"/futures/data/topLongShortPositionRatio":   "top_positions",
}

// span reads startTime and endTime, which are both in the time; timed says that there
// is one of them.
func span(q url.Values, v *simulator.View) (from, to int64, timed bool) {
	to = v.Now() + 1
	if n, err := strconv.ParseInt(q.Get("endTime"), 10, 64); err == nil {
		to, timed = (n+1)*1e6, true
	}
	if n, err := strconv.ParseInt(q.Get("startTime"), 10, 64); err == nil {
		from, timed = n*1e6, true
	}
	return from, to, timed
}

// periods are the ends of the periods that a call for statistics is about, ascending:
// those of a time, or the last ones.
func periods(c connectors.ReplayCall, q url.Values, v *simulator.View) (ends []int64, ok bool) {
	length, ok := simulator.IntervalLength(q.Get("period"))
	if !ok || !slices.Contains(intervals, q.Get("period")) {
		return nil, false
	}
	n, period := 30, int64(length)
	if c.Limit > 0 {
		n = min(c.Limit, statisticsPage)
	}
	last := v.Now() / period * period
	first := last - int64(n-1)*period
	if from, to, timed := span(q, v); timed {
		last = min(last, (to-1)/period*period)
		first = max((from+period-1)/period*period, last-int64(n-1)*period)
	}
	for end := first; end <= last; end += period {
		ends = append(ends, end)
	}
	return ends, true
}

var badPeriod = refuse(http.StatusBadRequest, -1130, "Data sent for parameter 'period' is not valid.")

// interests answers openInterestHist.
func (r *simREST) interests(c connectors.ReplayCall, q url.Values, v *simulator.View) simulator.Answer {
	ends, ok := periods(c, q, v)
	if !ok {
		return badPeriod
	}
	type row struct {
		Symbol string         `json:"symbol"`
		Sum    market.Decimal `json:"sumOpenInterest"`
		Value  market.Decimal `json:"sumOpenInterestValue"`
		Time   int64          `json:"timestamp"`
	}
	rows := []row{}
	for _, end := range ends {
		if s, ok := v.StateAt(c.Symbol, end); ok {
			rows = append(rows, row{c.Symbol, s.OpenInterest, s.OpenInterestQuote, end / 1e6})
		}
	}
	return asJSON(rows)
}

// fundings answers fundingRate, the oldest of the time first.
func (r *simREST) fundings(c connectors.ReplayCall, q url.Values, v *simulator.View) simulator.Answer {
	type row struct {
		Symbol string         `json:"symbol"`
		Rate   market.Decimal `json:"fundingRate"`
		Time   int64          `json:"fundingTime"`
	}
	rows := []row{}
	from, to, timed := span(q, v)
	paid, _ := v.FundingBetween(c.Symbol, from, to)
	n := page(c, 100)
	if !timed {
		paid = paid[max(0, len(paid)-n):]
	}
	for _, p := range paid[:min(n, len(paid))] {
		rows = append(rows, row{c.Symbol, p.Rate, p.Time / 1e6})
	}
	return asJSON(rows)
}

func (r *simREST) ratios(kind string, c connectors.ReplayCall, q url.Values, v *simulator.View) simulator.Answer {
	ends, ok := periods(c, q, v)
	if !ok {
		return badPeriod
	}
	type row struct {
		Symbol string         `json:"symbol"`
		Ratio  market.Decimal `json:"longShortRatio"`
		Long   market.Decimal `json:"longAccount"`
		Short  market.Decimal `json:"shortAccount"`
		Time   int64          `json:"timestamp"`
	}
	rows := make([]row, 0, len(ends))
	for _, end := range ends {
		l, _ := v.Ratio(c.Symbol, kind, end)
		rows = append(rows, row{c.Symbol, l.Ratio, l.Long, l.Short, end / 1e6})
	}
	return asJSON(rows)
}

// tickers answers /ticker/24hr, of one symbol or of all.
func (r *simREST) tickers(c connectors.ReplayCall, v *simulator.View) simulator.Answer {
	one := func(i *market.Instrument) []byte {
		s, _ := v.State(i.Native)
		change, percent := changeOf(s)
		w := &simConn{futures: r.futures}
		out := addText([]byte(`{"priceChangePercent":"`+percent.String()+`"`), "symbol", i.Native)
		out = w.number(out, "priceChange", change)
		out = w.number(out, "weightedAvgPrice", average(s))
		out = w.number(out, "lastPrice", s.Last)
		out = w.number(out, "lastQty", s.LastAmount)
		if !r.futures {
			out = w.number(out, "bidPrice", s.Quote.BidPrice)
			out = w.number(out, "bidQty", s.Quote.BidAmount)
			out = w.number(out, "askPrice", s.Quote.AskPrice)
			out = w.number(out, "askQty", s.Quote.AskAmount)
			out = w.number(out, "prevClosePrice", s.Open)
		}
		out = w.number(out, "openPrice", s.Open)
		out = w.number(out, "highPrice", s.High)
		out = w.number(out, "lowPrice", s.Low)
		out = w.number(out, "volume", s.Volume)
		out = w.number(out, "quoteVolume", s.QuoteVolume)
		out = addInt(out, "openTime", s.Opened/1e6)
		out = addInt(out, "closeTime", s.Time/1e6)
		out = addInt(out, "firstId", s.TradeID-s.Trades+1)
		out = addInt(out, "lastId", s.TradeID)
		return append(addInt(out, "count", s.Trades), '}')
	}
	if i, known := v.Instrument(c.Symbol); known {
		return simulator.Answer{Status: http.StatusOK, Body: one(i)}
	}
	out := []byte{'['}
	for _, m := range market.Markets() {
		for _, i := range v.Instruments(m) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, one(i)...)
		}
	}
	return simulator.Answer{Status: http.StatusOK, Body: append(out, ']')}
}
