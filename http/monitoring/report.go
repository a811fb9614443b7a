package monitoring

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/http/chassis"
)

// reportHead names one report.
type reportHead struct {
	ID        string    `json:"report_id" required:"true"`
	Time      time.Time `json:"generated_at" required:"true"`
	Services  counted   `json:"services" required:"true" doc:"how many are how"`
	Alerts    int       `json:"active_alerts" required:"true" doc:"how many fire"`
	Links     links     `json:"links" required:"true"`
	Unhealthy []string  `json:"unhealthy_services" required:"true" doc:"those that are not healthy, by name"`
}

// links are where a report can be had.
type links struct {
	JSON string `json:"json" required:"true" doc:"path of the report as JSON"`
	HTML string `json:"html" required:"true" doc:"path of the report as a page"`
}

// reportBody is a whole report.
type reportBody struct {
	reportHead
	Uptime     float64              `json:"uptime_seconds" required:"true" doc:"of the monitoring-service, when it was made"`
	Health     map[string]health    `json:"health_status" required:"true" doc:"by service"`
	Statistics map[string]statistic `json:"statistics" required:"true" doc:"by service, since the start"`
	System     *host.Sample         `json:"system" doc:"null when the machine was not read yet"`
	Actors     actorSummary         `json:"actors" required:"true" doc:"the supervision tree, summed up"`
	Active     []reportAlert        `json:"alerts" required:"true" doc:"those that fire"`
	Changes    []branch.Change      `json:"changes" required:"true" doc:"of health, the latest first"`
}

// actorSummary sums up the supervision tree.
type actorSummary struct {
	Total       int             `json:"total" required:"true" doc:"actors in the tree"`
	Running     int             `json:"running" required:"true" doc:"actors that are in this state"`
	Waiting     int             `json:"waiting_to_restart" required:"true" doc:"actors that failed and wait for their restart"`
	Restarts    uint64          `json:"restarts_total" required:"true" doc:"of all actors in the tree"`
	Failures    uint64          `json:"failures_total" required:"true" doc:"of all actors in the tree"`
	DeadLetters uint64          `json:"dead_letters_total" required:"true" doc:"messages that reached no actor, since the start"`
	Troubled    []troubledActor `json:"troubled" required:"true" doc:"those that have failed, the one with most failures first"`
}

// troubledActor is one that has failed.
type troubledActor struct {
	ID       string    `json:"id" required:"true"`
	State    string    `json:"state" required:"true" doc:"starting, running, restarting, backoff, stopping, stopped or failed"`
	Failures uint64    `json:"failures_total" required:"true"`
	Restarts uint64    `json:"restarts_total" required:"true"`
	Last     time.Time `json:"last_failure_time" required:"true"`
	Reason   string    `json:"last_failure" required:"true" doc:"why it failed last"`
}

// reportAlert is one active alert.
type reportAlert struct {
	Rule        string    `json:"rule_name" required:"true" doc:"what the alert says in a line"`
	Severity    string    `json:"severity" required:"true"`
	Description string    `json:"description" required:"true" doc:"what is wrong, for people"`
	Since       time.Time `json:"start_time" required:"true" doc:"since when it fires"`
	Value       float64   `json:"value" required:"true" doc:"of the rule's expression, at the last evaluation that had one"`
}

type reportMade struct {
	Success bool       `json:"success" required:"true"`
	Status  string     `json:"status" enum:"success" required:"true"`
	Message string     `json:"message" required:"true" doc:"where the report is"`
	ID      string     `json:"report_id" required:"true"`
	Report  reportBody `json:"report" required:"true"`
}

type reportList struct {
	Reports   []reportHead `json:"reports" required:"true" doc:"the latest first"`
	Count     int          `json:"count" required:"true" doc:"of this answer"`
	Timestamp time.Time    `json:"timestamp" required:"true"`
}

// maxReports bounds the list.
const maxReports = 1000

func (f *service) reportRoutes() []chassis.Route {
	made := []chassis.Response{{Body: reportMade{}}}
	return []chassis.Route{
		{Method: http.MethodPost, Path: "/generate-report", ID: "generateReportAtRoot", Tag: tagReport, Summary: "Make a report",
			Responses: made, Handler: f.makeReport},
		{Method: http.MethodPost, Path: base + "generate-report", ID: "generateReport", Tag: tagReport, Summary: "Make a report",
			Description: "Of what is known now; `POST health-check-all` first makes that fresh. The last ones are kept.",
			Responses:   made, Handler: f.makeReport},
		{Method: http.MethodGet, Path: base + "reports", ID: "reports", Tag: tagReport, Summary: "The reports that are kept",
			Params:    []chassis.Param{{Name: "limit", Type: 0, Default: 50, Min: 1, Max: maxReports}},
			Responses: []chassis.Response{{Body: reportList{}}}, Handler: f.reports},
		{Method: http.MethodGet, Path: base + "reports/{id}", ID: "report", Tag: tagReport, Summary: "One report, as JSON or as a page",
			Params: []chassis.Param{
				{Name: "id", In: "path", Doc: "As in the list; `latest` is the last one.", Example: "latest"},
				{Name: "format", Default: "json", Enum: []string{"json", "html"}},
			},
			Responses: []chassis.Response{{Body: reportBody{}}, {Media: "text/html", Body: ""}}, Handler: answered(f.report)},
	}
}

