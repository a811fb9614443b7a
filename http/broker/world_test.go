package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/broker"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
)

// world is the whole service over a real server.
type world struct {
	t       testing.TB
	handle  *branch.Handle
	system  *supervise.System
	desk    *messages.Desk
	letters *deadletters.Box
	tasks   *tasks.Queues
	server  *chassis.Server
}

// newWorld starts one; change may change its configuration.
func newWorld(t testing.TB, change func(c *branch.Config, tc *tasks.Config)) *world {
	t.Helper()
	c, tc := branch.DefaultConfig(), tasks.DefaultConfig()
	c.Port, c.StoreDir = 0, t.TempDir()
	tc.FirstPause, tc.LastPause = 10*time.Millisecond, 20*time.Millisecond
	if change != nil {
		change(&c, &tc)
	}
	w := &world{t: t}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reg := prometheus.NewRegistry()
	var err error
	w.handle, err = branch.New(c, branch.Options{Registerer: reg})
	must(err)
	w.system, err = supervise.NewSystem(t.Context(), supervise.Options{Logger: zaptest.NewLogger(t)})
	must(err)
	ready := make(chan struct{})
	undertaker, err := deadletters.Spec(deadletters.Options{Broker: w.handle, Registerer: reg, Died: func(ctx context.Context, l deadletters.Letter) error {
		<-ready
		return w.tasks.Died(ctx, l)
	}})
	must(err)
	must(w.system.Start(ctx, w.handle.Spec(undertaker)))
	t.Cleanup(func() {
		if err := w.system.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.letters, err = deadletters.OpenBox(ctx, w.handle)
	must(err)
	t.Cleanup(w.letters.Close)
	w.desk, err = messages.Open(ctx, messages.Options{Broker: w.handle, Bury: w.letters.Bury, Registerer: reg})
	must(err)
	t.Cleanup(w.desk.Close)
	w.tasks, err = tasks.Open(ctx, tasks.Options{Config: tc, Broker: w.handle, Seal: w.desk.Seal(), Letters: w.letters, Registerer: reg})
	must(err)
	t.Cleanup(w.tasks.Close)
	close(ready)
	w.server = chassistest.Serve(t, broker.Service, func(s *chassis.Server) error {
		return broker.Register(s, broker.Options{Branch: w.handle, Desk: w.desk, Tasks: w.tasks, Letters: w.letters, MaxMessage: c.MaxPayload})
	})
	return w
}

// call sends a request and returns the answer's status and JSON.
func (w *world) call(method, path, body string, header ...string) (int, map[string]any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL()+"/api/v1/broker/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		out["raw"] = string(text)
	}
	return resp.StatusCode, out
}

// ask is call with the status that has to come.
func (w *world) ask(want int, method, path, body string, header ...string) map[string]any {
	w.t.Helper()
	code, out := w.call(method, path, body, header...)
	if code != want {
		w.t.Fatalf("%s %s %.200s: %d, want %d: %v", method, path, body, code, want, out)
	}
	return out
}

func text(v any) string { return fmt.Sprint(v) }

// at is a value inside of an answer, by names and indices.
func at(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}
