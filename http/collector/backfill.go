package collector

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	documents "github.com/marketprism/marketprism/actors/bucket"
	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// Past brings what is over.
type Past interface {
	BeginBackfill(ctx context.Context, r branch.BackfillRequest) (branch.BackfillStatus, error)
	Backfills(ctx context.Context) []branch.BackfillStatus
	BackfillStatus(ctx context.Context, id string) (branch.BackfillStatus, error)
	AwaitBackfill(ctx context.Context, id string) (branch.BackfillStatus, error)
	CancelBackfill(ctx context.Context, id string) (branch.BackfillStatus, error)
}

// backfillRequest is the body of backfill.
type backfillRequest struct {
	Gaps  bool      `json:"gaps" doc:"what the gap ledger says is missing; so too without a time"`
	Kinds []string  `json:"kinds" maxLength:"32" doc:"kinds that the exchange remembers; without any, a range is of those of them that are collected, and gaps are those of every channel" example:"[\"trade\",\"candle\"]"`
	From  time.Time `json:"from" doc:"beginning, inclusive" example:"2026-01-31T00:00:00Z"`
	To    time.Time `json:"to" doc:"end, exclusive; now without it" example:"2026-02-01T00:00:00Z"`
}

// backfill is one operation.
type backfill struct {
	ID         string               `json:"operation_id" required:"true"`
	Exchange   string               `json:"exchange" required:"true"`
	Market     string               `json:"market" required:"true"`
	Symbol     string               `json:"symbol" required:"true"`
	State      branch.BackfillState `json:"state" enum:"queued,running,succeeded,cancelled,failed" required:"true" doc:"the last three are final"`
	Problem    string               `json:"problem,omitempty" doc:"why it failed, or what it waits for"`
	Parts      []string             `json:"parts" required:"true" doc:"what it is of, in order"`
	Doing      string               `json:"doing,omitempty" doc:"the part under way"`
	Gaps       bool                 `json:"gaps" required:"true" doc:"it is of the gap ledger"`
	From       *time.Time           `json:"from,omitempty" doc:"beginning of the time, inclusive; absent where gaps have no bound"`
	To         *time.Time           `json:"to,omitempty" doc:"end of the time, exclusive; absent where gaps have no bound"`
	Created    *time.Time           `json:"created" required:"true" doc:"when it was asked for"`
	Started    *time.Time           `json:"started,omitempty" doc:"absent before"`
	Finished   *time.Time           `json:"finished,omitempty" doc:"absent before"`
	Progress   float64              `json:"progress" required:"true" minimum:"0" maximum:"1" doc:"0 to 1"`
	Records    int64                `json:"records" required:"true" doc:"fetched, and in the journal"`
	Stored     int64                `json:"stored" required:"true" doc:"that were there before, and not asked for"`
	Missing    int64                `json:"missing" required:"true" doc:"that the exchange did not give, where that can be told"`
	Calls      int64                `json:"calls" required:"true" doc:"made to the exchange"`
	GapsFound  int                  `json:"gaps_found" required:"true" doc:"entries of the ledger that the exchange may have something of"`
	GapsHealed int                  `json:"gaps_healed" required:"true" doc:"entries of the ledger of which nothing is missing any more"`
	GapsLeft   int                  `json:"gaps_left" required:"true" doc:"that are open still, and with the stream itself, which was asked to try again"`
	Resumed    int                  `json:"resumed" required:"true" doc:"how many processes took it up again; the counts are of the last one"`

	Unobtainable []branch.Unobtainable `json:"unobtainable" required:"true" doc:"entries of the ledger that stay marked, and why"`
}

