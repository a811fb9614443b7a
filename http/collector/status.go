package collector

import (
	"context"
	"errors"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/http/chassis"
)

// exchangeList is the answer of exchanges.
type exchangeList struct {
	Exchanges map[string]branch.ExchangeStatus `json:"exchanges" required:"true"`
	Total     int                              `json:"total" required:"true"`
	Timestamp time.Time                        `json:"timestamp" required:"true"`
}

func (f *service) statusRoutes() []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: base + "status", ID: "status", Tag: tagCollector, Summary: "What is collected, and how much of it",
			Responses: []chassis.Response{{Body: branch.Status{}}},
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				return chassis.WriteJSON(w, r, http.StatusOK, f.Branch.Status(r.Context()))
			}},
		{Method: http.MethodGet, Path: base + "exchanges", ID: "exchanges", Tag: tagCollector, Summary: "Every exchange with its state",
			Responses: []chassis.Response{{Body: exchangeList{}}},
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				found := f.Branch.Exchanges(r.Context())
				return chassis.WriteJSON(w, r, http.StatusOK, exchangeList{found, len(found), f.Now()})
			}},
		{Method: http.MethodGet, Path: base + "exchanges/{exchange}/stats", ID: "exchangeStats", Tag: tagCollector,
			Summary: "One exchange with its markets and sessions", Description: "A disabled exchange answers too.",
			Params: []chassis.Param{paramExchange}, Responses: []chassis.Response{{Body: branch.ExchangeStats{}}}, Handler: f.exchangeStats},
	}
}

func (f *service) exchangeStats(w http.ResponseWriter, r *http.Request) error {
	exchange, err := exchangeOf(r)
	if err != nil {
		return err
	}
	found, err := f.Branch.ExchangeStats(r.Context(), exchange)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, found)
}

// addHealth adds the check of the sessions and the sections that the contract
// names.
func (f *service) addHealth(h *chassis.Health) {
	h.Add("exchanges", func(ctx context.Context) chassis.CheckResult {
		return judged(f.Branch.Health(ctx).Checks)
	})
	h.AddSection("collector", func(ctx context.Context) any { return f.Branch.Health(ctx).Collector })
	h.AddSection("exchanges", func(ctx context.Context) any { return f.Branch.Exchanges(ctx) })
	h.AddSection("data_stats", func(ctx context.Context) any { return f.Branch.Health(ctx).DataStats })
}

// judged puts the branch's checks, one a market, into one with the worst status.
func judged(checks map[string]branch.Check) chassis.CheckResult {
	found := chassis.CheckResult{Status: chassis.Pass, Fields: map[string]any{"markets": checks}}
	for name, c := range checks {
		status := chassis.CheckStatus(c.Status)
		if status == chassis.Pass || found.Status == chassis.Fail || found.Status == status {
			continue
		}
		found.Status, found.Err = status, errors.New(name+": "+c.Detail)
	}
	return found
}
