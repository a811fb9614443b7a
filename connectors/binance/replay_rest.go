package binance

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Call implements [connectors.Replayer].
func (r replayer) Call(u *url.URL) connectors.ReplayCall {
	q := u.Query()
	c := connectors.ReplayCall{Symbol: strings.ToUpper(q.Get("symbol"))}
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		c.Limit = n
	}
	if n, err := strconv.ParseInt(q.Get("fromId"), 10, 64); err == nil {
		c.FromID = n
	}
	q.Del("limit")
	switch u.Path {
	case r.paths.instruments:
		c.Kind = connectors.NeedInstruments
		q = url.Values{}
	case r.paths.volumes:
		c.Kind = connectors.NeedVolumes
	case r.paths.depth:
		c.Kind, c.Topic = connectors.NeedSnapshot, strings.ToLower(c.Symbol)+"@depth"
	case r.paths.trades:
		c.Kind = connectors.NeedRecentTrades
	case r.paths.oldTrades:
		c.Kind = connectors.NeedTradesFrom
	}
	c.Key = u.Path
	if text := q.Encode(); text != "" {
		c.Key += "?" + text
	}
	return c
}

// Compose implements [connectors.Replayer].
func (r replayer) Compose(c connectors.ReplayCall, s *connectors.ReplayState) ([]byte, bool) {
	switch {
	case c.Kind == connectors.NeedInstruments:
		return r.instruments(c, s)
	case c.Kind == connectors.NeedSnapshot && s.Book != nil:
		return r.snapshot(c, s.Book), true
	case c.Kind == connectors.NeedRecentTrades:
		return trades(s.Trades[max(0, len(s.Trades)-page(c, 500)):]), true
	case c.Kind == connectors.NeedTradesFrom:
		from, _ := slices.BinarySearchFunc(s.Trades, c.FromID, func(t market.Trade, id int64) int {
			n, _ := t.ID.Num()
			return int(min(max(n-id, -1), 1))
		})
		list := s.Trades[from:]
		return trades(list[:min(len(list), page(c, 500))]), true
	case strings.HasSuffix(c.Key, "/ping"):
		return []byte("{}"), true
	case strings.HasSuffix(c.Key, "/time"):
		return append(strconv.AppendInt([]byte(`{"serverTime":`), s.Time/1e6, 10), '}'), true
	}
	return nil, false
}

// page is how many trades a call gets.
func page(c connectors.ReplayCall, otherwise int) int {
	if c.Limit == 0 {
		return otherwise
	}
	return min(c.Limit, tradesPage)
}

// composedSymbol is a row of a composed exchangeInfo.
type composedSymbol struct {
	Symbol       string           `json:"symbol"`
	Status       string           `json:"status"`
	BaseAsset    string           `json:"baseAsset"`
	QuoteAsset   string           `json:"quoteAsset"`
	MarginAsset  string           `json:"marginAsset,omitempty"`
	ContractType string           `json:"contractType,omitempty"`
	DeliveryDate int64            `json:"deliveryDate,omitempty"` // ms
	Filters      []composedFilter `json:"filters"`
}

type composedFilter struct {
	FilterType string `json:"filterType"`
	TickSize   string `json:"tickSize,omitempty"`
	StepSize   string `json:"stepSize,omitempty"`
}

// never is the delivery date of a perpetual contract.
const never = 4133404800000

func (r replayer) instruments(c connectors.ReplayCall, s *connectors.ReplayState) ([]byte, bool) {
	info := struct {
		Timezone   string           `json:"timezone"`
		ServerTime int64            `json:"serverTime"`
		Symbols    []composedSymbol `json:"symbols"`
	}{"UTC", s.Time / 1e6, []composedSymbol{}}
	for _, i := range s.Instruments {
		if c.Symbol == "" || c.Symbol == i.Native {
			info.Symbols = append(info.Symbols, r.symbol(i))
		}
	}
	body, err := json.Marshal(info)
	return body, err == nil && len(info.Symbols) > 0
}

func (r replayer) symbol(i *market.Instrument) composedSymbol {
	row := composedSymbol{Symbol: i.Native, Status: "TRADING", BaseAsset: i.Base, QuoteAsset: i.Quote, MarginAsset: i.Settle}
	switch i.Market {
	case market.Perpetual:
		row.ContractType, row.DeliveryDate = "PERPETUAL", never
	case market.Future:
		row.ContractType, row.DeliveryDate = "CURRENT_QUARTER", i.ExpiryTime/1e6
	}
	switch {
	case i.Trading:
	case r.futures:
		row.Status = "CLOSE"
	default:
		row.Status = "BREAK"
	}
	row.Filters = []composedFilter{}
	if i.PriceTick.IsSet() {
		row.Filters = append(row.Filters, composedFilter{FilterType: "PRICE_FILTER", TickSize: i.PriceTick.String()})
	}
	if i.AmountStep.IsSet() {
		row.Filters = append(row.Filters, composedFilter{FilterType: "LOT_SIZE", StepSize: i.AmountStep.String()})
	}
	return row
}

func (r replayer) snapshot(c connectors.ReplayCall, b *connectors.ReplayBook) []byte {
	out := strconv.AppendInt([]byte(`{"lastUpdateId":`), b.Seq, 10)
	if r.futures {
		out = strconv.AppendInt(append(out, `,"E":`...), b.Time/1e6, 10)
		out = strconv.AppendInt(append(out, `,"T":`...), b.Time/1e6, 10)
	}
	limit := c.Limit
	if limit == 0 {
		limit = 100
		if r.futures {
			limit = 500
		}
	}
	out = appendLevels(append(out, `,"bids":`...), b.Bids[:min(len(b.Bids), limit)])
	out = appendLevels(append(out, `,"asks":`...), b.Asks[:min(len(b.Asks), limit)])
	return append(out, '}')
}

func appendLevels(out []byte, levels []market.Level) []byte {
	out = append(out, '[')
	for i, l := range levels {
		if i > 0 {
			out = append(out, ',')
		}
		out = l.Price.AppendText(append(out, `["`...))
		out = l.Amount.AppendText(append(out, `","`...))
		out = append(out, `"]`...)
	}
	return append(out, ']')
}

// trades writes [{"id":…,"price":…,"qty":…,"quoteQty":…,"time":…,"isBuyerMaker":…},…];
// quoteQty is left out where the trade's frame does not give it.
func trades(list []market.Trade) []byte {
	out := []byte{'['}
	for i := range list {
		t := &list[i]
		if i > 0 {
			out = append(out, ',')
		}
		out = t.ID.AppendText(append(out, `{"id":`...))
		out = t.Price.AppendText(append(out, `,"price":"`...))
		out = t.Amount.AppendText(append(out, `","qty":"`...))
		if t.QuoteAmount.IsSet() {
			out = t.QuoteAmount.AppendText(append(out, `","quoteQty":"`...))
		}
		out = strconv.AppendInt(append(out, `","time":`...), t.ExchangeTime/1e6, 10)
		out = strconv.AppendBool(append(out, `,"isBuyerMaker":`...), t.Side == market.Sell)
		out = append(out, '}')
	}
	return append(out, ']')
}
