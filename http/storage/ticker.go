package storage

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// postedTicker is one 24-hour statistic as clients POST it.
type postedTicker struct {
	head
	LastPrice number `json:"last_price" required:"true" doc:"not negative" example:"61837.63"`
	Volume    number `json:"volume_24h" doc:"in base, not negative" example:"18231.5"`
	Change    number `json:"price_change_24h" doc:"last price less the price 24 hours before" example:"-120.5"`
	High      number `json:"high_24h" doc:"not negative" example:"62500"`
	Low       number `json:"low_24h" doc:"not negative" example:"60100.1"`
}

// ticker is the data of hot/tickers, for the documentation.
type ticker struct {
	Timestamp time.Time `json:"timestamp" required:"true" doc:"of the ticker; when it was received, where the exchange does not say"`
	Symbol    string    `json:"symbol" required:"true" doc:"as asked"`
	Exchange  string    `json:"exchange" required:"true" doc:"as asked"`
	LastPrice number    `json:"last_price" required:"true"`
	Volume    *number   `json:"volume_24h" required:"true"`
	Change    *number   `json:"price_change_24h" required:"true"`
	High      *number   `json:"high_24h" required:"true"`
	Low       *number   `json:"low_24h" required:"true"`
	further
}

// tickerAnswer is the answer of hot/tickers, for the documentation.
type tickerAnswer struct {
	success
	Data      ticker    `json:"data" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) tickerRoutes() []chassis.Route {
	return []chassis.Route{
		f.postRoute("hot/tickers", "tickers", postedTicker{}, addTicker),
		oneRoute("hot/tickers/{exchange}/{symbol}", "hotTicker", "The newest ticker", "ticker", tickerAnswer{},
			func(w http.ResponseWriter, r *http.Request) error {
				return f.one(w, r, market.KindTicker, "ticker", (*rowWriter).ticker)
			}),
	}
}

func addTicker(p *post, r chassis.Record, into *market.Batch) error {
	var in postedTicker
	if err := p.decode(r, &in); err != nil {
		return err
	}
	i, fields := p.instrument(&in.head)
	fields = notNegative(fields, amount{"/last_price", in.LastPrice}, amount{"/volume_24h", in.Volume},
		amount{"/high_24h", in.High}, amount{"/low_24h", in.Low})
	if fields != nil {
		return p.refuse(r, fields...)
	}
	t := market.Add[market.Ticker](into)
	t.Header = p.begin(&in.head, i)
	t.Last, t.Volume, t.Change = in.LastPrice.Decimal, in.Volume.Decimal, in.Change.Decimal
	t.High, t.Low = in.High.Decimal, in.Low.Decimal
	market.Stamp(t)
	return nil
}

func (w *rowWriter) ticker(dst []byte, record market.Record) []byte {
	t := record.(*market.Ticker)
	dst = w.begin(dst, &t.Header)
	dst = w.required(dst, `,"last_price":`, t.Last)
	dst = w.required(dst, `,"volume_24h":`, t.Volume)
	dst = w.required(dst, `,"price_change_24h":`, t.Change)
	dst = w.required(dst, `,"high_24h":`, t.High)
	dst = w.required(dst, `,"low_24h":`, t.Low)
	dst = w.further(dst, `,"open_24h":`, t.Open)
	dst = w.further(dst, `,"quote_volume_24h":`, t.QuoteVolume)
	dst = w.further(dst, `,"price_change_percent_24h":`, t.ChangePercent)
	dst = w.further(dst, `,"bid_price":`, t.BidPrice)
	dst = w.further(dst, `,"ask_price":`, t.AskPrice)
	dst = appendInt(dst, `,"window_open_ns":`, t.WindowOpen)
	dst = appendInt(dst, `,"window_close_ns":`, t.WindowClose)
	return w.end(dst, &t.Header)
}
