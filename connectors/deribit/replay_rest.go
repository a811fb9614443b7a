package deribit

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// pathBook is the call for a whole book. We do not need it; others do.
// https://docs.deribit.com/api-reference/market-data/public-get_order_book
const pathBook = pathPrefix + "get_order_book"

// Call implements [connectors.Replayer].
func (replayer) Call(u *url.URL) connectors.ReplayCall {
	q := u.Query()
	c := connectors.ReplayCall{Symbol: q.Get("instrument_name")}
	switch u.Path {
	case pathInstruments:
		c.Kind = connectors.NeedInstruments
		q.Del("expired")
	case pathTrades:
		c.Kind, c.Limit = connectors.NeedRecentTrades, 10
		if from, ok := number(q, "start_seq"); ok {
			c.Kind, c.FromID = connectors.NeedTradesFrom, from
		}
		if n, ok := number(q, "count"); ok && n > 0 {
			c.Limit = int(min(n, tradesPage))
		}
	case pathBook:
		c.Kind, c.Topic = connectors.NeedSnapshot, "book."+c.Symbol
		if n, ok := number(q, "depth"); ok && n > 0 {
			c.Limit = int(min(n, 10000))
		}
		q.Del("depth")
	case pathSummary:
		c.Kind = connectors.NeedVolumes
	}
	c.Key = u.Path
	if text := q.Encode(); text != "" {
		c.Key += "?" + text
	}
	return c
}

// Compose implements [connectors.Replayer].
func (replayer) Compose(c connectors.ReplayCall, s *connectors.ReplayState) ([]byte, bool) {
	path, query, _ := strings.Cut(c.Key, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, false
	}
	switch {
	case c.Kind == connectors.NeedInstruments:
		return composeInstruments(q, s.Instruments)
	case c.Kind == connectors.NeedSnapshot && s.Book != nil:
		return composeBook(c, s.Book), true
	case c.Kind == connectors.NeedRecentTrades, c.Kind == connectors.NeedTradesFrom:
		return composeTrades(c, q, s.Trades), true
	case path == pathPrefix+"test":
		return rpcResult(nil, []byte(`{"version":"1.2.26"}`)), true
	case path == pathPrefix+"get_time":
		return rpcResult(nil, strconv.AppendInt(nil, s.Time/1e6, 10)), true
	}
	return nil, false
}

// never is the expiry of what does not expire, ms.
const never = 32503708800000

// composeInstruments lists the instruments of a kind and a settlement currency;
// false when there is none.
func composeInstruments(q url.Values, all []*market.Instrument) ([]byte, bool) {
	currency, of := q.Get("currency"), q.Get("kind")
	out, n := []byte{'['}, 0
	for _, i := range all {
		if of != "" && of != "any" && of != kind(i.Market) || currency != "" && currency != "any" && currency != settlement(i) {
			continue
		}
		if n > 0 {
			out = append(out, ',')
		}
		out = appendInstrument(out, i)
		n++
	}
	return rpcResult(nil, append(out, ']')), n > 0
}

// settlement is the currency under which an instrument is listed.
func settlement(i *market.Instrument) string {
	if i.Settle != "" {
		return i.Settle
	}
	return i.Quote
}

func appendInstrument(out []byte, i *market.Instrument) []byte {
	text := func(key, value string) {
		out = market.AppendJSONString(append(out, `,"`+key+`":`...), value)
	}
	out = market.AppendJSONString(append(out, `{"instrument_name":`...), i.Native)
	text("kind", kind(i.Market))
	text("base_currency", i.Base)
	text("counter_currency", i.Quote)
	inverseOption := i.Market == market.Option && i.Settle == i.Base
	if inverseOption {
		text("quote_currency", i.Base)
	} else {
		text("quote_currency", i.Quote)
	}
	text("settlement_currency", settlement(i))
	text("price_index", indexName(i))
	if inverseOption || inverse(i) {
		text("instrument_type", "reversed")
	} else {
		text("instrument_type", "linear")
	}
	expiry := int64(never)
	switch {
	case i.Market == market.Perpetual:
		text("settlement_period", "perpetual")
	case i.ExpiryTime > 0:
		text("settlement_period", "month")
		expiry = i.ExpiryTime / 1e6
	}
	out = strconv.AppendInt(append(out, `,"expiration_timestamp":`...), expiry, 10)
	if strike, side, ok := strikeOf(i); ok {
		out = appendFloat(append(out, `,"strike":`...), market.MustDecimal(strike))
		text("option_type", side)
	}
	if i.PriceTick.IsSet() {
		out = i.PriceTick.AppendText(append(out, `,"tick_size":`...))
	}
	size := market.NewDecimal(1, 0)
	if i.AmountStep.IsSet() {
		out = i.AmountStep.AppendText(append(out, `,"min_trade_amount":`...))
		if i.Market != market.Option {
			size = i.AmountStep
		}
	}
	// What nobody here goes by, but clients may look for.
	out = appendFloat(append(out, `,"contract_size":`...), size)
	out = append(out, `,"taker_commission":0.0003,"maker_commission":0.0003,"block_trade_commission":0.00015,"creation_timestamp":1534242287000`...)
	out = strconv.AppendBool(append(out, `,"is_active":`...), i.Trading)
	return append(out, '}')
}

