package okx

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// simREST is the REST interface of a simulated host: it reads calls as [replayer]
// does.
type simREST struct{ replayer }

// Weight implements [simulator.REST].
func (simREST) Weight(*url.URL) int { return 1 }

// Refuse implements [simulator.REST].
// https://www.okx.com/docs-v5/en/#overview-rate-limits
func (simREST) Refuse(why simulator.Refusal, _ http.Header) simulator.Answer {
	return wrong(why.Status, "50011", "Too Many Requests")
}

func wrong(status int, code, text string) simulator.Answer {
	body := market.AppendJSONString([]byte(`{"code":"`+code+`","data":[],"msg":`), text)
	return simulator.Answer{Status: status, Body: append(body, '}')}
}

// list answers with elements.
func list(elements [][]byte) simulator.Answer {
	out := []byte(`{"code":"0","msg":"","data":[`)
	for n, e := range elements {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, e...)
	}
	return simulator.Answer{Status: http.StatusOK, Body: append(out, "]}"...)}
}

// Answer implements [simulator.REST].
func (r simREST) Answer(u *url.URL, v *simulator.View) simulator.Answer {
	c, q := r.Call(u), u.Query()
	s := &connectors.ReplayState{Time: v.Now()}
	switch {
	case c.Kind == connectors.NeedInstruments, c.Kind == connectors.NeedVolumes, u.Path == "/api/v5/public/open-interest" && c.Symbol == "":
		if !slices.Contains([]string{"SPOT", "SWAP", "FUTURES", "OPTION"}, q.Get("instType")) {
			return wrong(http.StatusBadRequest, "51000", "Parameter instType error")
		}
	case u.Path == "/api/v5/public/time":
	default:
		if i, known := v.Instrument(c.Symbol); known {
			s.Instruments = []*market.Instrument{i}
		} else if !r.serves(u.Path) {
			return wrong(http.StatusNotFound, "50026", "The endpoint "+u.Path+" does not exist")
		} else {
			return wrong(http.StatusOK, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
		}
	}
	switch c.Kind {
	case connectors.NeedInstruments:
		for _, m := range market.Markets() {
			s.Instruments = append(s.Instruments, v.Instruments(m)...)
		}
	case connectors.NeedVolumes:
		return r.tickers(q.Get("instType"), v)
	case connectors.NeedSnapshot:
		bids, asks, seq, at, _ := v.Book(c.Symbol, bookDepth)
		s.Book = &connectors.ReplayBook{Seq: seq, Time: at, Bids: bids, Asks: asks}
	case connectors.NeedRecentTrades:
		s.Trades, _ = v.LastTrades(c.Symbol, page(c))
		if after, err := strconv.ParseInt(q.Get("after"), 10, 64); err == nil && q.Get("type") == "2" {
			s.Trades = tradesBefore(c, after*1e6, v)
		}
	case connectors.NeedTradesFrom:
		s.Trades, _ = v.Trades(c.Symbol, c.FromID, c.FromID+int64(page(c))-1)
	default:
		if len(s.Instruments) == 1 {
			return r.derived(u, c, s.Instruments[0], v)
		}
	}
	body, ok := r.Compose(c, s)
	if !ok {
		return wrong(http.StatusBadRequest, "51000", "Parameter error")
	}
	return simulator.Answer{Status: http.StatusOK, Body: body}
}

// The calls of one instrument that are no need of a [connectors.Replayer].
const (
	pathTicker  = "/api/v5/market/ticker"
	pathCandles = "/api/v5/market/candles"
	pathMark    = "/api/v5/public/mark-price"
	pathFunding = "/api/v5/public/funding-rate"
	pathOpen    = "/api/v5/public/open-interest"
	pathRatios  = "/api/v5/rubik/stat/contracts/"
)

func (simREST) serves(path string) bool {
	return strings.HasPrefix(path, pathRatios) ||
		slices.Contains([]string{pathTicker, pathCandles, pathPastCandles, pathPastFunding, pathPastInterest, pathMark, pathFunding, pathOpen, pathBook, pathTrades, pathRecent}, path)
}

func (r simREST) derived(u *url.URL, c connectors.ReplayCall, i *market.Instrument, v *simulator.View) simulator.Answer {
	s, _ := v.State(i.Native)
	switch {
	case u.Path == pathTicker:
		return list([][]byte{appendTicker(nil, i, s)})
	case u.Path == pathCandles, u.Path == pathPastCandles:
		return r.candles(u.Query(), c, i, v)
	case i.Market == market.Spot:
	case u.Path == pathMark:
		return list([][]byte{price(instrument(nil, i), "markPx", s.Mark, s.Time)})
	case u.Path == pathOpen:
		return list([][]byte{openInterest(nil, i, s)})
	case u.Path == pathFunding && i.Market == market.Perpetual:
		return list([][]byte{fundingRate(nil, i, s)})
	case u.Path == pathPastFunding && i.Market == market.Perpetual:
		return pastFundings(u.Query(), c, i, v)
	case u.Path == pathPastInterest && i.Market != market.Option:
		return pastInterests(u.Query(), c, i, v)
	case strings.HasPrefix(u.Path, pathRatios) && i.Market != market.Option:
		return r.ratios(u, c, i, v)
	}
	return wrong(http.StatusBadRequest, "51000", "Parameter instId error")
}

// tickers answers for all instruments of a type.
func (simREST) tickers(instType string, v *simulator.View) simulator.Answer {
	var rows [][]byte
	for m, word := range instTypes {
		if word != instType {
			continue
		}
		for _, i := range v.Instruments(m) {
			s, _ := v.State(i.Native)
			rows = append(rows, appendTicker(nil, i, s))
		}
	}
	return list(rows)
}

// tradesBefore are the last trades before a time.
func tradesBefore(c connectors.ReplayCall, t int64, v *simulator.View) []market.Trade {
	id, ok := v.TradeAt(c.Symbol, t)
	if !ok {
		list, _ := v.LastTrades(c.Symbol, page(c))
		return list
	}
	list, _ := v.Trades(c.Symbol, id-int64(page(c)), id-1)
	return list
}

// between reads the times that records are to lie between, ms, in the names that a
// path has for them; neither is in it. ok says that there is one of them.
func between(q url.Values, newer, older string, v *simulator.View) (from, to int64, ok bool) {
	to = v.Now() + 1
	if n, err := strconv.ParseInt(q.Get(older), 10, 64); err == nil {
		to, ok = n*1e6, true
	}
	if n, err := strconv.ParseInt(q.Get(newer), 10, 64); err == nil {
		from, ok = (n+1)*1e6, true
	}
	return from, to, ok
}

// candles answers with the newest first.
func (simREST) candles(q url.Values, c connectors.ReplayCall, i *market.Instrument, v *simulator.View) simulator.Answer {
	bar := q.Get("bar")
	if bar == "" {
		bar = "1m"
	}
	at := slices.IndexFunc(intervals, func(x interval) bool { return x.okx == bar || strings.TrimSuffix(x.okx, "utc") == bar })
	if at < 0 {
		return wrong(http.StatusBadRequest, "51000", "Parameter bar error")
	}
	n := min(max(c.Limit, tradesPage), 3*tradesPage)
	past, _ := v.Candles(i.Native, intervals[at].name, n)
	if from, to, ok := between(q, "before", "after", v); ok {
		length, _ := simulator.IntervalLength(intervals[at].name)
		past, _ = v.CandlesBetween(i.Native, intervals[at].name, max(from, to-int64(n)*int64(length)), to, n)
	}
	var rows [][]byte
	for n := len(past) - 1; n >= 0; n-- {
		rows = append(rows, appendCandle(nil, i, &past[n]))
	}
	return list(rows)
}

// pastFundings answers with the rates that were paid, the newest first.
func pastFundings(q url.Values, c connectors.ReplayCall, i *market.Instrument, v *simulator.View) simulator.Answer {
	from, to, _ := between(q, "before", "after", v)
	paid, _ := v.FundingBetween(i.Native, from, to)
	var rows [][]byte
	for n := len(paid) - 1; n >= 0 && len(rows) < min(page(c), 4*pastPage); n-- {
		row := addNumber(instrument(nil, i), "fundingRate", paid[n].Rate)
		row = addNumber(row, "realizedRate", paid[n].Rate)
		row = append(strconv.AppendInt(append(row, `,"fundingTime":"`...), paid[n].Time/1e6, 10), `"}`...)
		rows = append(rows, row)
	}
	return list(rows)
}

// pastInterests answers with [time,contracts,base,US dollars], the newest first.
func pastInterests(q url.Values, c connectors.ReplayCall, i *market.Instrument, v *simulator.View) simulator.Answer {
	var rows [][]byte
	for _, end := range periods(q, c, 5*time.Minute, v) {
		s, ok := v.StateAt(i.Native, end)
		if !ok {
			continue
		}
		dollars := s.OpenInterestQuote
		if inverse(i) {
			dollars = s.OpenInterest
		}
		row := strconv.AppendInt([]byte(`["`), end/1e6, 10)
		for _, d := range []market.Decimal{contracts(i, s.OpenInterest), inBase(i, s.OpenInterest, s.Last), dollars} {
			row = d.AppendText(append(row, `","`...))
		}
		rows = append(rows, append(row, `"]`...))
	}
	return list(rows)
}

// periods are the ends of the periods that a call for statistics is about, the newest
// first.
func periods(q url.Values, c connectors.ReplayCall, length time.Duration, v *simulator.View) (ends []int64) {
	from, to, _ := between(q, "begin", "end", v)
	n := c.Limit
	if n == 0 {
		n = pastPage
	}
	for end := (min(to, v.Now()+1) - 1) / int64(length) * int64(length); end >= max(from, 1) && len(ends) < min(n, pastPage); end -= int64(length) {
		ends = append(ends, end)
	}
	return ends
}

// ratios answers with [time,ratio], the newest first.
func (simREST) ratios(u *url.URL, c connectors.ReplayCall, i *market.Instrument, v *simulator.View) simulator.Answer {
	kind := ""
	for _, l := range derivativeLines(market.Perpetual) {
		if l.call == u.Path {
			kind = l.ratioKind
		}
	}
	period, ok := simulator.IntervalLength(strings.TrimSuffix(u.Query().Get("period"), "utc"))
	if u.Query().Get("period") == "" {
		period, ok = 5*time.Minute, true
	}
	if kind == "" || !ok {
		return wrong(http.StatusBadRequest, "51000", "Parameter period error")
	}
	var rows [][]byte
	for _, end := range periods(u.Query(), c, period, v) {
		l, _ := v.Ratio(i.Native, kind, end)
		row := append(strconv.AppendInt([]byte(`["`), end/1e6, 10), `","`...)
		rows = append(rows, append(l.Ratio.AppendText(row), `"]`...))
	}
	return list(rows)
}
