package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// Event is one server-sent event
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type Event struct {
	// ID is the last id that was told, with this event or before it.
	ID string
	// Name is empty for an event without one.
	Name string
	Data []byte
}

// EventStream is one connection of server-sent events. One goroutine reads it.
type EventStream struct {
	lines *bufio.Reader
	id    string
	retry time.Duration // before it is connected to again, as the server wants; 0 is unsaid

	base    string
	ctx     context.Context // for why it has ended
	release func()
	silence time.Duration // 0 is no bound
	quiet   *time.Timer
}

// NewEventStream reads events from a body, which stays the caller's to close.
func NewEventStream(body io.Reader) *EventStream {
	return &EventStream{lines: bufio.NewReaderSize(body, 256<<10), ctx: context.Background(), release: func() {}}
}

// events opens a stream. One that says nothing for longer than silence, not even that it
// is there, ends; 0 is no bound.
func (c *Client) events(ctx context.Context, r *request, silence time.Duration) (*EventStream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r.accept = mediaEvents
	quiet := time.AfterFunc(time.Hour, func() { cancel(fmt.Errorf("no word for %v", silence)) })
	if quiet.Stop(); silence > 0 {
		quiet.Reset(silence)
	}
	res, err := c.send(ctx, r) //nolint:bodyclose // the stream closes it
	if err != nil {
		quiet.Stop()
		if why := context.Cause(ctx); why != nil {
			err = why
		}
		cancel(nil)
		return nil, err
	}
	s := NewEventStream(res.Body)
	s.base, s.ctx, s.silence, s.quiet = baseURL(res.Request.URL), ctx, silence, quiet
	s.release = func() {
		quiet.Stop()
		cancel(nil)
		_ = res.Body.Close() // what is left of it is not wanted
	}
	return s, nil
}

// Next is the next event that has data. Whatever else comes, comments and ids, is passed
// over. At the end of the body the error is io.EOF; an event that is cut off is none.
func (s *EventStream) Next() (Event, error) {
	var e Event
	for {
		line, err := s.lines.ReadBytes('\n')
		if err != nil {
			return Event{}, s.ended(err)
		}
		if s.silence > 0 {
			s.quiet.Reset(s.silence)
		}
		line = bytes.TrimRight(line, "\r\n")
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && e.Data != nil:
			e.ID = s.id
			return e, nil
		case len(line) == 0:
			e.Name = ""
		case string(field) == "event":
			e.Name = string(value)
		case string(field) == "id":
			s.id = string(value)
		case string(field) == "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				s.retry = time.Duration(ms) * time.Millisecond
			}
		case string(field) == "data" && e.Data != nil:
			e.Data = append(append(e.Data, '\n'), value...)
		case string(field) == "data":
			e.Data = value
		}
	}
}

func (s *EventStream) ended(err error) error {
	if why := context.Cause(s.ctx); why != nil {
		err = why
	}
	if s.base == "" || errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("following %s: %w", s.base, err)
}

// Waiting reports whether nothing more has come yet.
func (s *EventStream) Waiting() bool { return s.lines.Buffered() == 0 }

// Close ends the connection.
func (s *EventStream) Close() { s.release() }

// Following says how a stream is followed over lost connections.
type Following struct {
	// Tries is how often in a row a lost connection is made again before its error ends
	// the stream; 0 is for as long as its context lasts.
	Tries int
	// Silence is how long a connection may say nothing, not even that it is there; 0 is
	// 45 s.
	Silence time.Duration
	// Lost, unless nil, is told why a connection was lost that is made again.
	Lost func(error)
}

const (
	defaultSilence = 45 * time.Second
	// reconnectAfter is the pause before a lost connection is made again, unless the
	// server has said how long; it doubles up to reconnectWithin.
	reconnectAfter  = time.Second
	reconnectWithin = 15 * time.Second
)

// followed is an event, and what is to be known of the connection that it came by.
type followed struct {
	Event
	// again is set of the first event of a connection that was made again; resumed when
	// it was asked to go on behind the last event.
	again, resumed bool
	waiting        bool // nothing more has come yet
}

// errStreamEnd ends a connection whose last event has come, and which is to be made again.
type errStreamEnd struct{ why string }

func (e errStreamEnd) Error() string { return "it was ended: " + e.why }

// follow yields the events of a stream, over as many connections as it takes. request
// makes the request for those behind an id, "" for the first. judge, unless nil, may end a
// connection by an event that is its last.
func (c *Client) follow(ctx context.Context, f Following, request func(id string) *request, judge func(Event) error) iter.Seq2[followed, error] {
	if f.Silence <= 0 {
		f.Silence = defaultSilence
	}
	return func(yield func(followed, error) bool) {
		at := &following{Following: f, judge: judge, yield: yield, pause: reconnectAfter}
		failures := 0
		for {
			came, err := at.connection(ctx, c, request(at.id))
			if came {
				failures = 0
			}
			switch {
			case errors.Is(err, errLeft):
				return
			case ctx.Err() != nil:
				yield(followed{}, context.Cause(ctx))
				return
			case at.connections == 0, final(err):
				yield(followed{}, err)
				return
			}
			if failures++; f.Tries > 0 && failures > f.Tries {
				yield(followed{}, err)
				return
			}
			if f.Lost != nil {
				f.Lost(err)
			}
			if err := wait(ctx, min(at.pause<<min(failures-1, 10), reconnectWithin)); err != nil {
				yield(followed{}, err)
				return
			}
		}
	}
}

// final reports whether an error is a refusal that the same request would get again.
func final(err error) bool {
	status := StatusOf(err)
	return status/100 == 4 && status != http.StatusTooManyRequests
}

// following is a stream over its connections.
type following struct {
	Following
	judge func(Event) error
	yield func(followed, error) bool

	connections int           // that were made
	id          string        // of the last event
	pause       time.Duration // before the next connection
}

// connection yields the events of one connection, and tells whether any came, and why it
// has ended.
func (f *following) connection(ctx context.Context, c *Client, r *request) (came bool, err error) {
	s, err := c.events(ctx, r, f.Silence)
	if err != nil {
		return false, err
	}
	defer s.Close()
	f.connections++
	resumed := f.id != ""
	s.id = f.id
	for {
		e, err := s.Next()
		if s.retry > 0 {
			f.pause = s.retry
		}
		if err != nil {
			return came, err
		}
		if f.judge != nil {
			if err := f.judge(e); err != nil {
				return came, err
			}
		}
		f.id = e.ID
		first := !came && f.connections > 1
		came = true
		if !f.yield(followed{Event: e, again: first, resumed: resumed, waiting: s.Waiting()}, nil) {
			return came, errLeft
		}
	}
}
