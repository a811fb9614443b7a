package monitoring

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/http/chassis"
)

// amBase is where Alertmanager's interface is, as much of it as amtool and Grafana use
// to show alerts and to make silences:
// https://github.com/prometheus/alertmanager/blob/v0.27.0/api/v2/openapi.yaml
const amBase = "/api/v2/"

type amMatcher struct {
	Name    string `json:"name" required:"true" minLength:"1" maxLength:"200"`
	Value   string `json:"value" required:"true" maxLength:"1024"`
	IsRegex bool   `json:"isRegex" required:"true"`
	IsEqual *bool  `json:"isEqual" doc:"true when absent"`
}

type amSilence struct {
	ID        string      `json:"id" maxLength:"64"`
	Matchers  []amMatcher `json:"matchers" required:"true" minItems:"1" maxItems:"64"`
	StartsAt  time.Time   `json:"startsAt" required:"true"`
	EndsAt    time.Time   `json:"endsAt" required:"true"`
	CreatedBy string      `json:"createdBy" required:"true" maxLength:"200"`
	Comment   string      `json:"comment" required:"true" maxLength:"2000"`
}

type amState struct {
	State string `json:"state" required:"true"`
}

type amKeptSilence struct {
	amSilence
	UpdatedAt time.Time `json:"updatedAt" required:"true"`
	Status    amState   `json:"status" required:"true"`
}

type amMade struct {
	SilenceID string `json:"silenceID" required:"true"`
}

type amReceiver struct {
	Name string `json:"name" required:"true"`
}

type amAlertStatus struct {
	State       string   `json:"state" enum:"active,suppressed" required:"true"`
	SilencedBy  []string `json:"silencedBy" required:"true"`
	InhibitedBy []string `json:"inhibitedBy" required:"true"`
}

type amAlert struct {
	Labels       alert.Labels  `json:"labels" required:"true"`
	Annotations  alert.Labels  `json:"annotations" required:"true"`
	StartsAt     time.Time     `json:"startsAt" required:"true"`
	EndsAt       time.Time     `json:"endsAt" required:"true"`
	UpdatedAt    time.Time     `json:"updatedAt" required:"true"`
	GeneratorURL string        `json:"generatorURL"`
	Fingerprint  string        `json:"fingerprint" required:"true"`
	Status       amAlertStatus `json:"status" required:"true"`
	Receivers    []amReceiver  `json:"receivers" required:"true"`
}

type amStatus struct {
	Cluster     map[string]any    `json:"cluster" required:"true"`
	VersionInfo map[string]string `json:"versionInfo" required:"true"`
	Config      map[string]string `json:"config" required:"true"`
	Uptime      time.Time         `json:"uptime" required:"true"`
}

func (f *service) alertmanagerRoutes() []chassis.Route {
	if f.Notify == nil {
		return nil
	}
	form := f.theirSilences()
	filter := chassis.Param{Name: "filter", Doc: "A matcher such as `service=\"broker\"`; may be repeated."}
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: amBase + "alerts", ID: "amAlerts", Tag: tagAlerts, Summary: "What fires, in Alertmanager's form",
			Params: []chassis.Param{
				filter, {Name: "active", Type: false, Default: true}, {Name: "silenced", Type: false, Default: true}, {Name: "inhibited", Type: false, Default: true},
			},
			Responses: []chassis.Response{{Body: []amAlert{}}}, Handler: f.amAlerts,
		},
		{
			Method: http.MethodGet, Path: amBase + "silences", ID: "amSilences", Tag: tagAlerts, Summary: "Silences, in Alertmanager's form",
			Params: []chassis.Param{filter}, Responses: []chassis.Response{{Body: []amKeptSilence{}}}, Handler: f.amSilences,
		},
		{
			Method: http.MethodPost, Path: amBase + "silences", ID: "amSetSilence", Tag: tagAlerts, Summary: "Make or change a silence, in Alertmanager's form",
			Request: amSilence{}, Responses: []chassis.Response{{Body: amMade{}}}, Handler: f.setSilence(form),
		},
		{
			Method: http.MethodGet, Path: amBase + "silence/{id}", ID: "amSilence", Tag: tagAlerts, Summary: "One silence, in Alertmanager's form",
			Responses: []chassis.Response{{Body: amKeptSilence{}}}, Handler: f.silence(form),
		},
		{
			Method: http.MethodDelete, Path: amBase + "silence/{id}", ID: "amEndSilence", Tag: tagAlerts, Summary: "End a silence, as Alertmanager does",
			Responses: []chassis.Response{{Body: amMade{}}}, Handler: f.endSilence(form),
		},
		{
			Method: http.MethodGet, Path: amBase + "status", ID: "amStatus", Tag: tagAlerts, Summary: "How notification is, in Alertmanager's form",
			Responses: []chassis.Response{{Body: amStatus{}}}, Handler: f.amStatus,
		},
	}
}

