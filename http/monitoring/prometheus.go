package monitoring

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
	"github.com/marketprism/marketprism/actors/monitoring/scrape"
	"github.com/marketprism/marketprism/http/chassis"
)

// What Prometheus' interface asks; the engine, the scraper's and the rules' handles
// answer.
type (
	// Queries answers PromQL; *promql.Engine does.
	Queries interface {
		Instant(ctx context.Context, expr string, at time.Time, lookback time.Duration) (promql.Result, error)
		Range(ctx context.Context, expr string, start, end time.Time, step, lookback time.Duration) (promql.Result, error)
		Format(expr string) (string, error)
		Series(ctx context.Context, s promql.Selection) (promql.Found[promql.Labels], error)
		LabelNames(ctx context.Context, s promql.Selection) (promql.Found[string], error)
		LabelValues(ctx context.Context, name string, s promql.Selection) (promql.Found[string], error)
	}
	// Scraped says what is scraped; *scrape.Handle does.
	Scraped interface {
		Targets() []scrape.Status
		Metadata(metric string) map[string][]promql.Metadata
	}
	// Ruled says which rules there are; *rules.Handle does.
	Ruled interface {
		Groups() []rules.GroupView
		Fault() error
	}
)

// Prometheus is what Prometheus' interface stands on.
type Prometheus struct {
	Queries Queries
	Scraped Scraped
	Ruled   Ruled
	// Interval and Timeout are those of the scrapes.
	Interval, Timeout time.Duration
	Version           string // of the program
}

const tagPrometheus = "prometheus"

// prometheus serves Prometheus' HTTP interface:
// https://prometheus.io/docs/prometheus/latest/querying/api/
type prometheus struct {
	Prometheus
	now func() time.Time
}

// answer is what every call of the interface gives.
type answer struct {
	Status    string   `json:"status" enum:"success,error" required:"true"`
	Data      any      `json:"data,omitempty" doc:"what the call is documented to answer by Prometheus; absent on an error"`
	ErrorType string   `json:"errorType,omitempty" doc:"bad_data, execution, timeout, canceled or internal"`
	Error     string   `json:"error,omitempty" doc:"what went wrong; absent on success"`
	Warnings  []string `json:"warnings,omitempty" doc:"what may be wrong with the data; absent when there is nothing to say"`
	Infos     []string `json:"infos,omitempty" doc:"remarks on the query; absent when there is nothing to say"`
}

// found is what a call found.
type found struct {
	data            any // what has appendJSON is written by it
	warnings, infos []string
}

// call is one call of the interface.
type call func(r *http.Request) (found, error)

// prefixes are those below which the interface is Prometheus' to the letter: /prometheus is
// for who asks this service, the other is found through the gateway too, which passes on
// what is below base alone. A client that wants an address without the part that all of
// Prometheus' paths begin with (Grafana, promtool) is given /prometheus or
// /api/v1/prometheus.
var prefixes = []string{"/prometheus" + base, base + "prometheus" + base}

// routes are those of the interface, below its prefixes, and without any; there alerts are
// our own.
func (p *prometheus) routes() []chassis.Route {
	var out []chassis.Route
	alerts := served{path: "alerts", summary: "Alerts that are pending or fire, as Prometheus tells them", call: p.alerts}
	for _, prefix := range append([]string{base}, prefixes...) {
		for _, c := range p.calls() {
			out = append(out, c.routes(prefix)...)
		}
		if prefix != base {
			out = append(out, alerts.routes(prefix)...)
		}
	}
	return out
}

// served is a call with its place.
type served struct {
	path, summary string
	form          bool // may be asked by POST
	params        []chassis.Param
	call          call
}

