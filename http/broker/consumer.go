package broker

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/http/chassis"
)

const tagConsumers = "consumers"

// consumerForm is a consumer to be.
type consumerForm struct {
	Name          string    `json:"name" required:"true" example:"desk" doc:"1 to 64 letters, digits, - and _"`
	Filter        []string  `json:"filter_subjects,omitempty" maxLength:"16" doc:"none is the whole stream"`
	AckWait       float64   `json:"ack_wait_seconds" minimum:"0" maximum:"86400" default:"30" doc:"how long a message waits for its answer before it comes again; 0 is 30"`
	MaxDeliver    int       `json:"max_deliver" minimum:"0" maximum:"1000" default:"0" doc:"deliveries after which a message is a dead letter; 0 is no end"`
	BackOff       []float64 `json:"backoff_seconds,omitempty" maxLength:"16" doc:"instead of ack_wait_seconds, a wait for each time; at most max_deliver of them"`
	MaxAckPending int       `json:"max_ack_pending" minimum:"0" maximum:"100000" default:"1000" doc:"most messages that are delivered and not answered yet; 0 is 1000"`
	From          string    `json:"from" enum:"first,new,last" default:"first" doc:"where it begins: with the first message, with what comes from now on, or with the last"`
	FromSeq       uint64    `json:"from_seq,omitempty" doc:"sequence to begin with, instead of from; absent or 0 is none"`
	FromTime      time.Time `json:"from_time,omitzero" doc:"time to begin with, instead of from; absent is none"`
	Idle          float64   `json:"idle_seconds" minimum:"0" maximum:"31536000" default:"0" doc:"without a reader for so long it is removed; 0 keeps it"`
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (f consumerForm) config() messages.ConsumerConfig {
	c := messages.ConsumerConfig{
		Name: f.Name, Subjects: f.Filter, AckWait: seconds(f.AckWait), MaxDeliver: f.MaxDeliver, MaxAckPending: f.MaxAckPending,
		From: f.From, FromSeq: f.FromSeq, FromTime: f.FromTime, Idle: seconds(f.Idle),
	}
	for _, s := range f.BackOff {
		c.BackOff = append(c.BackOff, seconds(s))
	}
	return c
}

type consumerAnswer struct {
	Success  bool                    `json:"success" required:"true"`
	Consumer messages.ConsumerStatus `json:"consumer" required:"true"`
}

type consumerList struct {
	Consumers []messages.ConsumerStatus `json:"consumers" required:"true"`
	Total     int                       `json:"total" required:"true"`
}

type fetchForm struct {
	Max  int     `json:"max" minimum:"1" maximum:"1000" default:"1" doc:"most messages that are taken"`
	Wait float64 `json:"wait_seconds" minimum:"0" maximum:"25" default:"0" doc:"for the first message"`
}

type fetchedList struct {
	Messages []fetched `json:"messages" required:"true"`
	Count    int       `json:"count" required:"true" doc:"of this answer"`
}

// fetched is a message that waits for its answer.
type fetched struct {
	delivered
	Deliveries uint64 `json:"deliveries" required:"true" doc:"how often it has come, from 1"`
	Pending    uint64 `json:"pending" required:"true" doc:"messages behind it"`
	Token      string `json:"token" required:"true" doc:"for ack, nak, term and progress; any process takes it, also after a restart"`
}

type settleForm struct {
	Tokens []string `json:"tokens" required:"true" minLength:"1" maxLength:"1000" doc:"of fetch"`
	Delay  float64  `json:"delay_seconds" minimum:"0" maximum:"86400" doc:"nak: before it comes again"`
	Reason string   `json:"reason" maxLength:"500" doc:"term: for the dead letter"`
}

type settled struct {
	Success bool      `json:"success" required:"true" doc:"all of them"`
	Settled int       `json:"settled" required:"true" doc:"how many were"`
	Failed  []refused `json:"failed" required:"true" doc:"those that were not"`
}

type refused struct {
	Index int    `json:"index" required:"true" doc:"of the token"`
	Error string `json:"error" required:"true" doc:"why the token was not taken"`
}

func (f *service) consumerRoutes(prefix string) []chassis.Route {
	all := prefix + "streams/{name}/consumers"
	one := all + "/{consumer}"
	routes := []chassis.Route{
		{Method: http.MethodGet, Path: all, Tag: tagConsumers, Summary: "The consumers of a stream",
			Responses: []chassis.Response{{Body: consumerList{}}}, Handler: f.consumers},
		{Method: http.MethodPost, Path: all, Tag: tagConsumers, Summary: "Make a consumer, or change one",
			Request: consumerForm{}, Responses: []chassis.Response{{Body: consumerAnswer{}}}, Handler: f.makeConsumer},
		{Method: http.MethodGet, Path: one, Tag: tagConsumers, Summary: "One consumer",
			Responses: []chassis.Response{{Body: messages.ConsumerStatus{}}}, Handler: f.consumer},
		{Method: http.MethodDelete, Path: one, Tag: tagConsumers, Summary: "Remove a consumer",
			Responses: []chassis.Response{{Body: done{}}}, Handler: f.deleteConsumer},
		{Method: http.MethodPost, Path: one + "/fetch", Tag: tagConsumers, Summary: "Take messages",
			Description: "What is not answered within ack_wait_seconds comes again.",
			Request:     fetchForm{}, Optional: true, Responses: []chassis.Response{{Body: fetchedList{}}}, Handler: f.fetch},
	}
	for how, summary := range map[messages.Settling]string{
		messages.Ack: "Acknowledge messages", messages.Nak: "Give messages back",
		messages.Term: "Give messages up: they are dead letters", messages.Progress: "Say that messages are being worked on",
	} {
		routes = append(routes, chassis.Route{
			Method: http.MethodPost, Path: prefix + "consumers/" + string(how), Tag: tagConsumers, Summary: summary,
			Request: settleForm{}, Responses: []chassis.Response{{Body: settled{}}},
			Handler: func(w http.ResponseWriter, r *http.Request) error { return f.settle(w, r, how) },
		})
	}
	return routes
}

// place reads the stream and the consumer of a path.
func place(r *http.Request) (stream, consumer string, err error) {
	if stream, err = chassis.PathParam(r, "name"); err != nil {
		return "", "", err
	}
	consumer, err = chassis.PathParam(r, "consumer")
	return stream, consumer, err
}

func (f *service) consumers(w http.ResponseWriter, r *http.Request) error {
	stream, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	all, err := f.Desk.Consumers(r.Context(), stream)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, consumerList{all, len(all)})
}

