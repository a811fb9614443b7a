package deribit

import (
	"strconv"

	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// Append implements [simulator.Dialogue].
func (c *simConn) Append(dst []byte, s *simulator.Subscription, e *simulator.Event) []byte {
	dst = append(append(append(dst, prefix...), s.Topic...), `","data":`...)
	w := simWriter{dst: dst, instrument: e.Instrument, first: true}
	switch family(s.Tag) {
	case trades:
		w.trades(e)
	case book:
		w.book(e)
	case ticker:
		w.ticker(e)
	case quote:
		w.quote(e)
	case chart:
		w.candle(e)
	case volatilityIndex:
		w.index("volatility", e.State.Volatility, e)
	default:
		w.index("price", e.State.Index, e)
	}
	return append(w.dst, suffix...)
}

// simWriter writes an object, member by member.
type simWriter struct {
	dst        []byte
	instrument *market.Instrument
	first      bool
}

func (w *simWriter) open(bracket byte)  { w.dst, w.first = append(w.dst, bracket), true }
func (w *simWriter) close(bracket byte) { w.dst, w.first = append(w.dst, bracket), false }

// key begins a member.
func (w *simWriter) key(name string) {
	if !w.first {
		w.dst = append(w.dst, ',')
	}
	w.first = false
	w.dst = append(append(append(w.dst, '"'), name...), `":`...)
}

func (w *simWriter) int(name string, n int64) {
	w.key(name)
	w.dst = strconv.AppendInt(w.dst, n, 10)
}

func (w *simWriter) text(name, text string) {
	w.key(name)
	w.dst = append(append(append(w.dst, '"'), text...), '"')
}

func (w *simWriter) number(name string, d market.Decimal) {
	w.key(name)
	w.dst = appendFloat(w.dst, d)
}

func (w *simWriter) float(name string, f float64, scale uint8) {
	w.number(name, market.DecimalFromFloat(f, scale))
}

func (w *simWriter) trades(e *simulator.Event) {
	w.open('[')
	for i := range e.Trades {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		t := &e.Trades[i]
		w.open('{')
		w.int("trade_seq", t.Seq.V)
		w.text("trade_id", simTradeID(t))
		w.int("timestamp", t.ExchangeTime/1e6)
		w.int("tick_direction", t.Seq.V%4)
		w.number("price", t.Price)
		w.number("mark_price", t.Price)
		w.text("instrument_name", w.instrument.Native)
		w.number("index_price", t.Price)
		w.text("direction", t.Side.String())
		w.number("amount", t.Amount)
		if w.instrument.Market == market.Option {
			w.float("iv", 55.25, 2)
		}
		if t.Flags.Has(market.FlagLiquidation) {
			w.text("liquidation", "T")
		}
		w.close('}')
	}
	w.close(']')
}

// simTradeID is a number where the currency is BTC, else it begins with the
// currency.
func simTradeID(t *market.Trade) string {
	if i := t.Instrument; settlement(i) != "BTC" {
		return settlement(i) + "-" + t.ID.String()
	}
	return t.ID.String()
}

func (w *simWriter) book(e *simulator.Event) {
	w.open('{')
	if e.Book.Snapshot {
		w.text("type", "snapshot")
	} else {
		w.text("type", "change")
	}
	w.int("timestamp", e.Time/1e6)
	if !e.Book.Snapshot {
		w.int("prev_change_id", e.Book.PrevSeq)
	}
	w.text("instrument_name", w.instrument.Native)
	w.int("change_id", e.Book.Seq)
	w.key("bids")
	w.levels(e.Book.Bids, e.Book.Snapshot)
	w.key("asks")
	w.levels(e.Book.Asks, e.Book.Snapshot)
	w.close('}')
}

func (w *simWriter) levels(levels []simulator.Level, snapshot bool) {
	w.open('[')
	for i := range levels {
		l := &levels[i]
		action := `["new",`
		switch gone := l.Amount.IsZero(); {
		case gone && !l.Existed && !snapshot:
			continue // it came and went
		case gone:
			action = `["delete",`
		case l.Existed:
			action = `["change",`
		}
		if !w.first {
			w.dst = append(w.dst, ',')
		}
		w.first = false
		w.dst = append(appendFloat(append(w.dst, action...), l.Price), ',')
		w.dst = append(appendFloat(w.dst, l.Amount), ']')
	}
	w.close(']')
}

func (w *simWriter) ticker(e *simulator.Event) {
	s, i := e.State, w.instrument
	index := s.Index
	w.open('{')
	if strike, _, ok := strikeOf(i); ok {
		index = market.MustDecimal(strike) // what the option is on is worth about that
		w.number("underlying_price", index)
		w.text("underlying_index", "SYN."+i.Base)
	}
	w.int("timestamp", s.Time/1e6)
	w.stats(s)
	w.text("state", "open")
	w.number("settlement_price", s.Open)
	if i.Market != market.Spot {
		w.number("open_interest", s.OpenInterest)
	}
	w.float("min_price", 0.9*s.Last.Float64(), s.Last.Scale())
	w.float("max_price", 1.1*s.Last.Float64(), s.Last.Scale())
	w.number("mark_price", s.Mark)
	if i.Market == market.Option {
		w.float("mark_iv", 55.25, 2)
	}
	w.number("last_price", s.Last)
	if i.Market == market.Option {
		w.float("interest_rate", 0, 1)
	}
	w.text("instrument_name", i.Native)
	w.number("index_price", index)
	if i.Market == market.Option {
		w.greeks()
	}
	if i.Market == market.Perpetual {
		w.float("interest_value", 0.0001, 4)
		w.number("funding_8h", s.Rate)
		w.number("current_funding", s.NextRate)
	}
	w.number("estimated_delivery_price", index)
	if i.Market == market.Option {
		w.float("bid_iv", 54.5, 2)
	}
	w.best("bid", s.Quote.BidPrice, s.Quote.BidAmount)
	w.best("ask", s.Quote.AskPrice, s.Quote.AskAmount)
	if i.Market == market.Option {
		w.float("ask_iv", 56, 2)
	}
	w.close('}')
}

func (w *simWriter) greeks() {
	w.key("greeks")
	w.open('{')
	for _, name := range []string{"vega", "theta", "rho", "gamma", "delta"} {
		w.float(name, 0.25, 5)
	}
	w.close('}')
}

// stats writes the last 24 hours. Amounts of inverse contracts are in quote, their
// volume in base all the same.
func (w *simWriter) stats(s *simulator.State) {
	w.key("stats")
	w.open('{')
	volume, usd := s.Volume, s.QuoteVolume
	if inverse(w.instrument) {
		usd = s.Volume
		volume = market.DecimalFromFloat(usd.Float64()/s.Last.Float64(), 8)
	}
	w.number("volume_usd", usd)
	w.number("volume", volume)
	w.float("price_change", 100*(s.Last.Float64()/s.Open.Float64()-1), 4)
	w.number("low", s.Low)
	w.number("high", s.High)
	w.close('}')
}

// best writes one side's best price and amount; an empty side is 0.
func (w *simWriter) best(side string, price, amount market.Decimal) {
	if !price.IsSet() {
		price, amount = market.NewDecimal(0, 1), market.NewDecimal(0, 1)
	}
	w.number("best_"+side+"_price", price)
	w.number("best_"+side+"_amount", amount)
}

func (w *simWriter) quote(e *simulator.Event) {
	w.open('{')
	w.int("timestamp", e.Time/1e6)
	w.text("instrument_name", w.instrument.Native)
	w.best("bid", e.Quote.BidPrice, e.Quote.BidAmount)
	w.best("ask", e.Quote.AskPrice, e.Quote.AskAmount)
	w.close('}')
}

func (w *simWriter) candle(e *simulator.Event) {
	k := e.Candle
	volume, cost := k.Volume, k.QuoteVolume
	if inverse(w.instrument) {
		volume, cost = market.DecimalFromFloat(k.Volume.Float64()/k.Close.Float64(), 8), k.Volume
	}
	w.open('{')
	w.number("volume", volume)
	w.int("tick", k.OpenTime/1e6)
	w.number("open", k.Open)
	w.number("low", k.Low)
	w.number("high", k.High)
	w.number("cost", cost)
	w.number("close", k.Close)
	w.close('}')
}

func (w *simWriter) index(name string, value market.Decimal, e *simulator.Event) {
	w.open('{')
	w.number(name, value)
	w.int("timestamp", e.State.Time/1e6)
	w.text("index_name", indexName(w.instrument))
	w.close('}')
}