// backfillBegun is the answer of backfill.
type backfillBegun struct {
	Success   bool      `json:"success" required:"true"`
	Operation backfill  `json:"operation" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// backfillList is the answer of backfills.
type backfillList struct {
	Operations []backfill `json:"operations" required:"true" doc:"newest first"`
	Count      int        `json:"count" required:"true" doc:"of this answer"`
	Timestamp  time.Time  `json:"timestamp" required:"true"`
}

// longestWait bounds ?wait=.
const longestWait = 30 * time.Second

func (f *service) backfillRoutes() []chassis.Route {
	paramID := chassis.Param{Name: "id", In: "path", Doc: "The operation's id.", Example: "binance-spot-12-1"}
	return []chassis.Route{
		f.importRoute(),
		{Method: http.MethodPost, Path: base + "quality/{exchange}/{symbol}/backfill", ID: "backfill", Tag: tagQuality,
			Summary: "Fetch the past of a stream from the exchange",
			Description: "Without a body, or with `gaps`: what the gap ledger says is missing, of every channel of which the exchange remembers something. With `from`: a range of time, of a stream that need not be collected. " +
				"What is stored is not fetched again, and the same request may be made twice. It runs when nothing live needs the exchange, within a share of its rate limit; `GET backfills/{id}` tells how far it is. It survives the end of the process, and goes on in the next one under the same id.",
			Params: instrumentParams(), Request: backfillRequest{}, Optional: true,
			Responses: []chassis.Response{{Status: http.StatusAccepted, Doc: "begun", Body: backfillBegun{}, Headers: map[string]string{"Location": "the operation"}}}, Handler: f.beginBackfill},
		{Method: http.MethodGet, Path: base + "backfills", ID: "backfills", Tag: tagQuality, Summary: "What is being fetched of the past, and was lately",
			Params:    []chassis.Param{paramScope},
			Responses: []chassis.Response{{Body: backfillList{}}}, Handler: f.backfills},
		{Method: http.MethodGet, Path: base + "backfills/{id}", ID: "backfillStatus", Tag: tagQuality, Summary: "How far one backfill is",
			Params:    []chassis.Param{paramID, {Name: "wait", Example: "10s", Doc: "Answer when it is over, or after so long; at most 30s."}},
			Responses: []chassis.Response{{Body: backfill{}}}, Timeout: 2 * longestWait, Handler: f.whereKnown(f.backfillStatus)},
		{Method: http.MethodDelete, Path: base + "backfills/{id}", ID: "cancelBackfill", Tag: tagQuality, Summary: "End a backfill",
			Description: "What it has brought stays, and the same request goes on from there. One that is over stays as it is.",
			Params:      []chassis.Param{paramID}, Responses: []chassis.Response{{Body: backfill{}}}, Handler: f.whereKnown(f.cancelBackfill)},
	}
}

func (f *service) beginBackfill(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	t, err := targetOf(r, q)
	if err != nil {
		return err
	}
	if err := q.Err(); err != nil {
		return err
	}
	var body backfillRequest
	if err := chassis.Decode(r, &body, chassis.Empty); err != nil {
		return err
	}
	gaps := body.Gaps || body.From.IsZero() && body.To.IsZero() && len(body.Kinds) == 0
	begun, err := f.Branch.BeginBackfill(r.Context(), branch.BackfillRequest{
		Exchange: t.exchange, Market: t.word, Symbol: t.Symbol, Kinds: body.Kinds, Gaps: gaps, From: body.From, To: body.To,
	})
	if err != nil {
		return notBegun(err)
	}
	w.Header().Set("Location", base+"backfills/"+begun.ID)
	return chassis.WriteJSON(w, r, http.StatusAccepted, backfillBegun{true, backfillOf(&begun), f.Now()})
}

// notBegun is the answer when an operation cannot be begun now.
func notBegun(err error) error {
	switch {
	case errors.Is(err, branch.ErrNoStore):
		return chassis.Unavailable(5*time.Second, "the store does not answer: %s", err.Error()).WithCode("store_away").WithCause(err)
	case errors.Is(err, documents.ErrUnavailable):
		return chassis.Unavailable(5*time.Second, "the operation cannot be kept over a restart now: %s", err.Error()).WithCode("broker_away").WithCause(err)
	case errors.Is(err, branch.ErrBackfillsFull):
		return chassis.Unavailable(time.Minute, "%s", err.Error()).WithCode("too_many_backfills").WithCause(err)
	}
	return err
}

func (f *service) backfills(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	wide := f.wide(r, q)
	if err := q.Err(); err != nil {
		return err
	}
	all := f.Branch.Backfills(r.Context())
	out := backfillList{Operations: make([]backfill, len(all)), Timestamp: f.Now()}
	for i := range all {
		out.Operations[i] = backfillOf(&all[i])
	}
	if wide {
		answers, _ := gather[backfillList](f, r, base+"backfills", nil)
		for _, part := range answers {
			out.Operations = append(out.Operations, part.Operations...)
		}
		slices.SortStableFunc(out.Operations, func(a, b backfill) int { return b.begun().Compare(a.begun()) })
		out.Operations = slices.CompactFunc(out.Operations, func(a, b backfill) bool { return a.ID == b.ID })
	}
	out.Count = len(out.Operations)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) backfillStatus(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	q := chassis.QueryOf(r)
	wait, err := time.ParseDuration(q.Text("wait", "0s"))
	if err != nil || wait < 0 || wait > longestWait {
		q.Refuse("wait", "must be a duration of at most %v", longestWait)
	}
	if err := q.Err(); err != nil {
		return err
	}
	find := f.Branch.BackfillStatus
	ctx := r.Context()
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
		find = f.Branch.AwaitBackfill
	}
	return f.tell(w, r, func() (branch.BackfillStatus, error) { return find(ctx, id) })
}

func (f *service) cancelBackfill(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	return f.tell(w, r, func() (branch.BackfillStatus, error) { return f.Branch.CancelBackfill(r.Context(), id) })
}

func (f *service) tell(w http.ResponseWriter, r *http.Request, find func() (branch.BackfillStatus, error)) error {
	s, err := find()
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, backfillOf(&s))
}

func backfillOf(s *branch.BackfillStatus) backfill {
	i := s.Instrument
	return backfill{
		ID: s.ID, Exchange: i.Exchange, Market: i.Market.String(), Symbol: i.Symbol, State: s.State, Problem: s.Problem,
		Parts: s.Parts, Doing: s.Doing, Gaps: s.Gaps, From: moment(s.From), To: moment(s.To),
		Created: moment(s.Created), Started: moment(s.Started), Finished: moment(s.Finished),
		Progress: s.Progress, Records: s.Records, Stored: s.Stored, Missing: s.Missing, Calls: s.Calls,
		GapsFound: s.GapsFound, GapsHealed: s.GapsHealed, GapsLeft: s.GapsLeft,
		Resumed: s.Resumed, Unobtainable: append([]branch.Unobtainable{}, s.Unobtainable...),
	}
}

// whereKnown answers requests about an operation at the node that runs it.
func (f *service) whereKnown(here chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := here(w, r)
		var unknown *branch.UnknownError
		if !errors.As(err, &unknown) || f.Others == nil || facade.Passed(r) {
			return err
		}
		id, invalid := chassis.PathParam(r, "id")
		if invalid != nil {
			return invalid
		}
		lists, _ := gather[backfillList](f, r, base+"backfills", nil)
		for node, list := range lists {
			if slices.ContainsFunc(list.Operations, func(b backfill) bool { return b.ID == id }) {
				return f.passer.Pass(w, r, node)
			}
		}
		return err
	}
}

// begun is when the operation was asked for.
func (b *backfill) begun() time.Time {
	if b.Created == nil {
		return time.Time{}
	}
	return *b.Created
}

// moment is a time for JSON; nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
