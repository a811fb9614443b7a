package monitoring

import (
	"encoding/hex"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/traces"
	"github.com/marketprism/marketprism/http/chassis"
)

// Traces are those that were slow or failed; *traces.Recorder keeps them.
type Traces interface {
	List(f traces.Filter, limit int) []traces.Trace
	Find(id string) (traces.Trace, bool)
	Counts() (kept int, forgotten uint64)
}

// traceHead is one trace of the list.
type traceHead struct {
	ID       string    `json:"trace_id" required:"true" doc:"32 hex digits"`
	Time     time.Time `json:"start_time" required:"true" doc:"of the span that began first"`
	Seconds  float64   `json:"duration_seconds" required:"true" doc:"of the longest span that is kept"`
	Slow     bool      `json:"slow" required:"true" doc:"a span took as long as monitoring-service.monitoring.traces.slow, or longer"`
	Failed   bool      `json:"failed" required:"true" doc:"a span failed"`
	Service  string    `json:"service" required:"true" doc:"of the first span"`
	Name     string    `json:"name" required:"true" doc:"of the first span: method and route"`
	Error    string    `json:"error,omitempty" doc:"of the first span that says why it failed; absent when none does"`
	Spans    int       `json:"spans" required:"true" doc:"how many are kept"`
	Services []string  `json:"services" required:"true" doc:"whose spans are kept"`
}

// traceBody is one trace with its spans.
type traceBody struct {
	traceHead
	Missing int         `json:"missing_spans" required:"true" doc:"beyond what is kept of one trace"`
	Tree    []traceSpan `json:"tree" required:"true" doc:"by start"`
}

// traceSpan is one span.
type traceSpan struct {
	ID      string    `json:"span_id" required:"true" doc:"16 hex digits"`
	Parent  string    `json:"parent_span_id,omitempty" doc:"absent at the start of a trace"`
	Kind    string    `json:"kind" enum:"server,client,internal" required:"true" doc:"server answers a request, client sends one, internal does neither"`
	Node    string    `json:"node" required:"true" doc:"of the process that answered"`
	Service string    `json:"service" required:"true"`
	Name    string    `json:"name" required:"true" doc:"of few values: method and route"`
	Path    string    `json:"path,omitempty" doc:"what exactly was asked for; absent when the name says it"`
	Start   time.Time `json:"start_time" required:"true"`
	Seconds float64   `json:"duration_seconds" required:"true"`
	Code    int       `json:"code,omitempty" doc:"HTTP status; absent where there is none"`
	Failed  bool      `json:"failed" required:"true"`
	Error   string    `json:"error,omitempty" doc:"why it failed; absent when it did not"`
	Request string    `json:"request_id,omitempty" doc:"the X-Request-Id of the request; absent where there is none"`
}

type traceList struct {
	Traces    []traceHead `json:"traces" required:"true" doc:"the latest first"`
	Count     int         `json:"count" required:"true" doc:"of this answer"`
	Kept      int         `json:"kept" required:"true" doc:"traces that are kept, those not listed included"`
	Timestamp time.Time   `json:"timestamp" required:"true"`
}

// Bounds of the list.
const (
	shownTraces = 50
	maxTraces   = 5000
)

func (f *service) traceRoutes() []chassis.Route {
	if f.Traces == nil {
		return nil
	}
	return []chassis.Route{
		{Method: http.MethodGet, Path: base + "traces", ID: "traces", Tag: tagLogs, Summary: "The last traces that were slow, or failed",
			Description: "Of all processes; each sends what was slow or failed in it. Slow is what takes longer than `monitoring-service.monitoring.traces.slow`; streams never are.",
			Params: []chassis.Param{
				{Name: "service", Doc: "Only traces with a span of it."}, {Name: "failed", Type: false, Default: false, Doc: "Only failed ones."},
				{Name: "min_seconds", Type: 0.0, Default: 0, Min: 0, Max: 86400}, {Name: "from", Doc: "Time from which on."},
				{Name: "limit", Type: 0, Default: shownTraces, Min: 1, Max: maxTraces},
			},
			Responses: []chassis.Response{{Body: traceList{}}}, Handler: f.traces},
		{Method: http.MethodGet, Path: base + "traces/{id}", ID: "trace", Tag: tagLogs, Summary: "One trace with its spans",
			Params:    []chassis.Param{{Name: "id", In: "path", Doc: "32 hex digits.", Example: "0af7651916cd43dd8448eb211c80319c"}},
			Responses: []chassis.Response{{Body: traceBody{}}}, Handler: f.trace},
	}
}

func (f *service) traces(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	filter := traces.Filter{
		Service: q.Text("service", ""), Failed: q.Bool("failed", false), From: q.Time("from"),
		Least: time.Duration(q.Float("min_seconds", 0, 0, 86400) * float64(time.Second)),
	}
	limit := q.Limit(shownTraces, maxTraces)
	if err := q.Err(); err != nil {
		return err
	}
	out := traceList{Traces: []traceHead{}, Timestamp: f.Now()}
	for _, t := range f.Traces.List(filter, limit) {
		out.Traces = append(out.Traces, traceHeadOf(&t))
	}
	out.Count = len(out.Traces)
	out.Kept, _ = f.Traces.Counts()
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) trace(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	t, ok := f.Traces.Find(id)
	if !ok {
		return chassis.NotFound("no trace of that id is kept: it was neither slow nor failed, or is too long ago").WithCode("unknown_trace")
	}
	out := traceBody{traceHead: traceHeadOf(&t), Missing: t.Missing, Tree: []traceSpan{}}
	for i := range t.Spans {
		s := &t.Spans[i]
		span := traceSpan{
			ID: hex.EncodeToString(s.ID[:]), Kind: string(s.Kind), Node: s.Node, Service: s.Service, Name: s.Name, Path: s.Resource, Start: s.Start.UTC(),
			Seconds: s.Took.Seconds(), Code: s.Code, Failed: s.Failed, Error: s.Error, Request: s.Request,
		}
		if s.Parent != [8]byte{} {
			span.Parent = hex.EncodeToString(s.Parent[:])
		}
		out.Tree = append(out.Tree, span)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func traceHeadOf(t *traces.Trace) traceHead {
	root := t.Root()
	h := traceHead{
		ID: hex.EncodeToString(t.ID[:]), Time: t.Start.UTC(), Seconds: t.Took.Seconds(), Slow: t.Slow, Failed: t.Failed,
		Service: root.Service, Name: root.Name, Spans: len(t.Spans), Services: []string{},
	}
	seen := map[string]bool{}
	for i := range t.Spans {
		s := &t.Spans[i]
		if h.Error == "" {
			h.Error = s.Error
		}
		if !seen[s.Service] {
			seen[s.Service] = true
			h.Services = append(h.Services, s.Service)
		}
	}
	return h
}
