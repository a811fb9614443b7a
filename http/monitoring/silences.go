package monitoring

import (
	"errors"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// matcherBody is one matcher of a silence.
type matcherBody struct {
	Name  string `json:"name" required:"true" minLength:"1" maxLength:"200" doc:"of a label" example:"service"`
	Op    string `json:"op" enum:"=,!=,=~,!~" doc:"= when absent; =~ and !~ take an RE2 expression that has to match all of the value"`
	Value string `json:"value" required:"true" maxLength:"1024" doc:"an absent label has the value \"\"" example:"market-data-collector"`
}

// silenceBody is the body of POST silences.
type silenceBody struct {
	ID        string        `json:"id" maxLength:"64" doc:"of one that is to be changed; absent makes a new one"`
	Matchers  []matcherBody `json:"matchers" required:"true" minItems:"1" maxItems:"64" doc:"all must match"`
	StartsAt  *time.Time    `json:"starts_at" doc:"now when absent or past"`
	EndsAt    *time.Time    `json:"ends_at" doc:"this or duration_seconds"`
	Seconds   *float64      `json:"duration_seconds" minimum:"1" maximum:"315360000" doc:"from its start; this or ends_at"`
	CreatedBy string        `json:"created_by" maxLength:"200" doc:"whoever is logged in counts more; anonymous when absent"`
	Comment   string        `json:"comment" required:"true" minLength:"1" maxLength:"2000" example:"exchange maintenance"`
}

// silenceRow is a silence in an answer.
type silenceRow struct {
	ID        string        `json:"id" required:"true"`
	State     string        `json:"state" enum:"pending,active,expired" required:"true"`
	Matchers  []matcherBody `json:"matchers" required:"true"`
	StartsAt  time.Time     `json:"starts_at" required:"true"`
	EndsAt    time.Time     `json:"ends_at" required:"true"`
	UpdatedAt time.Time     `json:"updated_at" required:"true"`
	CreatedBy string        `json:"created_by" required:"true"`
	Comment   string        `json:"comment" required:"true"`
}

type silenceList struct {
	Silences []silenceRow `json:"silences" required:"true" doc:"those that end last first; expired ones for a while"`
	Count    int          `json:"count" required:"true"`
}

type silenceAnswer struct {
	Success   bool       `json:"success" required:"true"`
	SilenceID string     `json:"silence_id" required:"true"`
	Silence   silenceRow `json:"silence" required:"true"`
}

func (f *service) silenceRow(s notify.Silence) silenceRow {
	row := silenceRow{
		ID: s.ID, State: string(s.State(f.Now())), Matchers: []matcherBody{}, StartsAt: s.StartsAt.UTC(), EndsAt: s.EndsAt.UTC(),
		UpdatedAt: s.UpdatedAt.UTC(), CreatedBy: s.CreatedBy, Comment: s.Comment,
	}
	for _, m := range s.Matchers {
		row.Matchers = append(row.Matchers, matcherBody{m.Name, string(m.Op), m.Value})
	}
	return row
}

func (f *service) silenceRoutes() []chassis.Route {
	one := []chassis.Response{{Body: silenceAnswer{}}}
	states := []string{string(notify.SilencePending), string(notify.SilenceActive), string(notify.SilenceExpired)}
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "silences", ID: "silences", Tag: tagAlerts, Summary: "Silences",
			Params:    []chassis.Param{{Name: "state", Enum: states, Doc: "Only these."}},
			Responses: []chassis.Response{{Body: silenceList{}}}, Handler: f.silences,
		},
		{
			Method: http.MethodGet, Path: base + "silences/{id}", ID: "silence", Tag: tagAlerts, Summary: "One silence",
			Responses: []chassis.Response{{Body: silenceRow{}}}, Handler: f.silence,
		},
		{
			Method: http.MethodPost, Path: base + "silences", ID: "setSilence", Tag: tagAlerts, Summary: "Mute alerts for a time",
			Description: "Alerts that all matchers match are not told while it lasts. With the `id` of one that has not expired that is changed; " +
				"if it mutes something else then, it ends and a new one with another id is made. Audited.",
			Request: silenceBody{}, Responses: one, Handler: f.setSilence,
		},
		{
			Method: http.MethodDelete, Path: base + "silences/{id}", ID: "endSilence", Tag: tagAlerts, Summary: "End a silence",
			Description: "It is shown as expired for a while. Audited.", Responses: one, Handler: f.endSilence,
		},
	}
}