func (f *service) makeReport(w http.ResponseWriter, r *http.Request) error {
	made := f.Branch.MakeReport(f.Tree.Snapshot(), f.activeAlerts(r.Context()))
	return chassis.WriteJSON(w, r, http.StatusOK, reportMade{
		Success: true, Status: "success", Message: "the report is at " + linksOf(made.ID).HTML, ID: made.ID, Report: bodyOf(made),
	})
}

func (f *service) reports(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	limit := q.Limit(50, maxReports)
	if err := q.Err(); err != nil {
		return err
	}
	out := reportList{Reports: []reportHead{}, Timestamp: f.Now()}
	for _, kept := range f.Branch.Reports(limit) {
		out.Reports = append(out.Reports, headOf(kept))
	}
	out.Count = len(out.Reports)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) report(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	q := chassis.QueryOf(r)
	format := q.OneOf("format", "json", "json", "html")
	if err := q.Err(); err != nil {
		return err
	}
	kept, err := f.Branch.Report(id)
	if err != nil {
		return err
	}
	if format == "json" {
		return chassis.WriteJSON(w, r, http.StatusOK, bodyOf(kept))
	}
	var page bytes.Buffer
	if err := reportPage.Execute(&page, pageOf(kept)); err != nil {
		return fmt.Errorf("writing the report's page: %w", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", reportPolicy)
	if _, err := w.Write(page.Bytes()); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

func linksOf(id string) links {
	return links{JSON: base + "reports/" + id, HTML: base + "reports/" + id + "?format=html"}
}

func headOf(r *branch.Report) reportHead {
	h := reportHead{ID: r.ID, Time: r.Time, Services: count(r.Services), Alerts: len(r.Alerts), Links: linksOf(r.ID), Unhealthy: []string{}}
	for i := range r.Services {
		if s := &r.Services[i]; s.Status != branch.Healthy {
			h.Unhealthy = append(h.Unhealthy, s.Service)
		}
	}
	return h
}

func bodyOf(r *branch.Report) reportBody {
	b := reportBody{
		reportHead: headOf(r), Uptime: r.Uptime.Seconds(), Health: shownAll(r.Services), Statistics: map[string]statistic{},
		Changes: r.Changes, Active: []reportAlert{},
		Actors: actorSummary{
			Total: r.Actors.Total, Running: r.Actors.Running, Waiting: r.Actors.Waiting, Restarts: r.Actors.Restarts,
			Failures: r.Actors.Failures, DeadLetters: r.Actors.DeadLetters, Troubled: []troubledActor{},
		},
	}
	if r.HostKnown {
		b.System = &r.Host
	}
	for i := range r.Services {
		b.Statistics[r.Services[i].Service] = summed(r.Services[i].Statistic)
	}
	for i := range r.Actors.Troubled {
		n := &r.Actors.Troubled[i]
		t := troubledActor{ID: n.ID, State: n.State.String(), Failures: n.Failures, Restarts: n.Restarts}
		if n.LastFailure != nil {
			t.Last, t.Reason = n.LastFailure.Time, n.LastFailure.Reason
		}
		b.Actors.Troubled = append(b.Actors.Troubled, t)
	}
	for _, a := range r.Alerts {
		b.Active = append(b.Active, reportAlert{Rule: a.Name, Severity: a.Severity, Description: a.Description, Since: a.Since, Value: a.Value})
	}
	return b
}

var (
	//go:embed report.html
	reportText string
	//go:embed report.css
	reportStyle  string
	reportPage   = template.Must(template.New("report").Funcs(template.FuncMap{"short": short, "when": when, "gigabytes": gigabytes}).Parse(reportText))
	reportPolicy = policy(reportStyle)
)

// policy lets a page have this style and nothing else.
func policy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; frame-ancestors 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page is what the template gets.
type page struct {
	reportBody
	Style    template.CSS
	Standing []row
}

// row is one service.
type row struct {
	Name   string
	Health health
	Stats  statistic
}

func pageOf(r *branch.Report) page {
	p := page{reportBody: bodyOf(r), Style: template.CSS(reportStyle)} //nolint:gosec // our own text
	for i := range r.Services {
		name := r.Services[i].Service
		p.Standing = append(p.Standing, row{name, p.Health[name], p.Statistics[name]})
	}
	return p
}

// short writes seconds for people.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func gigabytes(n uint64) string { return fmt.Sprintf("%.1f GB", float64(n)/gigabyte) }
