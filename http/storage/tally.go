package storage

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/persistence"
)

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
		Params: subjectParams(
			chassis.Param{Name: "from", Type: time.Time{}, Required: true, Doc: paramFrom.Doc}, chassis.Param{Name: "to", Type: time.Time{}, Required: true, Doc: paramTo.Doc},
			chassis.Param{Name: "bucket", Default: "15m", Doc: "A duration of 1s or more; 24h counts UTC days."}),
		Responses: []chassis.Response{{Body: tallyAnswer{}}}, Timeout: time.Minute, Handler: f.tally,
	}}
}

func (f *service) tally(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	ctx, q := r.Context(), chassis.QueryOf(r)
	about, err := subjectOf(r, q)
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
	if err := q.Err(); err != nil {
		return err
	}
	i, _, err := f.instrument(ctx, about)
	if err != nil {
		return err
	}
	found, err := persistence.Count(ctx, f.Branch.Query, about.kind, i.ID(), nanos(from), nanos(to), width)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, tallyAnswer{succeeded, about.kind.String(), i.Exchange, i.Market.String(), i.Symbol, found, f.Now()})
}
