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
	Name    string `json:"name" required:"true" minLength:"1" maxLength:"200" doc:"of a label"`
	Value   string `json:"value" required:"true" maxLength:"1024" doc:"an absent label has the value \"\""`
	IsRegex bool   `json:"isRegex" required:"true" doc:"whether value is an RE2 expression, which has to match all of the label's value"`
	IsEqual *bool  `json:"isEqual" doc:"true when absent"`
}

type amSilence struct {
	ID        string      `json:"id" maxLength:"64" doc:"in a request: of one that is to be changed; empty makes a new one"`
	Matchers  []amMatcher `json:"matchers" required:"true" minItems:"1" maxItems:"64" doc:"all must match"`
	StartsAt  time.Time   `json:"startsAt" required:"true"`
	EndsAt    time.Time   `json:"endsAt" required:"true"`
	CreatedBy string      `json:"createdBy" required:"true" maxLength:"200" doc:"in a request whoever is logged in counts more"`
	Comment   string      `json:"comment" required:"true" maxLength:"2000"`
}

type amState struct {
	State string `json:"state" required:"true" doc:"pending (it begins later), active or expired"`
}

type amKeptSilence struct {
	amSilence
	UpdatedAt time.Time `json:"updatedAt" required:"true" doc:"when it was made or changed last"`
	Status    amState   `json:"status" required:"true"`
}

type amMade struct {
	SilenceID string `json:"silenceID" required:"true"`
}

type amReceiver struct {
	Name string `json:"name" required:"true"`
}

type amAlertStatus struct {
	State       string   `json:"state" enum:"active,suppressed" required:"true" doc:"suppressed: a silence or another alert mutes it"`
	SilencedBy  []string `json:"silencedBy" required:"true" doc:"ids of silences that mute it"`
	InhibitedBy []string `json:"inhibitedBy" required:"true" doc:"fingerprints of alerts that explain it"`
}

type amAlert struct {
	Labels       alert.Labels  `json:"labels" required:"true" doc:"of the rule, and of the result of its expression"`
	Annotations  alert.Labels  `json:"annotations" required:"true" doc:"texts of the rule, filled in at the last evaluation"`
	StartsAt     time.Time     `json:"startsAt" required:"true" doc:"since when it fires"`
	EndsAt       time.Time     `json:"endsAt" required:"true" doc:"when it counts as resolved if nothing more is heard of it"`
	UpdatedAt    time.Time     `json:"updatedAt" required:"true" doc:"when its rule was evaluated last"`
	GeneratorURL string        `json:"generatorURL" doc:"shows the rule's expression; may be empty"`
	Fingerprint  string        `json:"fingerprint" required:"true" doc:"the same for the same labels"`
	Status       amAlertStatus `json:"status" required:"true"`
	Receivers    []amReceiver  `json:"receivers" required:"true" doc:"who is told of it, unless it is muted"`
}

type amStatus struct {
	Cluster     map[string]any    `json:"cluster" required:"true" doc:"status: ready, or settling while a receiver cannot be told; name: what notification does; no peers"`
	VersionInfo map[string]string `json:"versionInfo" required:"true" doc:"of the Alertmanager whose interface this is"`
	Config      map[string]string `json:"config" required:"true" doc:"empty: GET /api/v1/config has the settings"`
	Uptime      time.Time         `json:"uptime" required:"true" doc:"when the service began"`
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