// filters reads ?filter=.
func filters(r *http.Request) (notify.Matchers, error) {
	texts := r.URL.Query()["filter"]
	if len(texts) > 64 {
		return nil, chassis.BadRequest("at most 64 filters")
	}
	ms, err := notify.ParseMatchers(texts)
	if err != nil {
		return nil, chassis.BadRequest("filter: %v", err)
	}
	return ms, nil
}

func (f *service) amAlerts(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	active, silenced, inhibited := q.Bool("active", true), q.Bool("silenced", true), q.Bool("inhibited", true)
	if err := q.Err(); err != nil {
		return err
	}
	matchers, err := filters(r)
	if err != nil {
		return err
	}
	v, err := f.Notify.Alerts(r.Context())
	if err != nil {
		return notReady(err)
	}
	list := []amAlert{}
	for i := range v.Active {
		a := amAlertOf(&v.Active[i])
		muted := len(a.Status.SilencedBy)+len(a.Status.InhibitedBy) > 0
		switch {
		case !matchers.Match(a.Labels), !active && !muted, !silenced && len(a.Status.SilencedBy) > 0, !inhibited && len(a.Status.InhibitedBy) > 0:
		default:
			list = append(list, a)
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, list)
}

func amAlertOf(a *notify.Active) amAlert {
	out := amAlert{
		Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.FiredAt.UTC(), EndsAt: a.Ends().UTC(), UpdatedAt: a.CheckedAt.UTC(),
		GeneratorURL: a.GeneratorURL, Fingerprint: a.Fingerprint().String(), Receivers: []amReceiver{},
		Status: amAlertStatus{State: "active", SilencedBy: append([]string{}, a.SilencedBy...), InhibitedBy: []string{}},
	}
	if a.InhibitedBy != nil {
		out.Status.InhibitedBy = append(out.Status.InhibitedBy, a.InhibitedBy.String())
	}
	if len(out.Status.SilencedBy)+len(out.Status.InhibitedBy) > 0 {
		out.Status.State = "suppressed"
	}
	for _, name := range a.Receivers {
		out.Receivers = append(out.Receivers, amReceiver{name})
	}
	return out
}

func (f *service) amSilenceOf(s notify.Silence) amKeptSilence {
	out := amKeptSilence{
		amSilence: amSilence{
			ID: s.ID, Matchers: []amMatcher{}, StartsAt: s.StartsAt.UTC(), EndsAt: s.EndsAt.UTC(), CreatedBy: s.CreatedBy, Comment: s.Comment,
		},
		UpdatedAt: s.UpdatedAt.UTC(), Status: amState{string(s.State(f.Now()))},
	}
	for _, m := range s.Matchers {
		equal := m.Op == notify.Equal || m.Op == notify.Like
		out.Matchers = append(out.Matchers, amMatcher{m.Name, m.Value, m.Op == notify.Like || m.Op == notify.NotLike, &equal})
	}
	return out
}

func (f *service) amSilences(w http.ResponseWriter, r *http.Request) error {
	matchers, err := filters(r)
	if err != nil {
		return err
	}
	list := []amKeptSilence{}
	for _, s := range f.Notify.Silences() {
		labels := map[string]string{} // a silence matches a filter by what it mutes
		for _, m := range s.Matchers {
			labels[m.Name] = m.Value
		}
		if matchers.Match(alert.LabelsOf(labels)) {
			list = append(list, f.amSilenceOf(s))
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, list)
}

// theirSilences is the form in Alertmanager's words.
func (f *service) theirSilences() silenceForm {
	return silenceForm{
		read: func(r *http.Request) (notify.Silence, error) {
			var body amSilence
			if err := chassis.Decode(r, &body, chassis.Unknown); err != nil {
				return notify.Silence{}, err
			}
			s := notify.Silence{ID: body.ID, StartsAt: body.StartsAt, EndsAt: body.EndsAt, CreatedBy: body.CreatedBy, Comment: body.Comment}
			var err error
			s.Matchers, err = matchersOf(body.Matchers)
			return s, err
		},
		show:    func(s notify.Silence) any { return f.amSilenceOf(s) },
		changed: func(s notify.Silence) any { return amMade{s.ID} },
	}
}

func (m amMatcher) matcher() (notify.Matcher, error) {
	return notify.NewMatcher(m.Name, m.op(), m.Value)
}

func (m amMatcher) op() notify.Op {
	equal := m.IsEqual == nil || *m.IsEqual
	switch {
	case m.IsRegex && equal:
		return notify.Like
	case m.IsRegex:
		return notify.NotLike
	case equal:
		return notify.Equal
	}
	return notify.NotEqual
}

func (f *service) amStatus(w http.ResponseWriter, r *http.Request) error {
	s := f.Notify.Standing()
	status := "ready"
	if len(s.Failing) > 0 {
		status = "settling"
	}
	return chassis.WriteJSON(w, r, http.StatusOK, amStatus{
		Cluster: map[string]any{"status": status, "peers": []any{}, "name": s.Phase}, Config: map[string]string{"original": ""}, Uptime: f.began.UTC(),
		VersionInfo: map[string]string{"version": "0.27.0", "branch": "", "buildDate": "", "buildUser": "MarketPrism", "goVersion": "", "revision": ""},
	})
}
