package okx

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// pathRecent is the call for the newest trades that other clients use.
const pathRecent = "/api/v5/market/trades"

// Call implements [connectors.Replayer].
func (replayer) Call(u *url.URL) connectors.ReplayCall {
	q := u.Query()
	c := connectors.ReplayCall{Symbol: q.Get("instId")}
	if n, err := strconv.Atoi(cmp.Or(q.Get("limit"), q.Get("sz"))); err == nil && n > 0 {
		c.Limit = n
	}
	q.Del("limit")
	q.Del("sz")
	switch u.Path {
	case pathInstruments:
		c.Kind = connectors.NeedInstruments
		if family := cmp.Or(q.Get("instFamily"), q.Get("uly")); family != "" {
			q.Del("uly")
			q.Set("instFamily", family)
		}
	case pathBook:
		c.Kind, c.Topic = connectors.NeedSnapshot, "books:"+c.Symbol
	case pathRecent:
		c.Kind = connectors.NeedRecentTrades
	case pathTrades:
		c.Kind = connectors.NeedRecentTrades
		if after, err := strconv.ParseInt(q.Get("after"), 10, 64); err == nil && q.Get("type") != "2" {
			c.Kind, c.FromID = connectors.NeedTradesFrom, max(0, after-int64(page(c)))
		}
	case pathTickers:
		c.Kind = connectors.NeedVolumes
	}
	c.Key = u.Path
	if text := q.Encode(); text != "" {
		c.Key += "?" + text
	}
	return c
}

// page is how many trades a call gets.
func page(c connectors.ReplayCall) int {
	if c.Limit == 0 {
		return tradesPage
	}
	return min(c.Limit, 5*tradesPage)
}

// Compose implements [connectors.Replayer].
func (replayer) Compose(c connectors.ReplayCall, s *connectors.ReplayState) ([]byte, bool) {
	switch {
	case c.Kind == connectors.NeedInstruments:
		return composedInstruments(c, s.Instruments)
	case c.Kind == connectors.NeedSnapshot && s.Book != nil && len(s.Instruments) == 1:
		return composedBook(c, s.Instruments[0], s.Book), true
	case c.Kind == connectors.NeedRecentTrades:
		return composedTrades(s.Trades[max(0, len(s.Trades)-page(c)):]), true
	case c.Kind == connectors.NeedTradesFrom:
		until := c.FromID + int64(page(c))
		to, _ := slices.BinarySearchFunc(s.Trades, until, func(t market.Trade, id int64) int { return cmp.Compare(t.Seq.V, id) })
		return composedTrades(s.Trades[max(0, to-page(c)):to]), true
	case strings.HasPrefix(c.Key, "/api/v5/public/time"):
		return append(strconv.AppendInt([]byte(`{"code":"0","msg":"","data":[{"ts":"`), s.Time/1e6, 10), `"}]}`...), true
	}
	return nil, false
}

// composedRow is a row of a composed list, with what other clients look for.
type composedRow struct {
	instrumentInfo
	Alias        string `json:"alias"`
	Category     string `json:"category"`
	Lever        string `json:"lever"`
	MaxLmtSz     string `json:"maxLmtSz"`
	MaxMktSz     string `json:"maxMktSz"`
	MaxTwapSz    string `json:"maxTwapSz"`
	MaxIcebergSz string `json:"maxIcebergSz"`
	MaxTriggerSz string `json:"maxTriggerSz"`
	MaxStopSz    string `json:"maxStopSz"`
}

// composedInstruments lists those that the call's key asks for.
func composedInstruments(c connectors.ReplayCall, known []*market.Instrument) ([]byte, bool) {
	_, text, _ := strings.Cut(c.Key, "?")
	q, err := url.ParseQuery(text)
	if err != nil {
		return nil, false
	}
	list := struct {
		Code string        `json:"code"`
		Msg  string        `json:"msg"`
		Data []composedRow `json:"data"`
	}{Code: "0", Data: []composedRow{}}
	for _, i := range known {
		row := rowOf(i)
		family := q.Get("instFamily")
		if row.InstType == q.Get("instType") && (c.Symbol == "" || c.Symbol == i.Native) && (family == "" || family == row.InstFamily) {
			list.Data = append(list.Data, composedRow{
				instrumentInfo: row, Category: "1", Lever: "10", MaxLmtSz: "999999999", MaxMktSz: "999999999", MaxTwapSz: "999999999",
				MaxIcebergSz: "999999999", MaxTriggerSz: "999999999", MaxStopSz: "999999999",
			})
		}
	}
	body, err := json.Marshal(list)
	return body, err == nil
}

