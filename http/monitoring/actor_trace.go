package monitoring

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
)

// Bounds of watching one actor.
const (
	traceSeconds    = 10.0
	maxTraceSeconds = 60.0
	tracedMessages  = 2000
	maxTraced       = 20_000
	traceBuffer     = 4096
)

// watched is what one actor handled in a while.
type watched struct {
	Actor    string             `json:"actor" required:"true" doc:"its id"`
	From     time.Time          `json:"from" required:"true" doc:"when watching began"`
	Seconds  float64            `json:"duration_seconds" required:"true" doc:"less than asked for where there were more messages than limit"`
	Handled  uint64             `json:"handled" required:"true" doc:"messages that were seen"`
	Dropped  uint64             `json:"dropped" required:"true" doc:"messages that came too fast to be told of"`
	Kinds    []watchedKind      `json:"kinds" required:"true" doc:"by type, the one that took most time first"`
	Messages []supervise.Traced `json:"messages" required:"true" doc:"the first ones, in order; at most limit"`
}

// watchedKind is one type of message.
type watchedKind struct {
	Message string  `json:"message" required:"true" doc:"Go type"`
	Count   uint64  `json:"count" required:"true" doc:"messages that were seen"`
	Failed  uint64  `json:"failed" required:"true" doc:"messages that made the actor panic"`
	Total   float64 `json:"total_seconds" required:"true" doc:"spent on them"`
	Max     float64 `json:"max_seconds" required:"true" doc:"spent on one"`
}

func (f *service) watchRoute() chassis.Route {
	return chassis.Route{
		Method: http.MethodGet, Path: base + "actors/{id}/trace", ID: "traceActor", Tag: tagActors,
		Summary: "What an actor handles, message by message, for some seconds",
		Description: "Answers when the time is over, or `limit` messages have come. Types and times are told, never what a message says. " +
			"The actor is not slowed: what comes faster than it can be told of is counted. Of this node's actors only.",
		Params: []chassis.Param{
			{Name: "id", In: "path", Doc: "As in the tree, its slashes escaped.", Example: "root/collector"},
			{Name: "seconds", Type: 0.0, Default: traceSeconds, Min: 0.01, Max: maxTraceSeconds, Doc: "How long."},
			{Name: "limit", Type: 0, Default: tracedMessages, Min: 1, Max: maxTraced, Doc: "The most messages that are told one by one."},
		},
		Responses: []chassis.Response{{Body: watched{}}}, Live: true, Handler: f.watch,
	}
}

func (f *service) watch(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	q := chassis.QueryOf(r)
	length := q.Float("seconds", traceSeconds, 0.01, maxTraceSeconds)
	limit := q.Limit(tracedMessages, maxTraced)
	if err := q.Err(); err != nil {
		return err
	}
	messages, dropped, cancel, ok := f.Tree.Trace(id, traceBuffer)
	if !ok {
		return chassis.NotFound("no actor %q; GET %sactors/tree lists those there are", id, base)
	}
	defer cancel()
	begin := time.Now()
	out := watched{Actor: id, From: f.Now(), Kinds: []watchedKind{}, Messages: []supervise.Traced{}}
	over := time.NewTimer(time.Duration(length * float64(time.Second)))
	defer over.Stop()
	kinds := map[string]*watchedKind{}
	for done := false; !done; {
		select {
		case m := <-messages:
			out.add(m, kinds)
			done = len(out.Messages) >= limit
		case <-over.C:
			done = true
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	out.Seconds, out.Dropped = time.Since(begin).Seconds(), dropped()
	for _, k := range kinds {
		out.Kinds = append(out.Kinds, *k)
	}
	slices.SortFunc(out.Kinds, func(a, b watchedKind) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Message, b.Message))
	})
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (o *watched) add(m supervise.Traced, kinds map[string]*watchedKind) {
	o.Handled++
	o.Messages = append(o.Messages, m)
	k := kinds[m.Message]
	if k == nil {
		k = &watchedKind{Message: m.Message}
		kinds[m.Message] = k
	}
	k.Count++
	k.Total += m.Took
	k.Max = max(k.Max, m.Took)
	if m.Failed {
		k.Failed++
	}
}
