package broker

import (
	"net/http"
	"strconv"
	"time"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/http/chassis"
)

const tagStreams = "streams"

// streamForm is a stream to be.
type streamForm struct {
	Name      string   `json:"name" required:"true" example:"ORDERS" doc:"1 to 64 letters, digits, - and _"`
	Subjects  []string `json:"subjects" required:"true" minLength:"1" maxLength:"64" doc:"that it keeps; they may hold wildcards"`
	Retention string   `json:"retention" enum:"limits,workqueue,interest" default:"limits" doc:"cannot change later"`
	Storage   string   `json:"storage" enum:"file,memory" default:"file" doc:"cannot change later"`
	Discard   string   `json:"discard" enum:"old,new" default:"old" doc:"what a full stream gives up"`
	MaxBytes  int64    `json:"max_bytes" minimum:"1048576" default:"67108864" doc:"reserved at the server"`
	MaxAge    float64  `json:"max_age_seconds" minimum:"0" default:"0" doc:"0 keeps messages"`
	Replicas  int      `json:"replicas" minimum:"0" maximum:"5" default:"0" doc:"1, 3 or 5; 0 is 3 where the broker has several nodes, else 1"`
}

// defaultStream is what a form leaves out.
func defaultStream() streamForm {
	return streamForm{Retention: "limits", Storage: "file", Discard: "old", MaxBytes: 64 << 20}
}

func (f streamForm) config() branch.StreamConfig {
	return branch.StreamConfig{
		Name: f.Name, Subjects: f.Subjects, Retention: f.Retention, Storage: f.Storage, Discard: f.Discard,
		MaxBytes: f.MaxBytes, MaxAge: time.Duration(f.MaxAge * float64(time.Second)), Replicas: f.Replicas,
	}
}

type streamAnswer struct {
	Success bool                `json:"success" required:"true"`
	Stream  branch.StreamStatus `json:"stream" required:"true"`
}

type done struct {
	Success bool `json:"success" required:"true"`
}

type purged struct {
	Success bool   `json:"success" required:"true"`
	Purged  uint64 `json:"purged" required:"true" doc:"messages that were removed"`
}

func (f *service) streamRoutes(prefix string) []chassis.Route {
	path := prefix + "streams/{name}"
	return []chassis.Route{
		{Method: http.MethodPost, Path: prefix + "streams", Tag: tagStreams, Summary: "Make a stream",
			Description: "The same again is 200; another configuration under the name, or subjects that another stream keeps, 409.",
			Request:     streamForm{}, Responses: []chassis.Response{{Body: streamAnswer{}}}, Handler: f.makeStream},
		{Method: http.MethodGet, Path: path, Tag: tagStreams, Summary: "One stream",
			Responses: []chassis.Response{{Body: branch.StreamStatus{}}}, Handler: f.stream},
		{Method: http.MethodPut, Path: path, Tag: tagStreams, Summary: "Change a stream",
			Request: streamForm{}, Responses: []chassis.Response{{Body: streamAnswer{}}}, Handler: f.changeStream},
		{Method: http.MethodDelete, Path: path, Tag: tagStreams, Summary: "Remove a stream with its messages",
			Description: "Those of the configuration stay: 409.",
			Responses:   []chassis.Response{{Body: done{}}}, Handler: f.deleteStream},
		{Method: http.MethodPost, Path: path + "/purge", Tag: tagStreams, Summary: "Remove the messages of a stream",
			Params:    []chassis.Param{{Name: "subject", Doc: "Only those of this subject, which may hold wildcards."}},
			Responses: []chassis.Response{{Body: purged{}}}, Handler: f.purgeStream},
		{Method: http.MethodGet, Path: path + "/messages/{seq}", Tag: tagStreams, Summary: "One message of a stream",
			Responses: []chassis.Response{{Body: delivered{}}}, Handler: f.stored},
	}
}

func (f *service) form(r *http.Request) (branch.StreamConfig, error) {
	in := defaultStream()
	if err := chassis.Decode(r, &in); err != nil {
		return branch.StreamConfig{}, err
	}
	return in.config(), nil
}

func (f *service) makeStream(w http.ResponseWriter, r *http.Request) error {
	c, err := f.form(r)
	if err != nil {
		return err
	}
	s, err := f.Desk.CreateStream(r.Context(), c)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, streamAnswer{true, s})
}

func (f *service) changeStream(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	c, err := f.form(r)
	if err != nil {
		return err
	}
	if c.Name != name {
		return chassis.Unprocessable(chassis.Field("/name", "is not the name in the path, %q", name))
	}
	s, err := f.Desk.ChangeStream(r.Context(), c)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, streamAnswer{true, s})
}

func (f *service) stream(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	s, err := f.Desk.Stream(r.Context(), name)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, s)
}

func (f *service) deleteStream(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	if err := f.Desk.DeleteStream(r.Context(), name); err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, done{true})
}

func (f *service) purgeStream(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	q := chassis.QueryOf(r)
	subject := q.Text("subject", "")
	if err := q.Err(); err != nil {
		return err
	}
	n, err := f.Desk.PurgeStream(r.Context(), name, subject)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, purged{true, n})
}

func (f *service) stored(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	seq, err := number(r, "seq")
	if err != nil {
		return err
	}
	d, err := f.Desk.Stored(r.Context(), name, seq)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, shownDelivery(d))
}

// number is a path parameter that is a whole number from 1.
func number(r *http.Request, name string) (uint64, error) {
	text, err := chassis.PathParam(r, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		return 0, chassis.BadRequest("path parameter %s is not a whole number from 1", name).WithCode("bad_path")
	}
	return n, nil
}