func (p *prometheus) calls() []served {
	return []served{
		{"query", "An instant PromQL query", true, []chassis.Param{paramQuery, paramTime, paramTimeout, paramLookback, paramLimit}, p.query},
		{"query_range", "A PromQL query over a range", true, []chassis.Param{
			paramQuery, instant("start", "first evaluation"), instant("end", "last evaluation"),
			{Name: "step", Doc: "between two evaluations: seconds, or a duration such as 15s"}, paramTimeout, paramLookback, paramLimit,
		}, p.queryRange},
		{"query_exemplars", "Exemplars; none are kept", true, []chassis.Param{paramQuery}, func(*http.Request) (found, error) { return found{data: []any{}}, nil }},
		{"format_query", "An expression in the usual form", true, []chassis.Param{paramQuery}, p.format},
		{"labels", "Names of labels", true, []chassis.Param{paramMatch, paramStart, paramEnd, paramLimit}, p.labels},
		{"label/{name}/values", "Values of a label", false, []chassis.Param{
			{Name: "name", In: "path", Example: "job"}, paramMatch, paramStart, paramEnd, paramLimit,
		}, p.values},
		{"series", "Series", true, []chassis.Param{paramMatch, paramStart, paramEnd, paramLimit}, p.series},
		{"metadata", "What targets say of their metrics", false, []chassis.Param{
			{Name: "metric", Doc: "only of this one"}, paramLimit, {Name: "limit_per_metric", Doc: "most descriptions of one"},
		}, p.metadata},
		{"rules", "Rules and their state", false, []chassis.Param{
			{Name: "type", Doc: "alert or record"}, {Name: "rule_name[]"}, {Name: "rule_group[]"}, {Name: "file[]"}, {Name: "exclude_alerts"},
		}, p.rules},
		{"targets", "What is scraped", false, []chassis.Param{{Name: "state", Doc: "active, dropped or any"}, {Name: "scrapePool"}}, p.targets},
		{"status/buildinfo", "Which Prometheus this is like", false, nil, p.buildInfo},
	}
}

var (
	paramQuery    = chassis.Param{Name: "query", Doc: "PromQL", Example: "up"}
	paramTime     = instant("time", "of the evaluation; now when absent")
	paramStart    = instant("start", "only what has samples from then on")
	paramEnd      = instant("end", "only what has samples up to then")
	paramTimeout  = chassis.Param{Name: "timeout", Doc: "what it may take: seconds, or a duration"}
	paramLookback = chassis.Param{Name: "lookback_delta", Doc: "how old a sample may be"}
	paramLimit    = chassis.Param{Name: "limit", Doc: "most that is answered; 0 is no limit"}
	paramMatch    = chassis.Param{Name: "match[]", Doc: "selector of series; may be repeated", Example: `{job="x"}`}
)

func instant(name, doc string) chassis.Param {
	return chassis.Param{Name: name, Doc: doc + ": Unix seconds, or RFC 3339"}
}

// mediaForm is how a query that is too long for an address is sent.
const mediaForm = "application/x-www-form-urlencoded"

func (s served) routes(prefix string) []chassis.Route {
	r := chassis.Route{
		Method: http.MethodGet, Path: prefix + s.path, Tag: tagPrometheus, Summary: s.summary, Params: s.params,
		Responses: []chassis.Response{{Body: answer{}}}, Handler: s.handle,
	}
	for _, status := range []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusServiceUnavailable} {
		r.Responses = append(r.Responses, chassis.Response{Status: status, Body: answer{}})
	}
	if !s.form {
		return []chassis.Route{r}
	}
	post := r
	post.Method, post.Accepts, post.Description = http.MethodPost, []string{mediaForm}, "The parameters may be in the body, as a form."
	return []chassis.Route{r, post}
}

// handle calls, and gives an error the form that Prometheus has for it.
func (s served) handle(w http.ResponseWriter, r *http.Request) error {
	var f found
	err := r.ParseForm()
	if err == nil {
		f, err = s.call(r)
	} else if status := (interface{ HTTPStatus() int })(nil); errors.As(err, &status) {
		return err // of the body, before it could be read
	} else {
		err = promql.Bad("error parsing form values: %w", err)
	}
	if err == nil {
		return write(w, http.StatusOK, answer{Status: "success", Data: f.data, Warnings: f.warnings, Infos: f.infos})
	}
	var failed *promql.Error
	if !errors.As(err, &failed) {
		return err
	}
	return write(w, statusOf(failed.Kind), answer{Status: "error", ErrorType: string(failed.Kind), Error: failed.Error()})
}

// statusClientLeft is what Prometheus answers a query that was given up.
const statusClientLeft = 499

func statusOf(k promql.Kind) int {
	switch k {
	case promql.BadData:
		return http.StatusBadRequest
	case promql.Execution:
		return http.StatusUnprocessableEntity
	case promql.Timeout:
		return http.StatusServiceUnavailable
	case promql.Canceled:
		return statusClientLeft
	}
	return http.StatusInternalServerError
}