// rowOf is an instrument as OKX lists it.
func rowOf(i *market.Instrument) instrumentInfo {
	row := instrumentInfo{
		InstType: instTypes[i.Market], InstID: i.Native, SettleCcy: i.Settle, State: "live", ListTime: "1548133413000",
		TickSz: i.PriceTick.String(), LotSz: contracts(i, i.AmountStep).String(),
	}
	row.MinSz = row.LotSz
	if !i.Trading {
		row.State = "suspend"
	}
	if i.Market == market.Spot {
		row.BaseCcy, row.QuoteCcy, row.SettleCcy = i.Base, i.Quote, ""
		return row
	}
	row.InstFamily, row.Uly = i.Base+"-"+i.Quote, indexName(i)
	row.CtVal, row.CtMult, row.CtValCcy = i.ContractSize.String(), "1", i.Base
	switch {
	case i.Market == market.Option:
		parts := strings.Split(i.Symbol, "-")
		row.Stk, row.OptType = parts[len(parts)-2], parts[len(parts)-1]
	case inverse(i):
		row.CtType, row.CtValCcy = "inverse", i.Quote
	default:
		row.CtType = "linear"
	}
	if i.ExpiryTime > 0 {
		row.ExpTime = strconv.FormatInt(i.ExpiryTime/1e6, 10)
	}
	return row
}

// inverse reports whether an instrument's contracts are of its quote currency.
func inverse(i *market.Instrument) bool {
	return i.Settle == i.Base && (i.Market == market.Perpetual || i.Market == market.Future)
}

func composedBook(c connectors.ReplayCall, i *market.Instrument, b *connectors.ReplayBook) []byte {
	n := max(1, min(c.Limit, bookDepth))
	out := appendLevels([]byte(`{"code":"0","msg":"","data":[{"asks":`), i, b.Asks[:min(n, len(b.Asks))])
	out = appendLevels(append(out, `,"bids":`...), i, b.Bids[:min(n, len(b.Bids))])
	out = strconv.AppendInt(append(out, `,"ts":"`...), b.Time/1e6, 10)
	out = strconv.AppendInt(append(out, `","seqId":`...), b.Seq, 10)
	return append(out, "}]}"...)
}

func appendLevels(out []byte, i *market.Instrument, levels []market.Level) []byte {
	out = append(out, '[')
	for n := range levels {
		if n > 0 {
			out = append(out, ',')
		}
		out = appendOrders(out, i, &levels[n])
	}
	return append(out, ']')
}

// appendOrders writes ["price","contracts","0","orders"].
func appendOrders(out []byte, i *market.Instrument, l *market.Level) []byte {
	orders := `","0","1"]`
	if l.Amount.IsZero() {
		return append(l.Price.AppendText(append(out, `["`...)), `","0","0","0"]`...)
	}
	out = l.Price.AppendText(append(out, `["`...))
	out = contracts(i, l.Amount).AppendText(append(out, `","`...))
	return append(out, orders...)
}

// composedTrades writes trades, the newest first.
func composedTrades(list []market.Trade) []byte {
	out := []byte(`{"code":"0","msg":"","data":[`)
	for n := len(list) - 1; n >= 0; n-- {
		out = appendTrade(out, &list[n])
		if n > 0 {
			out = append(out, ',')
		}
	}
	return append(out, "]}"...)
}

// appendTrade writes a trade as the calls and trades-all do.
func appendTrade(out []byte, t *market.Trade) []byte {
	out = append(appendFill(out, t), `,"source":"0","ts":"`...)
	return append(strconv.AppendInt(out, t.ExchangeTime/1e6, 10), `"}`...)
}

// appendFill writes what all of them begin with.
func appendFill(out []byte, t *market.Trade) []byte {
	out = append(append(out, `{"instId":"`...), t.Instrument.Native...)
	out = t.ID.AppendText(append(out, `","tradeId":"`...))
	out = t.Price.AppendText(append(out, `","px":"`...))
	out = contracts(t.Instrument, t.Amount).AppendText(append(out, `","sz":"`...))
	return append(append(append(out, `","side":"`...), t.Side.String()...), '"')
}
