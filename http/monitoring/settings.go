package monitoring

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/http/chassis"
)

// Setting is one setting as it is in force; a secret is not shown.
type Setting struct {
	Path   string `json:"path" required:"true" doc:"as in the file, its parts between dots"`
	Value  string `json:"value" required:"true" doc:"as it would stand in a file; a secret is hidden"`
	Source string `json:"source" enum:"default,file,dotenv,environment,flag,runtime" required:"true" doc:"what gave it"`
	Origin string `json:"origin" required:"true" doc:"where it was given: file:line:column, a variable, a flag"`

	Default      *string   `json:"default" doc:"what it is when nothing gives it; null where the program has nothing there"`
	NeedsRestart bool      `json:"needs_restart" required:"true" doc:"whether a change of it waits for the next start"`
	Waiting      *string   `json:"waiting" doc:"what it will be after a restart; null when that is no other"`
	Since        time.Time `json:"since" required:"true" doc:"when this value was read: at the start, or when the configuration was read again"`
}

// Reload is one time that the configuration was read again.
type Reload struct {
	Time         time.Time `json:"time" required:"true"`
	Why          string    `json:"why" required:"true" doc:"SIGHUP, or file changed"`
	Taken        []string  `json:"taken" required:"true" doc:"settings that were taken up"`
	NeedsRestart []string  `json:"needs_restart" required:"true" doc:"settings that were changed and wait for a restart"`
	Error        string    `json:"error" required:"true" doc:"why nothing, or not everything, was taken up; empty when nothing is wrong"`
}

// InForce are the settings in force.
type InForce struct {
	Settings []Setting
	Reload   *Reload // the last one; nil since the start
}

// AuditReader reads who did what; *audit.Log is one.
type AuditReader interface {
	Recent(ctx context.Context, f audit.Filter) (found []audit.Entry, next uint64, err error)
}

const tagProgram = "program"

type settingsAnswer struct {
	Settings  []Setting `json:"settings" required:"true" doc:"in the order of the file"`
	Count     int       `json:"count" required:"true" doc:"of this answer"`
	Changed   int       `json:"changed" required:"true" doc:"how many of these were given: by a file, a variable, a flag or the command"`
	Reload    *Reload   `json:"reload,omitempty" doc:"the last time that the configuration was read again; absent when it was not since the start"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

type auditAnswer struct {
	Entries    []audit.Entry `json:"entries" required:"true" doc:"the latest first"`
	Count      int           `json:"count" required:"true" doc:"of this answer"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"for the page that follows; absent on the last"`
	Timestamp  time.Time     `json:"timestamp" required:"true"`
}

// maxAudit bounds one page.
const maxAudit = 1000

func (f *service) programRoutes() []chassis.Route {
	var routes []chassis.Route
	if f.Settings != nil {
		routes = append(routes, chassis.Route{
			Method: http.MethodGet, Path: base + "config", ID: "config", Tag: tagProgram, Summary: "Every setting that is in force, where it was given, and what a restart would change",
			Params: []chassis.Param{
				{Name: "path", Doc: "Only settings at and below it.", Example: "monitoring-service"},
				{Name: "changed", Type: false, Default: false, Doc: "Only those that were given: by a file, a variable, a flag or the command."},
			},
			Responses: []chassis.Response{{Body: settingsAnswer{}}}, Handler: f.settings,
		})
	}
	if f.AuditLog != nil {
		routes = append(routes, chassis.Route{
			Method: http.MethodGet, Path: base + "audit", ID: "audit", Tag: tagProgram, Summary: "Who did what to the running system",
			Params: []chassis.Param{
				{Name: "principal", Doc: "Who, as KIND:SUBJECT.", Example: "user:alice"}, {Name: "action", Doc: "The whole, or its beginning up to a dot.", Example: "actor"},
				{Name: "target"}, {Name: "outcome", Enum: []string{audit.Done, audit.Refused, audit.Failed}},
				{Name: "from", Doc: "Time from which on."}, {Name: "to", Doc: "Time before which."},
				{Name: "limit", Type: 0, Default: 100, Min: 1, Max: maxAudit}, {Name: "cursor", Doc: "`next_cursor` of the page before."},
			},
			Responses: []chassis.Response{{Body: auditAnswer{}}}, Handler: f.readAudit,
		})
	}
	return routes
}

func (f *service) settings(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	path, changed := q.Text("path", ""), q.Bool("changed", false)
	if err := q.Err(); err != nil {
		return err
	}
	now := f.Settings()
	out := settingsAnswer{Settings: []Setting{}, Reload: now.Reload, Timestamp: f.Now()}
	for _, s := range now.Settings {
		inside := path == "" || s.Path == path || strings.HasPrefix(s.Path, path+".") || strings.HasPrefix(s.Path, path+"[")
		if !inside || changed && s.Source == "default" {
			continue
		}
		if s.Source != "default" {
			out.Changed++
		}
		out.Settings = append(out.Settings, s)
	}
	out.Count = len(out.Settings)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) readAudit(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	filter := audit.Filter{
		Principal: q.Text("principal", ""), Action: q.Text("action", ""), Target: q.Text("target", ""),
		Outcome: q.OneOf("outcome", "", audit.Done, audit.Refused, audit.Failed), From: q.Time("from"), To: q.Time("to"), Limit: q.Limit(100, maxAudit),
	}
	q.Cursor("audit", &filter.Before)
	if err := q.Err(); err != nil {
		return err
	}
	found, next, err := f.AuditLog.Recent(r.Context(), filter)
	if err != nil {
		return chassis.Unavailable(time.Second, "the audit log cannot be read at the moment").WithCause(err)
	}
	out := auditAnswer{Entries: found, Count: len(found), Timestamp: f.Now()}
	if next > 0 {
		if out.NextCursor, err = chassis.EncodeCursor("audit", next); err != nil {
			return err
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}