func (f *service) makeConsumer(w http.ResponseWriter, r *http.Request) error {
	stream, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	in := consumerForm{AckWait: 30, MaxAckPending: 1000, From: messages.FromFirst}
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	c, err := f.Desk.CreateConsumer(r.Context(), stream, in.config())
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, consumerAnswer{true, c})
}

func (f *service) consumer(w http.ResponseWriter, r *http.Request) error {
	stream, name, err := place(r)
	if err != nil {
		return err
	}
	c, err := f.Desk.Consumer(r.Context(), stream, name)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, c)
}

func (f *service) deleteConsumer(w http.ResponseWriter, r *http.Request) error {
	stream, name, err := place(r)
	if err != nil {
		return err
	}
	if err := f.Desk.DeleteConsumer(r.Context(), stream, name); err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, done{true})
}

func (f *service) fetch(w http.ResponseWriter, r *http.Request) error {
	stream, name, err := place(r)
	if err != nil {
		return err
	}
	in := fetchForm{Max: 1}
	if err := chassis.Decode(r, &in, chassis.Empty); err != nil {
		return err
	}
	all, err := f.Desk.Fetch(r.Context(), stream, name, in.Max, seconds(in.Wait))
	if err != nil {
		return err
	}
	out := fetchedList{Messages: make([]fetched, len(all)), Count: len(all)}
	for i, m := range all {
		out.Messages[i] = fetched{shownDelivery(m.Delivery), m.Delivered, m.Pending, m.Receipt}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) settle(w http.ResponseWriter, r *http.Request, how messages.Settling) error {
	var in settleForm
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	out := settled{Success: true, Failed: []refused{}}
	for i, err := range f.Desk.SettleAll(r.Context(), in.Tokens, how, seconds(in.Delay), in.Reason) {
		if err != nil && len(in.Tokens) == 1 {
			return err
		}
		if err != nil {
			out.Success = false
			out.Failed = append(out.Failed, refused{i, shown(err)})
			continue
		}
		out.Settled++
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}
