package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/http/chassis"
)

const tagFollow = "following"

// Times of a following.
const (
	beatEvery = 15 * time.Second
	retryIn   = time.Second
)

// Of messages that are there already, as many are written at once as make gathered
// bytes; none waits for one behind it longer than gatherFor.
const (
	gathered  = 32 << 10
	gatherFor = 2 * time.Millisecond
)

// begun is what a following begins with.
type begun struct {
	Subject  string `json:"subject"`
	Stream   string `json:"stream,omitempty"`   // absent: no stream keeps the subject
	Position string `json:"position,omitempty"` // behind this it begins
	// Reset: the position that was given is of a stream that is no more.
	Reset bool `json:"reset,omitempty"`
	// Lost are the sequences that the stream no longer has.
	Lost *lost `json:"lost,omitempty"`
}

type lost struct {
	From uint64 `json:"from_seq"`
	To   uint64 `json:"to_seq"`
}

func begunOf(subject string, s messages.Start) begun {
	b := begun{Subject: subject, Stream: s.Position.Stream, Position: s.Position.String(), Reset: s.Reset}
	if s.LostTo > 0 {
		b.Lost = &lost{s.LostFrom, s.LostTo}
	}
	return b
}

func (f *service) followRoutes(prefix string) []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: prefix + "subscribe", Tag: tagFollow, Live: true, Summary: "Follow a subject as server-sent events",
		Description: "The first event is `start`; its id, and that of every message from a stream, is a position. " +
			"A client that comes back with `Last-Event-ID` misses nothing: what the stream no longer has is named in `start`. " +
			"Of a subject that no stream keeps there is only what comes while one listens. The last event is `end`, with why.",
		Params: []chassis.Param{
			{Name: "subject", Required: true, Doc: "May hold `*` for one token and `>` for the rest, but not as its first token.", Example: "market.>"},
			{Name: "stream", Doc: "Which to follow, where several keep some of the subject."},
			{Name: "from", Enum: []string{messages.FromNew, messages.FromFirst, messages.FromLast}, Default: messages.FromNew, Doc: "Where to begin without a position."},
			{Name: "Last-Event-ID", In: "header", Doc: "Id of the last event that was received."},
			{Name: "last_event_id", Doc: "The same, for clients that cannot set a header."},
		},
		Responses: []chassis.Response{{Media: chassis.MediaEvents, Doc: "events until one side ends it"}},
		Handler:   f.followEvents,
	}}
}

func (f *service) followEvents(w http.ResponseWriter, r *http.Request) error {
	what, err := followingOf(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	follower, err := f.Desk.Follow(ctx, what)
	if err != nil {
		return err
	}
	defer follower.Close(ctx)
	events, err := chassis.NewEvents(w, r)
	if err != nil {
		return left(ctx, err)
	}
	if err := events.Retry(retryIn); err != nil {
		return left(ctx, err)
	}
	if err := events.Send(follower.Start.Position.String(), "start", begunOf(what.Subject, follower.Start)); err != nil {
		return left(ctx, err)
	}
	return stream(ctx, follower, events)
}

func followingOf(r *http.Request) (messages.Following, error) {
	q := chassis.QueryOf(r)
	what := messages.Following{
		Subject: q.Text("subject", ""), Stream: q.Text("stream", ""),
		From: q.OneOf("from", messages.FromNew, messages.FromNew, messages.FromFirst, messages.FromLast),
	}
	last := q.Text("last_event_id", "")
	if err := q.Err(); err != nil {
		return what, err
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		last = id
	}
	var err error
	what.After, err = messages.ParsePosition(last)
	return what, err
}

// left is nil when the client has left: there is nobody to tell.
func left(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the client's leaving is how these end
	}
	return err
}

// stream writes messages as they come, and a beat where none do.
func stream(ctx context.Context, follower *messages.Follower, events *chassis.Events) error {
	for {
		patience := beatEvery
		if events.Buffered() > 0 {
			patience = gatherFor
		}
		waiting, cancel := context.WithTimeout(ctx, patience)
		d, err := follower.Next(waiting)
		idle := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err != nil && idle && events.Buffered() > 0:
			err = events.Flush()
		case err != nil && idle:
			err = events.Beat()
		case err == nil:
			err = put(events, d)
		default:
			return finish(ctx, events, err)
		}
		if err != nil {
			return left(ctx, err) // the answer is cut off
		}
	}
}

// put writes a message, with those that follow it at once.
func put(events *chassis.Events, d messages.Delivery) error {
	text, err := json.Marshal(shownDelivery(d))
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	events.Put(d.Position.String(), "", text)
	if d.Pending > 0 && events.Buffered() < gathered {
		return nil
	}
	return events.Flush()
}

// finish writes what was gathered, and why nothing follows.
func finish(ctx context.Context, events *chassis.Events, err error) error {
	if ctx.Err() == nil && events.Buffered() > 0 {
		if err := events.Flush(); err != nil {
			return left(ctx, err)
		}
	}
	return end(ctx, events, err)
}

// end tells the client why it ends, if it can be told.
func end(ctx context.Context, events *chassis.Events, err error) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), chassis.ErrDraining) {
		return nil // the client has left
	}
	text, encoding := json.Marshal(map[string]string{"reason": whyEnded(ctx, err)})
	if encoding != nil {
		return fmt.Errorf("encoding an event: %w", encoding)
	}
	if err := events.Last("end", text); err != nil {
		return left(ctx, err)
	}
	return nil
}

// whyEnded is why a following ends, for the client.
func whyEnded(ctx context.Context, err error) string {
	switch {
	case errors.Is(context.Cause(ctx), chassis.ErrDraining):
		return "the server stops; come back with the last id"
	case errors.Is(err, messages.ErrSlow):
		return messages.ErrSlow.Error()
	case errors.Is(err, branch.ErrNotRunning):
		return "the message broker is not running at the moment; come back with the last id"
	}
	return "following failed; come back with the last id"
}
