package storage

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// postedOrderbook is one order book as clients POST it.
type postedOrderbook struct {
	head
	Bids [][2]number `json:"bids" required:"true" maxLength:"10000" doc:"[price, amount], not negative; stored highest price first" example:"[[61837.62,1.5],[61837.5,0.2]]"`
	Asks [][2]number `json:"asks" required:"true" maxLength:"10000" doc:"[price, amount], not negative; stored lowest price first" example:"[[\"61837.63\",\"0.7\"]]"`
}

// orderbook is the data of hot/orderbooks, for the documentation.
type orderbook struct {
	Timestamp time.Time   `json:"timestamp" required:"true" doc:"of the book; when it was received, where the exchange does not say"`
	Symbol    string      `json:"symbol" required:"true" doc:"as asked"`
	Exchange  string      `json:"exchange" required:"true" doc:"as asked"`
	Bids      [][2]number `json:"bids" required:"true" doc:"[price, amount], highest price first"`
	Asks      [][2]number `json:"asks" required:"true" doc:"[price, amount], lowest price first"`
	Depth     int64       `json:"depth,omitempty" doc:"levels a side that were asked for"`
	State     string      `json:"state,omitempty" doc:"live for a book that is proven; absent for a POSTed one"`
	further
}

// orderbookAnswer is the answer of hot/orderbooks, for the documentation.
type orderbookAnswer struct {
	success
	Data      orderbook `json:"data" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) orderbookRoutes() []chassis.Route {
	return []chassis.Route{
		f.postRoute("hot/orderbooks", "orderbooks", postedOrderbook{}, addOrderbook),
		oneRoute("hot/orderbooks/{exchange}/{symbol}", "hotOrderbook", "The newest stored order book", "order book", orderbookAnswer{},
			func(w http.ResponseWriter, r *http.Request) error {
				return f.one(w, r, market.KindBookSnapshot, "order book", (*rowWriter).orderbook)
			}),
	}
}

func addOrderbook(p *post, r chassis.Record, into *market.Batch) error {
	var in postedOrderbook
	if err := p.decode(r, &in); err != nil {
		return err
	}
	i, fields := p.instrument(&in.head)
	fields = checkLevels(fields, "/bids", in.Bids)
	fields = checkLevels(fields, "/asks", in.Asks)
	if fields != nil {
		return p.refuse(r, fields...)
	}
	s := market.Add[market.BookSnapshot](into)
	s.Header = p.begin(&in.head, i)
	s.Bids = addLevels(into, in.Bids, func(a, b [2]number) int { return b[0].Cmp(a[0].Decimal) })
	s.Asks = addLevels(into, in.Asks, func(a, b [2]number) int { return a[0].Cmp(b[0].Decimal) })
	market.Stamp(s)
	return nil
}

// checkLevels adds the first level that is wrong.
func checkLevels(fields []chassis.FieldError, pointer string, levels [][2]number) []chassis.FieldError {
	for i := range levels {
		for j, v := range levels[i] {
			at := fmt.Sprintf("%s/%d/%d", pointer, i, j)
			switch {
			case !v.IsSet():
				return append(fields, chassis.Field(at, "must be a number"))
			case v.Sign() < 0:
				return append(fields, chassis.Field(at, "must not be negative"))
			}
		}
	}
	return fields
}

// addLevels puts levels into the batch, best first.
func addLevels(into *market.Batch, levels [][2]number, order func(a, b [2]number) int) []market.Level {
	if !slices.IsSortedFunc(levels, order) {
		slices.SortStableFunc(levels, order)
	}
	mark := into.LevelMark()
	for _, l := range levels {
		into.Level(market.Level{Price: l[0].Decimal, Amount: l[1].Decimal})
	}
	return into.LevelsFrom(mark)
}

func (w *rowWriter) orderbook(dst []byte, record market.Record) []byte {
	s := record.(*market.BookSnapshot)
	dst = w.begin(dst, &s.Header)
	dst = w.levels(dst, `,"bids":`, s.Bids)
	dst = w.levels(dst, `,"asks":`, s.Asks)
	dst = appendOptInt(dst, `,"depth":`, s.Depth)
	dst = appendText(dst, `,"state":`, s.State)
	return w.end(dst, &s.Header)
}
