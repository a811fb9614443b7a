package broker

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/http/chassis"
)

// publishing is a message in the documented form: its payload is the JSON text of
// message.
type publishing struct {
	Subject string            `json:"subject" required:"true" example:"market.notes" doc:"1 to 255 bytes of tokens between dots, no wildcards"`
	Message json.RawMessage   `json:"message" doc:"any JSON"`
	ID      string            `json:"id,omitempty" doc:"the stream drops a second message with this id within its window; the header Idempotency-Key says the same"`
	Headers map[string]string `json:"headers,omitempty" doc:"of the message"`
}

// batch is many of them.
type batch struct {
	Messages []publishing `json:"messages" required:"true" minLength:"1" maxLength:"1000" doc:"at most 1000"`
}

// published is what became of a message.
type published struct {
	Success   bool   `json:"success" required:"true"`
	Stream    string `json:"stream,omitempty" doc:"that has it; absent when none keeps the subject"`
	Seq       uint64 `json:"seq,omitempty" doc:"in that stream; absent when none keeps the subject"`
	Duplicate bool   `json:"duplicate,omitempty" doc:"the stream had a message with this id already; seq is that one's"`
	Error     string `json:"error,omitempty" doc:"why it was not published; absent when it was"`
}

type publishedAll struct {
	Success   bool        `json:"success" required:"true" doc:"all of them"`
	Published int         `json:"published" required:"true" doc:"how many were"`
	Results   []published `json:"results" required:"true" doc:"of each message, in their order"`
}

// headerKey makes requests of the same key one.
const headerKey = "Idempotency-Key"

// envelope is what the documented form may need beside its message.
const envelope = 64 << 10

func (f *service) publishRoutes(prefix string) []chassis.Route {
	key := chassis.Param{Name: headerKey, In: "header", Doc: "The stream drops a second message with this key within its window."}
	raw := int64(f.MaxMessage) + 1
	return []chassis.Route{
		{Method: http.MethodPost, Path: prefix + "publish", Tag: tagMessages, Summary: "Publish a message",
			Description: "The payload is the JSON text of `message`. A subject that no stream keeps goes to whoever listens.",
			Params:      []chassis.Param{key}, Request: publishing{}, Responses: []chassis.Response{{Body: published{}}},
			BodyLimit: raw + envelope, Handler: f.publish},
		{Method: http.MethodPost, Path: prefix + "publish/{subject}", Tag: tagMessages, Summary: "Publish a body as it is, or CloudEvents",
			Description: "With `Content-Type: application/cloudevents+json` or `application/cloudevents-batch+json`, or with `ce-` headers, the body is checked as CloudEvents 1.0 and published in the NATS binding of that mode.",
			Params:      []chassis.Param{key}, Request: json.RawMessage{}, Accepts: []string{"*/*"}, Optional: true,
			Responses: []chassis.Response{{Body: published{}}}, BodyLimit: raw, Handler: f.publishRaw},
		{Method: http.MethodPost, Path: prefix + "batch", Tag: tagMessages, Summary: "Publish many messages",
			Description: "All are checked before the first is published; each has its own result.",
			Request:     batch{}, Responses: []chassis.Response{{Body: publishedAll{}}}, BodyLimit: raw + envelope, Handler: f.publishBatch},
		{Method: http.MethodPost, Path: prefix + "request/{subject}", Tag: tagMessages, Summary: "Ask for a reply",
			Description: "The answer is the first reply as it is. Nobody listening is 404 `no_responders`, no reply in time 504 `no_reply`.",
			Params: []chassis.Param{
				{Name: "timeout_ms", Type: 0, Default: 5000, Min: 1, Max: maxReplyWait, Doc: "How long to wait for the reply."},
			}, Request: json.RawMessage{}, Accepts: []string{"*/*"}, Optional: true,
			Responses: []chassis.Response{{Media: "*/*", Doc: "the reply"}, {Status: http.StatusGatewayTimeout, Doc: "no reply in time", Body: chassis.Problem{}, Media: "application/problem+json"}},
			BodyLimit: raw, Handler: f.request},
	}
}

// maxReplyWait is below the deadline of a request, in milliseconds.
const maxReplyWait = 25_000

const tagMessages = "messages"

func (p publishing) message(key string) (messages.Message, error) {
	m := messages.Message{Subject: p.Subject, Data: p.Message, ID: p.ID, Header: map[string][]string{"Content-Type": {"application/json"}}}
	if len(p.Message) == 0 {
		return m, chassis.BadRequest("/message is required").WithFields(chassis.Field("/message", "is required"))
	}
	for name, value := range p.Headers {
		m.Header[name] = []string{value}
	}
	if m.ID == "" {
		m.ID = key
	}
	return m, nil
}