// strikeOf reads strike and type off our own symbol of an option.
func strikeOf(i *market.Instrument) (strike, side string, ok bool) {
	parts := strings.Split(i.Symbol, "-")
	if i.Market != market.Option || len(parts) < 2 {
		return "", "", false
	}
	side = map[string]string{"C": "call", "P": "put"}[parts[len(parts)-1]]
	return parts[len(parts)-2], side, side != ""
}

// composeBook writes {"bids":[[price,amount],…],"asks":[…],"change_id":…,"timestamp":…}.
func composeBook(c connectors.ReplayCall, b *connectors.ReplayBook) []byte {
	depth := c.Limit
	if depth == 0 {
		depth = 5
	}
	out := strconv.AppendInt([]byte(`{"timestamp":`), b.Time/1e6, 10)
	out = market.AppendJSONString(append(out, `,"instrument_name":`...), c.Symbol)
	out = strconv.AppendInt(append(out, `,"change_id":`...), b.Seq, 10)
	out = appendLevels(append(out, `,"bids":`...), b.Bids[:min(len(b.Bids), depth)])
	out = appendLevels(append(out, `,"asks":`...), b.Asks[:min(len(b.Asks), depth)])
	return rpcResult(nil, append(out, '}'))
}

// appendLevels writes [[price,amount],…].
func appendLevels(out []byte, levels []market.Level) []byte {
	out = append(out, '[')
	for i, l := range levels {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(l.Price.AppendText(append(out, '[')), ',')
		out = append(l.Amount.AppendText(out), ']')
	}
	return append(out, ']')
}

// composeTrades writes {"trades":[…],"has_more":…}: those between start_seq and
// end_seq, the newest first unless sorting is asc.
func composeTrades(c connectors.ReplayCall, q url.Values, all []market.Trade) []byte {
	to, bounded := number(q, "end_seq")
	var list []*market.Trade
	for i := range all {
		if t := &all[i]; t.Seq.OK && t.Seq.V >= c.FromID && (!bounded || t.Seq.V <= to) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *market.Trade) int { return int(min(max(a.Seq.V-b.Seq.V, -1), 1)) })
	if q.Get("sorting") != "asc" {
		slices.Reverse(list)
	}
	more := len(list) > c.Limit
	out := []byte(`{"trades":[`)
	for i, t := range list[:min(len(list), c.Limit)] {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendTrade(out, t, c.Symbol)
	}
	out = strconv.AppendBool(append(out, `],"has_more":`...), more)
	return rpcResult(nil, append(out, '}'))
}

// appendTrade writes a trade with what its record holds.
func appendTrade(out []byte, t *market.Trade, native string) []byte {
	out = strconv.AppendInt(append(out, `{"trade_seq":`...), t.Seq.V, 10)
	out = market.AppendJSONString(append(out, `,"trade_id":`...), t.ID.String())
	out = strconv.AppendInt(append(out, `,"timestamp":`...), t.ExchangeTime/1e6, 10)
	out = t.Price.AppendText(append(out, `,"price":`...))
	out = market.AppendJSONString(append(out, `,"instrument_name":`...), native)
	out = market.AppendJSONString(append(out, `,"direction":`...), t.Side.String())
	out = t.Amount.AppendText(append(out, `,"amount":`...))
	return append(out, '}')
}
