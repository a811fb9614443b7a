package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/http/chassis"
)

// Limits of a WebSocket.
const (
	pingEvery        = 20 * time.Second
	deadAfter        = time.Minute
	socketWrite      = 30 * time.Second
	closeGrace       = 2 * time.Second
	maxSubscriptions = 32
	queuedFrames     = 16 // messages that wait for a client; then nothing more is read for it
)

// Close codes (RFC 6455, 7.4.1).
const (
	codeNormal    = 1000
	codeGoingAway = 1001
	codeNotUTF8   = 1007
	codeTooLarge  = 1009
	codeInternal  = 1011
)

func (f *service) socketRoute() chassis.Route {
	return chassis.Route{
		Method: http.MethodGet, Path: "/ws/v1/messages", ID: "messagesByWebSocket", Tag: tagFollow, Live: true,
		Summary: "Publish and follow over WebSocket",
		Description: "Messages of the client are such as `{\"op\":\"subscribe\",\"id\":1,\"subject\":\"market.>\",\"after\":\"<position>\"}`, " +
			"`{\"op\":\"publish\",\"id\":2,\"subject\":\"market.notes\",\"message\":{}}`, `unsubscribe`, `ping`; docs/broker.md has all of them.",
		Responses: []chassis.Response{
			{Status: http.StatusSwitchingProtocols, Doc: "a WebSocket"},
			{Status: http.StatusUpgradeRequired, Doc: "not a WebSocket handshake", Body: chassis.Problem{}, Media: "application/problem+json"},
		},
		Handler: f.serveSocket,
	}
}

// socketStream is one client. The handler's goroutine writes, one reads, and one
// follows for each subscription; all end with the connection.
type socketStream struct {
	f      *service
	socket *chassis.Socket
	out    chan []byte
	cancel context.CancelCauseFunc
	work   sync.WaitGroup

	mu            sync.Mutex
	subscriptions map[string]context.CancelFunc
	n             int // subscriptions ever made
}

// operation is a message of a client.
type operation struct {
	Op      string          `json:"op"`
	ID      json.RawMessage `json:"id,omitempty"`
	Subject string          `json:"subject,omitempty"`
	Stream  string          `json:"stream,omitempty"`
	From    string          `json:"from,omitempty"`
	After   string          `json:"after,omitempty"`
	// Subscription is what unsubscribe ends.
	Subscription string            `json:"subscription,omitempty"`
	Message      json.RawMessage   `json:"message,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"`
	Key          string            `json:"message_id,omitempty"`
}

// told is a message to a client.
type told struct {
	Type         string          `json:"type"`
	ID           json.RawMessage `json:"id,omitempty"`
	Subscription string          `json:"subscription,omitempty"`
	Code         string          `json:"code,omitempty"`
	Field        string          `json:"field,omitempty"`
	Reason       string          `json:"message,omitempty"`
	Start        *begun          `json:"start,omitempty"`
	Published    *published      `json:"published,omitempty"`
	Data         *delivered      `json:"data,omitempty"`
}

// goodbye is why a connection ends.
type goodbye struct {
	code   int
	reason string
}

func (g *goodbye) Error() string { return g.reason }

