package storage

import (
	"context"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// paramExact documents ?exact=.
var paramExact = chassis.Param{
	Name: "exact", Type: false, Default: false,
	Doc: "Take exchange, market (default spot) and symbol as they are stored, and ask no table what they mean; nothing stored is then an empty answer.",
}

// findOr is find, or takes the names as they are.
func (f *service) findOr(ctx context.Context, a facade.Asked, kind market.Kind, exact bool) (i *market.Instrument, listed bool, err error) {
	if !exact {
		return f.find(ctx, a, kind)
	}
	m := market.Spot
	if a.Named {
		m = a.Market
	}
	return &market.Instrument{Exchange: a.Exchange, Market: m, Symbol: a.Symbol, Native: a.Symbol}, true, nil
}

type tallyAnswer struct {
	success
	Kind      string              `json:"kind" required:"true"`
	Exchange  string              `json:"exchange" required:"true"`
	Market    string              `json:"market" required:"true"`
	Symbol    string              `json:"symbol" required:"true"`
	Data      []persistence.Tally `json:"data" required:"true" doc:"stretches that have records, in order of time"`
	Timestamp time.Time           `json:"timestamp" required:"true"`
}

func (f *service) tallyRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "tally/{kind}/{exchange}/{symbol}", ID: "tally", Tag: tagQuery,
		Summary:     "How many collected records are stored, and how many of them are proven",
		Description: "Counted from the records themselves, in stretches of `bucket` of the clock.",
		Params: params(append(facade.PathParams(), chassis.Param{Name: "kind", In: "path", Doc: "Kind, its table, or a documented alias.", Example: "trade"}),
			facade.MarketParam(), chassis.Param{Name: "from", Type: time.Time{}, Required: true, Doc: paramFrom.Doc}, chassis.Param{Name: "to", Type: time.Time{}, Required: true, Doc: paramTo.Doc},
			chassis.Param{Name: "bucket", Default: "15m", Doc: "A duration of 1s or more."}, paramExact),
		Responses: []chassis.Response{{Body: tallyAnswer{}}}, Timeout: time.Minute, Handler: f.tally,
	}}
}

func (f *service) tally(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	ctx, q := r.Context(), chassis.QueryOf(r)
	kind, err := kindOf(r)
	if err != nil {
		return err
	}
	asked, err := facade.AskedOf(r, q)
	if err != nil {
		return err
	}
	from, to := q.Range("from", "to")
	if from.IsZero() || to.IsZero() {
		q.Refuse("from", "and to are both needed")
	}
	width, err := time.ParseDuration(q.Text("bucket", "15m"))
	if err != nil || width < time.Second || !from.IsZero() && to.Sub(from)/width > persistence.MaxTallies {
		q.Refuse("bucket", "must be a duration of 1s or more, and the range at most %d of them", persistence.MaxTallies)
	}
	exact := q.Bool("exact", false)
	if err := q.Err(); err != nil {
		return err
	}
	i, _, err := f.findOr(ctx, asked, kind, exact)
	if err != nil {
		return err
	}
	found, err := persistence.Count(ctx, f.Branch.Query, kind, i.ID(), nanos(from), nanos(to), width)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, tallyAnswer{succeeded, kind.String(), i.Exchange, i.Market.String(), i.Symbol, found, f.Now()})
}
