package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// LiveSocket is one WebSocket of the live streams, on which subscriptions come and go. One
// goroutine calls Next, which also takes the answers to the requests of others; a lost
// connection is not made again.
type LiveSocket struct {
	conn *websocket.Conn

	mu      sync.Mutex
	last    int64                       // id of the last request
	waiting map[int64]chan socketAnswer // by id of a request
	ended   chan struct{}               // closed when Next has failed
	failed  error                       // why, after ended
}

// socketAnswer is what a request is answered with.
type socketAnswer struct {
	Type         string   `json:"type"`
	ID           int64    `json:"id"`
	Subscription string   `json:"subscription"`
	Streams      int      `json:"streams"`
	WaitingFor   []string `json:"waiting"`
	Messages     int64    `json:"messages"`
	Code         string   `json:"code"`
	Field        string   `json:"field"`
	Message      string   `json:"message"`
}

// SocketError is a request on a WebSocket that was refused, and changed nothing.
type SocketError struct {
	Code    string // such as unknown_kind
	Field   string // that is to blame; "" for none
	Message string // for people
}

// Error implements error.
func (e *SocketError) Error() string {
	return strings.TrimPrefix(fmt.Sprintf("%s: %s (%s)", e.Field, e.Message, e.Code), ": ")
}

// Opened is a subscription of a WebSocket.
type Opened struct {
	ID      string   // that its messages carry
	Streams int      // that match now
	Waiting []string // symbols that an exchange lists and nobody collects yet
}

// answerWithin bounds the wait of a server for the closing of a connection.
const answerWithin = 5 * time.Second

// Dial opens a WebSocket to the live streams. Of several gateways the next one is tried
// when one does not answer.
func (c *Collector) Dial(ctx context.Context) (*LiveSocket, error) {
	var all error
	for range max(1, len(c.c.gateways)) {
		conn, again, err := c.c.dial(ctx, &request{service: CollectorService, path: "/ws/v1/stream"})
		if err == nil {
			return &LiveSocket{conn: conn, waiting: map[int64]chan socketAnswer{}, ended: make(chan struct{})}, nil
		}
		if all = errors.Join(all, err); !again {
			break
		}
	}
	return nil, all
}

// dial opens a WebSocket, a second time where the login has ended; again says that another
// gateway may answer.
func (c *Client) dial(ctx context.Context, r *request) (conn *websocket.Conn, again bool, err error) {
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.cfg.TLS}
	for first := true; ; first = false {
		base, through, which, err := c.base(r.service)
		if err != nil {
			return nil, false, err
		}
		at, err := r.at(base, through)
		if err != nil {
			return nil, false, err
		}
		header, credential := http.Header{}, ""
		if through {
			if credential, err = c.credential(ctx); err != nil {
				return nil, StatusOf(err) == 0 && ctx.Err() == nil, err // the next gateway is asked from now on
			}
		}
		if credential != "" {
			header.Set("Authorization", "Bearer "+credential)
		}
		conn, res, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(at, "http"), header)
		switch {
		case err == nil:
			return conn, false, nil
		case errors.Is(err, websocket.ErrBadHandshake) && res != nil:
			if res.StatusCode != http.StatusUnauthorized || !first || c.login == nil {
				return nil, false, readError(res)
			}
			c.login.forget(credential)
		default:
			if again = through && ctx.Err() == nil; again {
				c.passOver(which)
			}
			return nil, again, fmt.Errorf("connecting to %s: %w", at, err)
		}
	}
}

// Subscribe adds a subscription. It waits for the answer, which another goroutine's Next
// takes.
func (s *LiveSocket) Subscribe(ctx context.Context, l Live) (Opened, error) {
	a, err := s.ask(ctx, map[string]any{"op": "subscribe", "kinds": l.Kinds, "exchanges": orAll(l.Exchanges), "markets": orAll(l.Markets), "symbols": orAll(l.Symbols)})
	return Opened{a.Subscription, a.Streams, a.WaitingFor}, err
}

func orAll(words []string) []string {
	if len(words) == 0 {
		return []string{"*"}
	}
	return words
}

// Unsubscribe ends a subscription; messages is the number of its last message.
func (s *LiveSocket) Unsubscribe(ctx context.Context, id string) (messages int64, err error) {
	a, err := s.ask(ctx, map[string]any{"op": "unsubscribe", "subscription": id})
	return a.Messages, err
}

// Ping asks for a sign of life.
func (s *LiveSocket) Ping(ctx context.Context) error {
	_, err := s.ask(ctx, map[string]any{"op": "ping"})
	return err
}

func (s *LiveSocket) ask(ctx context.Context, what map[string]any) (socketAnswer, error) {
	answered := make(chan socketAnswer, 1)
	id, err := s.sendAs(what, answered)
	if err != nil {
		return socketAnswer{}, err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, id)
	}()
	select {
	case a := <-answered:
		if a.Type == "error" {
			return a, &SocketError{a.Code, a.Field, a.Message}
		}
		return a, nil
	case <-s.ended:
		return socketAnswer{}, s.failed
	case <-ctx.Done():
		return socketAnswer{}, context.Cause(ctx)
	}
}

// sendAs sends a request under an id of its own.
func (s *LiveSocket) sendAs(what map[string]any, answered chan socketAnswer) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	what["id"] = s.last
	s.waiting[s.last] = answered
	if err := s.conn.WriteJSON(what); err != nil {
		delete(s.waiting, s.last)
		return 0, fmt.Errorf("sending a request: %w", err)
	}
	return s.last, nil
}

// Next is the next record, or state of a book. Its error says why the connection has
// ended.
func (s *LiveSocket) Next() (LiveMessage, error) {
	for {
		_, text, err := s.conn.ReadMessage()
		if err != nil {
			return LiveMessage{}, s.end(fmt.Errorf("following live streams: %w", err))
		}
		var m LiveMessage
		if err := json.Unmarshal(text, &m); err != nil {
			return LiveMessage{}, s.end(fmt.Errorf("reading a message: %w", err))
		}
		if m.Type == LiveRecord || m.Type == LiveState {
			return m, nil
		}
		var a socketAnswer
		if err := json.Unmarshal(text, &a); err != nil {
			return LiveMessage{}, s.end(fmt.Errorf("reading an answer: %w", err))
		}
		s.mu.Lock()
		if answered, ok := s.waiting[a.ID]; ok {
			answered <- a // it has room for the one answer
			delete(s.waiting, a.ID)
		}
		s.mu.Unlock()
	}
}

func (s *LiveSocket) end(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
		close(s.ended)
	}
	return err
}

// Close ends the connection, and Next.
func (s *LiveSocket) Close() error {
	farewell := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	err := s.conn.WriteControl(websocket.CloseMessage, farewell, time.Now().Add(answerWithin))
	if errors.Is(err, websocket.ErrCloseSent) {
		err = nil
	}
	return errors.Join(err, s.conn.Close())
}
