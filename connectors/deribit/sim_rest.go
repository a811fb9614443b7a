package deribit

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// simREST is the REST interface of the simulated host: it reads calls as
// [replayer] does.
type simREST struct{ replayer }

// Weight implements [simulator.REST].
func (simREST) Weight(u *url.URL) int {
	if u.Path == pathInstruments {
		return instrumentsWeight
	}
	return callWeight
}

// Refuse implements [simulator.REST].
// https://docs.deribit.com/articles/errors
func (simREST) Refuse(why simulator.Refusal, _ http.Header) simulator.Answer {
	return simulator.Answer{Status: why.Status, Body: rpcError(nil, codeTooManyRequests, "too_many_requests")}
}

func badRequest(code int64, message string) simulator.Answer {
	return simulator.Answer{Status: http.StatusBadRequest, Body: rpcError(nil, code, message)}
}

// Answer implements [simulator.REST].
func (r simREST) Answer(u *url.URL, v *simulator.View) simulator.Answer {
	c, q := r.Call(u), u.Query()
	inst, known := v.Instrument(c.Symbol)
	if c.Symbol != "" && !known {
		return badRequest(rpcParams, "Invalid params")
	}
	s := &connectors.ReplayState{Time: v.Now()}
	method := strings.TrimPrefix(u.Path, pathPrefix)
	switch {
	case c.Kind == connectors.NeedInstruments:
		for _, m := range market.Markets() {
			s.Instruments = append(s.Instruments, v.Instruments(m)...)
		}
		if body, ok := composeInstruments(q, s.Instruments); ok {
			return simulator.Answer{Body: body}
		}
		return answered([]byte("[]"), v) // a currency without instruments of the kind
	case c.Kind == connectors.NeedVolumes:
		return r.summary(q, v)
	case method == "test" || method == "get_time":
	case method == "get_currencies":
		return answered(simCurrencies(), v)
	case !known:
		return badRequest(rpcNoMethod, "Method not found")
	case c.Kind == connectors.NeedSnapshot:
		bids, asks, seq, at, _ := v.Book(c.Symbol, max(c.Limit, 5))
		s.Book = &connectors.ReplayBook{Seq: seq, Time: at, Bids: bids, Asks: asks}
	case c.Kind == connectors.NeedRecentTrades, c.Kind == connectors.NeedTradesFrom:
		s.Trades = simTrades(c, q, v)
	case method == "ticker":
		state, _ := v.State(c.Symbol)
		w := simWriter{instrument: inst, first: true}
		w.ticker(&simulator.Event{Instrument: inst, State: state})
		return answered(w.dst, v)
	case u.Path == pathChart:
		return r.chart(c, q, v)
	case u.Path == pathTradesAt:
		s.Trades = simTradesAt(q, v)
		c.Kind, c.Limit = connectors.NeedRecentTrades, len(s.Trades)
	case u.Path == pathFunding && inst.Market == market.Perpetual:
		return simFunding(q, v)
	default:
		return badRequest(rpcNoMethod, "Method not found")
	}
	body, ok := r.Compose(c, s)
	if !ok {
		return badRequest(rpcParams, "Invalid params")
	}
	return simulator.Answer{Body: body}
}

// answered is an answer at the market's time.
func answered(result []byte, v *simulator.View) simulator.Answer {
	return simulator.Answer{Body: rpcResultAt(nil, result, v.Now())}
}

// simTrades are the trades that a call may be about. Their ids are written as the
// exchange does.
func simTrades(c connectors.ReplayCall, q url.Values, v *simulator.View) []market.Trade {
	var list []market.Trade
	if to, bounded := number(q, "end_seq"); c.Kind == connectors.NeedTradesFrom || bounded {
		last := c.FromID + tradesPage
		if bounded {
			last = min(to, max(last, to-tradesPage))
		}
		list, _ = v.Trades(c.Symbol, c.FromID, last)
	} else {
		list, _ = v.LastTrades(c.Symbol, c.Limit)
	}
	for i := range list {
		list[i].ID = market.TextID(simTradeID(&list[i]))
	}
	return list
}

// summary answers get_book_summary_by_currency.
func (simREST) summary(q url.Values, v *simulator.View) simulator.Answer {
	w := simWriter{first: true}
	w.open('[')
	for _, m := range market.Markets() {
		if of := q.Get("kind"); of != "" && of != "any" && of != kind(m) {
			continue
		}
		for _, i := range v.Instruments(m) {
			if settlement(i) != q.Get("currency") {
				continue
			}
			s, _ := v.State(i.Native)
			if !w.first {
				w.dst = append(w.dst, ',')
			}
			usd := s.QuoteVolume
			if inverse(i) {
				usd = s.Volume
			}
			w.open('{')
			w.text("instrument_name", i.Native)
			w.text("base_currency", i.Base)
			w.text("quote_currency", i.Quote)
			w.number("volume_usd", usd)
			w.number("volume", s.Volume)
			w.number("mark_price", s.Mark)
			w.number("last", s.Last)
			w.number("bid_price", s.Quote.BidPrice)
			w.number("ask_price", s.Quote.AskPrice)
			w.number("high", s.High)
			w.number("low", s.Low)
			w.number("open_interest", s.OpenInterest)
			w.int("creation_timestamp", v.Now()/1e6)
			w.close('}')
		}
	}
	w.close(']')
	return answered(w.dst, v)
}