func (f *service) silences(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	state := q.OneOf("state", "", string(notify.SilencePending), string(notify.SilenceActive), string(notify.SilenceExpired))
	if err := q.Err(); err != nil {
		return err
	}
	list := silenceList{Silences: []silenceRow{}}
	for _, s := range f.Notify.Silences() {
		if row := f.silenceRow(s); state == "" || row.State == state {
			list.Silences = append(list.Silences, row)
		}
	}
	list.Count = len(list.Silences)
	return chassis.WriteJSON(w, r, http.StatusOK, list)
}

func (f *service) silence(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	s, err := f.Notify.Silence(id)
	if err != nil {
		return silenceError(err, id)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, f.silenceRow(s))
}

func (f *service) setSilence(w http.ResponseWriter, r *http.Request) error {
	var body silenceBody
	if err := chassis.Decode(r, &body); err != nil {
		return err
	}
	wanted, err := f.silenceOf(body)
	if err != nil {
		return err
	}
	s, err := f.keepSilence(r, wanted)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, silenceAnswer{true, s.ID, f.silenceRow(s)})
}

// silenceOf reads a body.
func (f *service) silenceOf(b silenceBody) (notify.Silence, error) {
	s := notify.Silence{ID: b.ID, CreatedBy: b.CreatedBy, Comment: b.Comment, StartsAt: f.Now()}
	if b.StartsAt != nil && b.StartsAt.After(s.StartsAt) {
		s.StartsAt = *b.StartsAt
	}
	switch {
	case (b.EndsAt == nil) == (b.Seconds == nil):
		return s, chassis.Unprocessable(chassis.Field("/ends_at", "either ends_at or duration_seconds is needed"))
	case b.EndsAt != nil:
		s.EndsAt = *b.EndsAt
	default:
		s.EndsAt = s.StartsAt.Add(time.Duration(*b.Seconds * float64(time.Second)))
	}
	for _, each := range b.Matchers {
		if each.Op == "" {
			each.Op = string(notify.Equal)
		}
		m, err := notify.NewMatcher(each.Name, notify.Op(each.Op), each.Value)
		if err != nil {
			return s, chassis.Unprocessable(chassis.Field("/matchers", "%v", err))
		}
		s.Matchers = append(s.Matchers, m)
	}
	return s, nil
}

// keepSilence makes or changes a silence in the name of who asks.
func (f *service) keepSilence(r *http.Request, wanted notify.Silence) (notify.Silence, error) {
	if p, ok := identity.From(r.Context()); ok && p.Subject != "" {
		wanted.CreatedBy = p.Subject
	}
	if wanted.CreatedBy == "" {
		wanted.CreatedBy = "anonymous"
	}
	s, err := f.Notify.SetSilence(r.Context(), wanted)
	id := wanted.ID
	if err == nil {
		id = s.ID
	}
	f.auditSilence(r, "silence.set", id, wanted.Matchers.String()+" "+wanted.Comment, err)
	return s, silenceError(err, wanted.ID)
}

func (f *service) endSilence(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	s, err := f.expireSilence(r, id)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, silenceAnswer{true, s.ID, f.silenceRow(s)})
}

func (f *service) expireSilence(r *http.Request, id string) (notify.Silence, error) {
	s, err := f.Notify.ExpireSilence(r.Context(), id)
	f.auditSilence(r, "silence.end", id, "", err)
	return s, silenceError(err, id)
}

// auditSilence puts down who did it, and what came of it.
func (f *service) auditSilence(r *http.Request, action, id, detail string, err error) {
	e := audit.Entry{Action: action, Target: id, Detail: detail, Outcome: audit.Done}
	if err != nil {
		e = e.Of(err)
	}
	f.record(r, e)
}

// silenceError gives the failures of a change their answers.
func silenceError(err error, id string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, notify.ErrNoSilence):
		return chassis.NotFound("no silence %q; GET %ssilences lists those there are", id, base).WithCause(err)
	case errors.Is(err, notify.ErrSilenceOver):
		return chassis.Conflict("silence %q has expired; make a new one", id).WithCode("expired").WithCause(err)
	case errors.Is(err, notify.ErrTooManySilences):
		return chassis.Conflict("%v; end some, or raise monitoring-service.monitoring.notify.max_silences", err).WithCode("too_many").WithCause(err)
	case errors.Is(err, notify.ErrInvalidSilence):
		return chassis.NewError(http.StatusUnprocessableEntity, "invalid_silence", "%v", err).WithCause(err)
	case errors.Is(err, bucket.ErrConflict):
		return chassis.Conflict("the silence was changed meanwhile; read it again").WithCode("changed").WithCause(err)
	case errors.Is(err, bucket.ErrUnavailable):
		return chassis.Unavailable(time.Second, "silences are kept by the message broker, which does not answer").WithCause(err)
	}
	return err
}