func (f *service) publish(w http.ResponseWriter, r *http.Request) error {
	var in publishing
	if err := chassis.Decode(r, &in, chassis.Unknown); err != nil {
		return malformed(err)
	}
	m, err := in.message(r.Header.Get(headerKey))
	if err != nil {
		return err
	}
	return f.send(w, r, m)
}

func (f *service) send(w http.ResponseWriter, r *http.Request, m messages.Message) error {
	trace(r, m)
	receipt, err := f.Desk.Publish(r.Context(), m)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, made(receipt))
}

func made(r messages.Receipt) published {
	return published{Success: true, Stream: r.Stream, Seq: r.Seq, Duplicate: r.Duplicate}
}

// trace passes the request's trace on in the message.
func trace(r *http.Request, m messages.Message) {
	if parent := r.Header.Get("traceparent"); parent != "" && len(parent) <= 128 && m.Header["traceparent"] == nil {
		m.Header["traceparent"] = []string{parent}
	}
}

func (f *service) publishBatch(w http.ResponseWriter, r *http.Request) error {
	var in batch
	if err := chassis.Decode(r, &in); err != nil {
		return malformed(err)
	}
	all := make([]messages.Message, len(in.Messages))
	for i, p := range in.Messages {
		var err error
		if all[i], err = p.message(""); err != nil {
			return chassis.Under("/messages/"+strconv.Itoa(i), err)
		}
	}
	return f.sendAll(w, r, all)
}

func (f *service) sendAll(w http.ResponseWriter, r *http.Request, all []messages.Message) error {
	outcomes, err := f.Desk.PublishAll(r.Context(), all)
	if err != nil {
		return err
	}
	out := publishedAll{Success: true, Results: make([]published, len(outcomes))}
	for i, o := range outcomes {
		if o.Err != nil {
			out.Success = false
			out.Results[i].Error = shown(o.Err)
			continue
		}
		out.Results[i] = made(o.Receipt)
		out.Published++
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// shown is what a client may see of an error of one message of many.
func shown(err error) string {
	var refused *messages.Refusal
	switch {
	case errors.As(err, &refused):
		return refused.Text
	case errors.Is(err, context.DeadlineExceeded):
		return "not acknowledged in time; it may have been stored"
	}
	return "not published; try again"
}

func (f *service) publishRaw(w http.ResponseWriter, r *http.Request) error {
	subject, err := chassis.PathParam(r, "subject")
	if err != nil {
		return err
	}
	body, err := chassis.ReadBody(r)
	if err != nil {
		return err
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case media == mediaEvents:
		all, err := structuredBatch(subject, body)
		if err != nil {
			return err
		}
		return f.sendAll(w, r, all)
	case media == mediaEvent:
		m, err := structured(subject, body)
		if err != nil {
			return err
		}
		return f.send(w, r, keyed(r, m))
	}
	m, err := binary(subject, r.Header, body)
	if err != nil {
		return err
	}
	return f.send(w, r, keyed(r, m))
}

// keyed gives a message the id that the request names.
func keyed(r *http.Request, m messages.Message) messages.Message {
	if key := r.Header.Get(headerKey); key != "" {
		m.ID = key
	}
	return m
}

func (f *service) request(w http.ResponseWriter, r *http.Request) error {
	subject, err := chassis.PathParam(r, "subject")
	if err != nil {
		return err
	}
	q := chassis.QueryOf(r)
	wait := time.Duration(q.Int("timeout_ms", 5000, 1, maxReplyWait)) * time.Millisecond
	if err := q.Err(); err != nil {
		return err
	}
	body, err := chassis.ReadBody(r)
	if err != nil {
		return err
	}
	m := messages.Message{Subject: subject, Data: body, Header: map[string][]string{}}
	if media := r.Header.Get("Content-Type"); media != "" {
		m.Header["Content-Type"] = []string{media}
	}
	trace(r, m)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	reply, err := f.Desk.Request(ctx, m)
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		return chassis.NewError(http.StatusGatewayTimeout, "no_reply", "nobody replied within %v", wait).WithCause(err)
	}
	if err != nil {
		return err
	}
	h := w.Header()
	media := "application/octet-stream"
	if given := reply.Header["Content-Type"]; len(given) > 0 {
		media = given[0]
	} else if json.Valid(reply.Data) {
		media = "application/json"
	}
	h.Set("Content-Type", media)
	for name, values := range reply.Header {
		if strings.HasPrefix(strings.ToLower(name), "nats-") && len(values) > 0 {
			h.Set(name, values[0])
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(reply.Data)))
	_, err = w.Write(reply.Data)
	return err
}
