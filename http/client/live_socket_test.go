package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// TestDial: a WebSocket is opened at the gateway that answers, with a new login where the
// one before has ended; a refusal is told as it was said.
func TestDial(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	var mu sync.Mutex
	logins := 0
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch r.URL.Path {
		case authPath + "/login":
			logins++
			_ = json.NewEncoder(w).Encode(Login{AccessToken: fmt.Sprint("t", logins), ExpiresIn: 3600}) // the client may leave
		case "/ws/" + CollectorService + "/v1/stream":
			if logins < 2 || r.Header.Get("Authorization") != "Bearer t2" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if socket, err := (&websocket.Upgrader{}).Upgrade(w, r, nil); err == nil {
				_ = socket.Close() // it is open, and that is all
			}
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer gateway.Close()
	c, err := New(Config{Gateways: []string{gone.URL, gateway.URL}, Username: "alice", Password: "right", Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Collector.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err == nil {
		t.Error("a connection that has ended gives something")
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a connection that has ended answers")
	}
	_ = s.Close() // it is closed already
	mu.Lock()
	logins = -10 // none is good any more
	mu.Unlock()
	if _, err := c.Collector.Dial(t.Context()); StatusOf(err) != http.StatusUnauthorized {
		t.Errorf("it is let in: %v", err)
	}

	nobody, err := New(Config{Gateways: []string{gone.URL, gone.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.Collector.Dial(t.Context()); err == nil || StatusOf(err) != 0 {
		t.Errorf("where nobody answers: %v", err)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := c.Collector.Dial(ctx); err == nil {
		t.Error("it is opened for nobody")
	}
}
