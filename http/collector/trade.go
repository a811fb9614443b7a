package collector

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// maxTrades is the largest limit; how many are remembered is configured.
const maxTrades = 10_000

// tradeHead opens the answer of trades.
type tradeHead struct {
	Exchange string `json:"exchange" required:"true" doc:"as asked"`
	Symbol   string `json:"symbol" required:"true" doc:"as asked"`
}

type tradeTail struct {
	Count     int       `json:"count" required:"true" doc:"of this answer"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// tradeList is the answer of trades, for the documentation.
type tradeList struct {
	tradeHead
	Trades []map[string]any `json:"trades" required:"true" doc:"in the one JSON form, newest first"`
	tradeTail
}

func (f *service) tradeRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "trades/{exchange}/{symbol}", ID: "trades", Tag: tagBooks, Summary: "The newest trades",
		Params:    instrumentParams(chassis.Param{Name: "limit", Type: 0, Default: 100, Min: 1, Max: maxTrades}, paramDecimals),
		Responses: []chassis.Response{{Body: tradeList{}}}, Handler: f.trades,
	}}
}

func (f *service) trades(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	t, err := targetOf(r, q)
	if err != nil {
		return err
	}
	limit := q.Limit(100, maxTrades)
	form := market.JSON{Numbers: q.OneOf("decimals", "number", "number", "string") == "number"}
	if err := q.Err(); err != nil {
		return err
	}
	found, err := f.Branch.Trades(r.Context(), t.exchange, t.word, t.Symbol, limit)
	if err != nil {
		return err
	}
	s, err := chassis.NewArray(w, r, tradeHead{t.Exchange, t.Symbol}, "trades")
	if err != nil {
		return err
	}
	defer s.Release()
	for i := range found {
		if err := s.WriteFunc(func(dst []byte) ([]byte, error) { return form.Append(dst, &found[i]), nil }); err != nil {
			return err
		}
	}
	return s.Close(tradeTail{s.Rows(), f.Now()})
}