// simSpan reads start_timestamp and end_timestamp, ms, which are both in the time.
func simSpan(q url.Values, v *simulator.View) (from, to int64) {
	to = v.Now() + 1
	if n, ok := number(q, "end_timestamp"); ok && n < never {
		to = (n + 1) * 1e6
	}
	if n, ok := number(q, "start_timestamp"); ok {
		from = n * 1e6
	}
	return from, to
}

// simTradesAt answers get_last_trades_by_instrument_and_time: from a time on, up to
// the count asked for.
func simTradesAt(q url.Values, v *simulator.View) []market.Trade {
	from, to := simSpan(q, v)
	n := int64(10)
	if count, ok := number(q, "count"); ok && count > 0 {
		n = min(count, tradesPage)
	}
	id, ok := v.TradeAt(q.Get("instrument_name"), from)
	if !ok {
		return nil
	}
	list, _ := v.Trades(q.Get("instrument_name"), id, id+n-1)
	for len(list) > 0 && list[len(list)-1].ExchangeTime >= to {
		list = list[:len(list)-1]
	}
	for i := range list {
		list[i].ID = market.TextID(simTradeID(&list[i]))
	}
	return list
}

// simFunding answers get_funding_rate_history: each hour has the rate of its 8 hours.
func simFunding(q url.Values, v *simulator.View) simulator.Answer {
	from, to := simSpan(q, v)
	const hour = int64(time.Hour)
	w := simWriter{first: true}
	w.open('[')
	for at := (from + hour - 1) / hour * hour; at < min(to, v.Now()+1); at += hour {
		s, ok := v.StateAt(q.Get("instrument_name"), at)
		if !ok {
			continue
		}
		if !w.first {
			w.dst = append(w.dst, ',')
		}
		w.open('{')
		w.int("timestamp", at/1e6)
		w.number("interest_8h", s.Rate)
		w.number("interest_1h", s.Rate)
		w.number("index_price", s.Index)
		w.number("prev_index_price", s.Index)
		w.close('}')
	}
	w.close(']')
	return answered(w.dst, v)
}

// chart answers get_tradingview_chart_data: a column for each number.
func (simREST) chart(c connectors.ReplayCall, q url.Values, v *simulator.View) simulator.Answer {
	at := resolution([]byte(q.Get("resolution")))
	if at < 0 {
		return badRequest(rpcParams, "Invalid params")
	}
	from, to := simSpan(q, v)
	list, _ := v.CandlesBetween(c.Symbol, resolutions[at].interval, from, to, chartPage)
	w := simWriter{first: true}
	w.open('{')
	for _, column := range []struct {
		name string
		of   func(*simulator.Candle) market.Decimal
	}{
		{"open", func(k *simulator.Candle) market.Decimal { return k.Open }},
		{"high", func(k *simulator.Candle) market.Decimal { return k.High }},
		{"low", func(k *simulator.Candle) market.Decimal { return k.Low }},
		{"close", func(k *simulator.Candle) market.Decimal { return k.Close }},
		{"volume", func(k *simulator.Candle) market.Decimal { return k.Volume }},
		{"cost", func(k *simulator.Candle) market.Decimal { return k.QuoteVolume }},
		{"ticks", func(k *simulator.Candle) market.Decimal { return market.NewDecimal(k.OpenTime/1e6, 0) }},
	} {
		w.key(column.name)
		w.open('[')
		for i := range list {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			w.dst = column.of(&list[i]).AppendText(w.dst)
		}
		w.close(']')
	}
	w.text("status", "ok")
	w.close('}')
	return answered(w.dst, v)
}

// simCurrencies are the currencies that instruments are settled in.
func simCurrencies() []byte {
	w := simWriter{first: true}
	w.open('[')
	for _, c := range currencies {
		if !w.first {
			w.dst = append(w.dst, ',')
		}
		w.open('{')
		w.text("currency", c)
		w.text("currency_long", c)
		w.text("coin_type", c)
		w.int("min_confirmations", 1)
		w.int("fee_precision", 8)
		w.number("withdrawal_fee", market.NewDecimal(1, 4))
		w.close('}')
	}
	w.close(']')
	return w.dst
}
