package monitoring

import (
	"context"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// StreamStanding is how a stream stands at the node that owns it.
type StreamStanding struct {
	Stream   string `json:"stream" required:"true" doc:"exchange/market/symbol"`
	Owner    string `json:"owner" required:"true" doc:"the node that collects it, by the plan"`
	State    string `json:"state" enum:"live,stale,syncing" required:"true" doc:"of its book"`
	Sequence int64  `json:"sequence" required:"true" doc:"the exchange's, at which the book stands"`
	// Time is nil where the exchange sent none.
	Time      *time.Time `json:"time,omitempty" doc:"of the last change"`
	Age       *float64   `json:"age_seconds,omitempty" doc:"since the last change was received"`
	BestBid   string     `json:"best_bid,omitempty" doc:"highest price; absent when nobody buys"`
	BestAsk   string     `json:"best_ask,omitempty" doc:"lowest price; absent when nobody sells"`
	BidLevels int        `json:"bid_levels" required:"true" doc:"prices on this side of the book"`
	AskLevels int        `json:"ask_levels" required:"true" doc:"prices on this side of the book"`
}

// Owners ask the nodes that own streams. Errors are answers: [*chassis.Error].
type Owners interface {
	Standing(ctx context.Context, stream string) (StreamStanding, error)
	Resync(ctx context.Context, stream, by string) (owner string, err error)
}

const tagCluster = "cluster"

func (f *service) ownerRoutes() []chassis.Route {
	id := chassis.Param{Name: "id", In: "path", Doc: "exchange/market/symbol, its slashes escaped.", Example: "binance/spot/BTC-USDT"}
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "cluster/streams/{id}", ID: "clusterStream", Tag: tagCluster,
			Summary:     "How a stream stands, wherever it is collected",
			Description: "The node that owns the stream by the plan is asked, over remoting. Only where there are several nodes.",
			Params:      []chassis.Param{id}, Responses: []chassis.Response{{Body: StreamStanding{}}}, Handler: f.streamStanding,
		},
		{
			Method: http.MethodPost, Path: base + "cluster/streams/{id}/resync", ID: "resyncClusterStream", Tag: tagCluster,
			Summary: "Fetch the book of a stream anew, wherever it is collected",
			Description: "A book that is live stays so meanwhile. Needs the role operator where clients have roles. Audited. " +
				"Only where there are several nodes.",
			Params: []chassis.Param{id}, Request: why{}, Accepts: []string{"*/*"}, Optional: true,
			Responses: []chassis.Response{{Body: resynced{}}}, Handler: f.resyncStream,
		},
	}
}

// resynced is the answer of a resync.
type resynced struct {
	Success   bool      `json:"success" required:"true"`
	Stream    string    `json:"stream" required:"true" doc:"exchange/market/symbol"`
	Owner     string    `json:"owner" required:"true" doc:"the node that collects it, by the plan"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) askable() (Owners, error) {
	if f.Owners == nil {
		return nil, chassis.Conflict("this node has no others to ask: ask its collector").WithCode("no_cluster")
	}
	return f.Owners, nil
}

func (f *service) streamStanding(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	owners, err := f.askable()
	if err != nil {
		return err
	}
	s, err := owners.Standing(r.Context(), id)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, s)
}

func (f *service) resyncStream(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	e := audit.Entry{Action: "stream.resync", Target: id}
	if p, ok := identity.From(r.Context()); ok && p.RoleAt(Service) < identity.Operator {
		err = chassis.Forbidden("this needs the role operator at %s; yours is %s", Service, p.RoleAt(Service)).WithCode("role_needed")
		e.Outcome, e.Detail = audit.Refused, err.Error()
		f.record(r, e)
		return err
	}
	owners, err := f.askable()
	if err != nil {
		return err
	}
	owner, err := owners.Resync(r.Context(), id, who(r.Context()))
	if err == nil {
		e.Outcome, e.Detail = audit.Done, "at "+owner
	}
	f.record(r, e.Of(err))
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, resynced{true, id, owner, f.Now()})
}
