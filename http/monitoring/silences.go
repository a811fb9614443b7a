package monitoring

import (
	"cmp"
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
	Comment   string        `json:"comment" required:"true" minLength:"1" maxLength:"2000" example:"exchange maintenance" doc:"why, for people"`
}

// silenceRow is a silence in an answer.
type silenceRow struct {
	ID        string        `json:"id" required:"true"`
	State     string        `json:"state" enum:"pending,active,expired" required:"true" doc:"pending: it begins later"`
	Matchers  []matcherBody `json:"matchers" required:"true" doc:"all must match"`
	StartsAt  time.Time     `json:"starts_at" required:"true"`
	EndsAt    time.Time     `json:"ends_at" required:"true"`
	UpdatedAt time.Time     `json:"updated_at" required:"true" doc:"when it was made or changed last"`
	CreatedBy string        `json:"created_by" required:"true"`
	Comment   string        `json:"comment" required:"true" doc:"why, for people"`
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
	form, one := f.ourSilences(), []chassis.Response{{Body: silenceAnswer{}}}
	states := []string{string(notify.SilencePending), string(notify.SilenceActive), string(notify.SilenceExpired)}
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "silences", ID: "silences", Tag: tagAlerts, Summary: "Silences",
			Params:    []chassis.Param{{Name: "state", Enum: states, Doc: "Only these."}},
			Responses: []chassis.Response{{Body: silenceList{}}}, Handler: f.silences,
		},
		{
			Method: http.MethodGet, Path: base + "silences/{id}", ID: "silence", Tag: tagAlerts, Summary: "One silence",
			Responses: []chassis.Response{{Body: silenceRow{}}}, Handler: f.silence(form),
		},
		{
			Method: http.MethodPost, Path: base + "silences", ID: "setSilence", Tag: tagAlerts, Summary: "Mute alerts for a time",
			Description: "Alerts that all matchers match are not told while it lasts. With the `id` of one that has not expired that is changed; " +
				"if it mutes something else then, it ends and a new one with another id is made. Audited.",
			Request: silenceBody{}, Responses: one, Handler: f.setSilence(form),
		},
		{
			Method: http.MethodDelete, Path: base + "silences/{id}", ID: "endSilence", Tag: tagAlerts, Summary: "End a silence",
			Description: "It is shown as expired for a while. Audited.", Responses: one, Handler: f.endSilence(form),
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

// silenceForm is how a client writes silences, and reads them: in our words, or in those of
// Alertmanager.
type silenceForm struct {
	// read reads what a body asks for.
	read func(r *http.Request) (notify.Silence, error)
	// show is a silence in an answer, changed the answer of a change.
	show, changed func(s notify.Silence) any
}

// ourSilences is the form in our words.
func (f *service) ourSilences() silenceForm {
	return silenceForm{
		read: func(r *http.Request) (notify.Silence, error) {
			var body silenceBody
			if err := chassis.Decode(r, &body); err != nil {
				return notify.Silence{}, err
			}
			return f.silenceOf(body)
		},
		show:    func(s notify.Silence) any { return f.silenceRow(s) },
		changed: func(s notify.Silence) any { return silenceAnswer{true, s.ID, f.silenceRow(s)} },
	}
}

// silence answers with one silence.
func (f *service) silence(form silenceForm) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := chassis.PathParam(r, "id")
		if err != nil {
			return err
		}
		s, err := f.Notify.Silence(id)
		if err != nil {
			return silenceError(err, id)
		}
		return chassis.WriteJSON(w, r, http.StatusOK, form.show(s))
	}
}

// setSilence makes or changes the silence of a body.
func (f *service) setSilence(form silenceForm) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		wanted, err := form.read(r)
		if err != nil {
			return err
		}
		s, err := f.keepSilence(r, wanted)
		if err != nil {
			return err
		}
		return chassis.WriteJSON(w, r, http.StatusOK, form.changed(s))
	}
}

// endSilence ends a silence.
func (f *service) endSilence(form silenceForm) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := chassis.PathParam(r, "id")
		if err != nil {
			return err
		}
		s, err := f.Notify.ExpireSilence(r.Context(), id)
		f.auditSilence(r, "silence.end", id, "", err)
		if err != nil {
			return silenceError(err, id)
		}
		return chassis.WriteJSON(w, r, http.StatusOK, form.changed(s))
	}
}

// matchersOf makes the matchers of a body.
func matchersOf[M interface {
	matcher() (notify.Matcher, error)
}](bodies []M) (notify.Matchers, error) {
	var all notify.Matchers
	for _, b := range bodies {
		m, err := b.matcher()
		if err != nil {
			return nil, chassis.Unprocessable(chassis.Field("/matchers", "%v", err))
		}
		all = append(all, m)
	}
	return all, nil
}

func (b matcherBody) matcher() (notify.Matcher, error) {
	return notify.NewMatcher(b.Name, cmp.Or(notify.Op(b.Op), notify.Equal), b.Value)
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
	var err error
	s.Matchers, err = matchersOf(b.Matchers)
	return s, err
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
