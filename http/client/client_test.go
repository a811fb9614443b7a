package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// served is a server of one handler, and a client that asks it as a gateway.
func served(t *testing.T, cfg Config, handler http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	cfg.Gateways = append(cfg.Gateways, s.URL)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNew(t *testing.T) {
	for name, cfg := range map[string]Config{
		"nobody to ask":      {},
		"no scheme":          {Gateways: []string{"gateway:8083"}},
		"another scheme":     {Gateways: []string{"ftp://gateway"}},
		"a path":             {Gateways: []string{"http://gateway/api"}},
		"a password in it":   {Services: map[string]string{StorageService: "http://u:p@storage"}},
		"two credentials":    {Gateways: []string{"http://gateway"}, Key: "k", Username: "u"},
		"what is no address": {Gateways: []string{"http://[::1"}},
	} {
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "p@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRepeats: what only reads, or is taken once, is sent again after what the service
// says; everything else is sent once.
func TestRepeats(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		after  string
		call   func(context.Context, *Client) error
		want   int64
	}{
		{"a read", 503, "0", func(ctx context.Context, c *Client) error { return just(c.Storage.Stats(ctx)) }, 3},
		{"a read of nothing", 404, "", func(ctx context.Context, c *Client) error { return just(c.Storage.Stats(ctx)) }, 1},
		{"a read that is to wait too long", 503, "3600", func(ctx context.Context, c *Client) error { return just(c.Storage.Stats(ctx)) }, 1},
		{"a write of rows", 503, "0", func(ctx context.Context, c *Client) error { return just(c.Storage.StoreTrades(ctx, NewTrade{})) }, 3},
		{"an order", 503, "0", func(ctx context.Context, c *Client) error { return just(c.Scheduler.RunNow(ctx, "a")) }, 1},
		{"an order that was too much", 429, "0", func(ctx context.Context, c *Client) error { return just(c.Scheduler.RunNow(ctx, "a")) }, 3},
		{"a message", 503, "0", func(ctx context.Context, c *Client) error { return just(c.Broker.Publish(ctx, Message{})) }, 1},
		{"a message with an id", 503, "0", func(ctx context.Context, c *Client) error {
			return just(c.Broker.Publish(ctx, Message{ID: "a"}))
		}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var came atomic.Int64
			c := served(t, Config{Attempts: 3, MaxPause: time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
				came.Add(1)
				w.Header().Set("Retry-After", tc.after)
				w.Header().Set("X-Request-Id", "r1")
				w.WriteHeader(tc.status)
				fmt.Fprint(w, `{"code":"away","detail":"not now","errors":[{"in":"query","pointer":"/limit","message":"is too large"}]}`)
			})
			err := tc.call(t.Context(), c)
			var said *Error
			if !errors.As(err, &said) || said.Status != tc.status || said.Code != "away" || said.RequestID != "r1" || StatusOf(err) != tc.status || CodeOf(err) != "away" ||
				!strings.Contains(err.Error(), "not now; limit is too large") {
				t.Errorf("%v", err)
			}
			if n := came.Load(); n != tc.want {
				t.Errorf("it was sent %d times, want %d", n, tc.want)
			}
		})
	}
}

// TestHeals: a request whose first attempts fail is answered in the end.
func TestHeals(t *testing.T) {
	var came atomic.Int64
	c := served(t, Config{MaxPause: time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		switch came.Add(1) {
		case 1:
			panic(http.ErrAbortHandler) // the connection ends
		case 2:
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"data":`) // cut off
		default:
			fmt.Fprint(w, `{"data":{"superseded_rows":7}}`)
		}
	})
	if stats, err := c.Storage.Stats(t.Context()); err != nil || stats.SupersededRows != 7 || came.Load() != 3 {
		t.Errorf("%+v, %v after %d", stats, err, came.Load())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := c.Storage.Stats(ctx); err == nil {
		t.Error("it does not end with its context")
	}
}

// TestNextGateway: where one gateway does not answer, the next one is asked, and goes on
// being asked.
func TestNextGateway(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	var came atomic.Int64
	c := served(t, Config{Gateways: []string{gone.URL}, MaxPause: time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		fmt.Fprint(w, `{"subject":"x"}`)
	})
	for range 3 {
		if me, err := c.Gateway.Me(t.Context()); err != nil || me.Subject != "x" {
			t.Fatalf("%+v, %v", me, err)
		}
	}
	if c.gateway.Load() != 1 || came.Load() != 3 {
		t.Errorf("%d were asked of the one that answers, after %d changes", came.Load(), c.gateway.Load())
	}
}

// TestDirect: a service that is named is asked directly, and shown nothing.
func TestDirect(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/storage/stats" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, `{"data":{}}`)
	}))
	defer s.Close()
	c := served(t, Config{Key: "secret", Services: map[string]string{StorageService: s.URL + "/"}}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/scheduler-service/scheduler/status" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, `{"data":{}}`)
	})
	_, first := c.Storage.Stats(t.Context())
	_, second := c.Scheduler.Status(t.Context())
	if err := errors.Join(first, second); err != nil {
		t.Error(err)
	}
	if err := c.Ready(t.Context(), SchedulerService); err == nil || !strings.Contains(err.Error(), "through a gateway") {
		t.Errorf("a path that no gateway has: %v", err)
	}
}

// lock is a gateway that gives logins, of which each access token is good for so many
// requests.
type lock struct {
	mu                      sync.Mutex
	logins, refreshes, uses int
	good                    int
	lives                   float64 // of an access token
}

func (l *lock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	give := func() {
		l.uses = 0
		token := fmt.Sprint("t", l.logins+l.refreshes)
		_ = json.NewEncoder(w).Encode(Login{AccessToken: token, ExpiresIn: l.lives, RefreshToken: "r" + token, RefreshExpiresIn: 3600})
	}
	text, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case authPath + "/login":
		if !strings.Contains(string(text), `"password":"right"`) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		l.logins++
		give()
	case authPath + "/refresh":
		if !strings.Contains(string(text), fmt.Sprint("rt", l.logins+l.refreshes)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		l.refreshes++
		give()
	default:
		if l.uses++; r.Header.Get("Authorization") != fmt.Sprint("Bearer t", l.logins+l.refreshes) || l.uses > l.good {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"subject":"alice"}`)
	}
}

// TestLogin: a client logs in once however many ask at once, and renews its login when its
// time is over, or its token is refused.
func TestLogin(t *testing.T) {
	l := &lock{good: 1 << 30, lives: 3600}
	c := served(t, Config{Username: "alice", Password: "right"}, l.ServeHTTP)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if me, err := c.Gateway.Me(t.Context()); err != nil || me.Subject != "alice" {
				t.Errorf("%+v, %v", me, err)
			}
		})
	}
	all.Wait()
	if l.logins != 1 || l.refreshes != 0 {
		t.Errorf("%d logins, %d renewals", l.logins, l.refreshes)
	}
	l.mu.Lock()
	l.good = 0 // the token has been revoked
	l.mu.Unlock()
	if _, err := c.Gateway.Me(t.Context()); StatusOf(err) != http.StatusUnauthorized {
		t.Errorf("%v", err)
	}
	l.mu.Lock()
	l.good, l.uses = 1, 1 // this one; the next one is good
	l.mu.Unlock()
	if _, err := c.Gateway.Me(t.Context()); err != nil || l.logins != 1 || l.refreshes != 2 {
		t.Errorf("%v after %d logins, %d renewals", err, l.logins, l.refreshes)
	}
	l.mu.Lock()
	l.lives = 1e-9
	l.good = 1 << 30
	l.mu.Unlock()
	c.login.forget("t3")
	for range 2 { // each needs a new one
		if _, err := c.Gateway.Me(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if l.refreshes != 4 {
		t.Errorf("%d renewals", l.refreshes)
	}

	c = served(t, Config{Username: "alice", Password: "wrong", Attempts: 1}, l.ServeHTTP)
	if _, err := c.Gateway.Me(t.Context()); StatusOf(err) != http.StatusUnauthorized {
		t.Errorf("with a wrong password: %v", err)
	}
}

// TestPages: a list is gone through to its end, and no further than wanted.
func TestPages(t *testing.T) {
	var came atomic.Int64
	c := served(t, Config{Attempts: 1}, func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		switch r.URL.Query().Get("cursor") {
		case "":
			fmt.Fprint(w, `{"data":[{"task_id":"1"},{"task_id":"2"}],"next_cursor":"c"}`)
		case "c":
			fmt.Fprint(w, `{"data":[{"task_id":"3"}]}`)
		}
	})
	var ids []string
	for task, err := range c.Scheduler.Tasks(t.Context(), TaskFilter{Status: "paused"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, task.TaskID)
	}
	if got := strings.Join(ids, ""); got != "123" {
		t.Error(got)
	}
	came.Store(0)
	for range c.Scheduler.Tasks(t.Context(), TaskFilter{}) {
		break
	}
	if came.Load() != 1 {
		t.Errorf("%d pages for one task", came.Load())
	}
	all, err := Collect(served(t, Config{Attempts: 1}, http.NotFound).Scheduler.Tasks(t.Context(), TaskFilter{}))
	if StatusOf(err) != 404 || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestDecimal(t *testing.T) {
	var row struct {
		A, B, C, D Decimal
		Levels     []Level
	}
	text := `{"A":0.10000000000000000001,"B":"1e-9","C":null,"Levels":[["1","2.50"],{"price":3,"amount":"4"}]}`
	if err := json.Unmarshal([]byte(text), &row); err != nil {
		t.Fatal(err)
	}
	if row.A != "0.10000000000000000001" || row.B.Float64() != 1e-9 || row.C != "" || row.D.Float64() != 0 ||
		!slices.Equal(row.Levels, []Level{{"1", "2.50"}, {"3", "4"}}) {
		t.Errorf("%+v", row)
	}
	if r, ok := row.A.Rat(); !ok || r.FloatString(20) != "0.10000000000000000001" {
		t.Errorf("%v %v", r, ok)
	}
	if out, err := json.Marshal(row.Levels); err != nil || string(out) != `[["1","2.50"],["3","4"]]` {
		t.Errorf("%s, %v", out, err)
	}
	for _, wrong := range []string{`{"A":"x"}`, `{"A":[]}`, `{"Levels":[5]}`, `{"Levels":[["a","b"]]}`} {
		if err := json.Unmarshal([]byte(wrong), &row); err == nil {
			t.Errorf("%s is read", wrong)
		}
	}
}

func TestPromQL(t *testing.T) {
	c := served(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("query") == "1" {
			fmt.Fprint(w, `{"data":{"resultType":"scalar","result":[1700000000.5,"1"]}}`)
			return
		}
		fmt.Fprint(w, `{"data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1700000000,"NaN"]}]}}`)
	})
	one, err := c.Monitoring.PromQL(t.Context(), "1", time.Time{})
	if err != nil || len(one) != 1 || one[0].Value != "1" || one[0].Time.UnixMilli() != 1700000000500 {
		t.Errorf("%+v, %v", one, err)
	}
	up, err := c.Monitoring.PromQL(t.Context(), "up", time.Unix(1700000000, 0))
	if err != nil || len(up) != 1 || up[0].Value != "NaN" || up[0].Labels["job"] != "a" {
		t.Errorf("%+v, %v", up, err)
	}
}