func (f *service) serveSocket(w http.ResponseWriter, r *http.Request) error {
	if err := chassis.Handshake(w, r); err != nil {
		return err
	}
	socket, err := chassis.Upgrade(w, r, chassis.SocketConfig{
		MaxMessage: int64(f.MaxMessage) + envelope, DeadAfter: deadAfter, WriteTimeout: socketWrite,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s := &socketStream{f: f, socket: socket, cancel: cancel, out: make(chan []byte, queuedFrames), subscriptions: map[string]context.CancelFunc{}}
	s.serve(ctx)
	return nil
}

// serve runs until one side ends it, and closes the connection.
func (s *socketStream) serve(ctx context.Context) {
	var reading sync.WaitGroup
	reading.Go(func() { s.read(ctx) })
	why := farewell(ctx, s.write(ctx))
	s.cancel(why) // whoever waits for room stops
	log := chassis.Logger(ctx)
	if err := s.socket.Close(why.code, why.reason, closeGrace); err != nil {
		log.Debug("a WebSocket could not be told why it ends", zap.Int("code", why.code), zap.Error(err))
	}
	reading.Wait()
	s.work.Wait()
	if err := s.socket.Release(); err != nil {
		log.Debug("closing a WebSocket", zap.Error(err))
	}
}

// farewell is what the client is told when ctx has ended, or writing has failed.
func farewell(ctx context.Context, err error) *goodbye {
	var g *goodbye
	switch {
	case errors.As(context.Cause(ctx), &g):
		return g
	case errors.Is(context.Cause(ctx), chassis.ErrDraining):
		return &goodbye{codeGoingAway, "going away: the server stops"}
	case chassis.TimedOut(err):
		return &goodbye{codeInternal, "the client does not read"}
	}
	return &goodbye{codeInternal, "the connection failed"}
}

// write writes what waits, and pings.
func (s *socketStream) write(ctx context.Context) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case frame := <-s.out:
			if err := s.socket.Write(frame); err != nil {
				return err
			}
		case <-ping.C:
			if err := s.socket.Ping(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tell queues a message for the client, as long as it takes for it to have room.
func (s *socketStream) tell(ctx context.Context, t told) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	select {
	case s.out <- chassis.AppendFrame(nil, text):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// read carries out what the client says, one after the other.
func (s *socketStream) read(ctx context.Context) {
	for {
		text, err := s.socket.Read()
		switch {
		case errors.Is(err, chassis.ErrNotText):
			err = s.tell(ctx, told{Type: "error", Code: "not_text", Reason: "messages are JSON text"})
		case err == nil:
			err = s.answer(ctx, text)
		default:
			s.cancel(readEnded(err))
			return
		}
		if err != nil {
			s.cancel(err)
			return
		}
	}
}

func readEnded(err error) error {
	switch {
	case errors.Is(err, chassis.ErrNotUTF8):
		return &goodbye{codeNotUTF8, "a message is not UTF-8"}
	case chassis.TooLargeMessage(err):
		return &goodbye{codeTooLarge, "a message is too large"}
	}
	return &goodbye{codeNormal, "goodbye"}
}

// answer carries out one message. The error ends the connection.
func (s *socketStream) answer(ctx context.Context, text []byte) error {
	var op operation
	if err := chassis.DecodeJSON(text, &op); err != nil {
		return s.tell(ctx, told{Type: "error", Code: "malformed", Reason: err.Error()})
	}
	if len(op.ID) > 128 {
		return s.tell(ctx, told{Type: "error", Code: "malformed", Field: "id", Reason: "an id has at most 128 bytes"})
	}
	var reply told
	var err error
	switch op.Op {
	case "subscribe":
		err = s.subscribe(ctx, op)
		if err == nil {
			return nil // it has been answered
		}
	case "unsubscribe":
		reply, err = s.unsubscribe(op)
	case "publish":
		reply, err = s.publish(ctx, op)
	case "ping":
		reply = told{Type: "pong"}
	default:
		err = messages.Refuse(messages.Malformed, "op", "op is subscribe, unsubscribe, publish or ping")
	}
	if err != nil {
		reply = problem(err)
	}
	reply.ID = op.ID
	return s.tell(ctx, reply)
}

// problem tells a client what was wrong; the connection goes on.
func problem(err error) told {
	var refused *messages.Refusal
	if errors.As(err, &refused) {
		return told{Type: "error", Code: strings.ReplaceAll(refused.Why.String(), " ", "_"), Field: refused.Field, Reason: refused.Text}
	}
	return told{Type: "error", Code: "unavailable", Reason: "the message broker does not answer at the moment"}
}

func (s *socketStream) publish(ctx context.Context, op operation) (told, error) {
	m, err := publishing{Subject: op.Subject, Message: op.Message, ID: op.Key, Headers: op.Headers}.message("")
	if err != nil {
		return told{}, messages.Refuse(messages.Malformed, "message", "message is required")
	}
	receipt, err := s.f.Desk.Publish(ctx, m)
	if err != nil {
		return told{}, err
	}
	p := made(receipt)
	return told{Type: "published", Published: &p}, nil
}

// subscribe begins to follow, answers, and goes on in a goroutine of its own.
func (s *socketStream) subscribe(ctx context.Context, op operation) error {
	after, err := messages.ParsePosition(op.After)
	if err != nil {
		return err
	}
	s.mu.Lock()
	full := len(s.subscriptions) >= maxSubscriptions
	s.n++
	name := fmt.Sprint("s", s.n)
	s.mu.Unlock()
	if full {
		return messages.Refuse(messages.Conflict, "", "a connection has at most %d subscriptions", maxSubscriptions)
	}
	follower, err := s.f.Desk.Follow(ctx, messages.Following{Subject: op.Subject, Stream: op.Stream, From: op.From, After: after})
	if err != nil {
		return err
	}
	start := begunOf(op.Subject, follower.Start)
	following, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.subscriptions[name] = cancel
	s.mu.Unlock()
	if err := s.tell(ctx, told{Type: "subscribed", ID: op.ID, Subscription: name, Start: &start}); err != nil {
		cancel()
		follower.Close(ctx)
		return nil //nolint:nilerr // the connection has ended
	}
	s.work.Go(func() {
		defer cancel()
		defer follower.Close(ctx)
		s.follow(following, name, follower)
	})
	return nil
}

// follow passes messages on until the subscription or the connection ends.
func (s *socketStream) follow(ctx context.Context, name string, follower *messages.Follower) {
	for {
		d, err := follower.Next(ctx)
		if err == nil {
			data := shownDelivery(d)
			err = s.tell(ctx, told{Type: "message", Subscription: name, Data: &data})
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.mu.Lock()
			delete(s.subscriptions, name)
			s.mu.Unlock()
			_ = s.tell(ctx, told{Type: "end", Subscription: name, Reason: whyEnded(ctx, err)}) // else the connection has ended
			return
		}
	}
}

func (s *socketStream) unsubscribe(op operation) (told, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cancel, ok := s.subscriptions[op.Subscription]
	if !ok {
		return told{}, messages.Refuse(messages.Unknown, "subscription", "there is no subscription %q", op.Subscription[:min(len(op.Subscription), 64)])
	}
	delete(s.subscriptions, op.Subscription)
	cancel()
	return told{Type: "unsubscribed", Subscription: op.Subscription}, nil
}
