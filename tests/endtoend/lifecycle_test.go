package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// within is how long a stop under load may take: far below the program's own limit.
const within = 30 * time.Second

// TestStopUnderLoad: SIGTERM while clients write ends with 0, in time; whatever was
// answered with 200 is there afterwards, once, and the rest got an answer.
func TestStopUnderLoad(t *testing.T) {
	data := t.TempDir()
	n := harness.Start(t, data, nil)
	url := n.URL(harness.Storage, "/api/v1/storage/hot/trades")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	stored := map[string]bool{}
	unexpected := map[string]int{}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("stop-%d-%d", w, i)
				body := fmt.Sprintf(`{"timestamp":%d,"symbol":"STOP-USDT","exchange":"lab","price":"1.5","amount":"2","side":"buy","trade_id":%q}`, time.Now().UnixNano(), id)
				a, err := harness.Post(ctx, url, "application/json", []byte(body))
				mu.Lock()
				switch {
				case err != nil: // refused, or cut off: not acknowledged
				case a.Status == http.StatusOK:
					stored[id] = true
				case a.Status != http.StatusServiceUnavailable:
					unexpected[fmt.Sprintf("%d %s", a.Status, a.Body)]++
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	harness.Await(t, 30*time.Second, "load", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(stored) >= 200
	})
	begin := time.Now()
	n.Terminate()
	if code := n.Exit(); code != 0 {
		t.Fatalf("SIGTERM under load: exit code %d, want 0", code)
	}
	if took := time.Since(begin); took > within {
		t.Errorf("the stop took %v, want at most %v", took, within)
	}
	cancel()
	writers.Wait()
	for what, times := range unexpected {
		t.Errorf("%d times while stopping: %s", times, what)
	}
	if why := n.Crashed(); why != "" {
		t.Error(why)
	}

	again := harness.Start(t, data, nil)
	seen := map[string]int{}
	for _, r := range again.MustQuery("trade", "lab", "STOP-USDT") {
		seen[r.Name()]++
	}
	for id := range stored {
		if seen[id] != 1 {
			t.Errorf("%s was acknowledged and is read back %d times", id, seen[id])
		}
	}
	again.Stop()
}

// TestOneProcessADirectory: a second process on a data directory is refused with a
// message that says what to do, and harms nothing.
func TestOneProcessADirectory(t *testing.T) {
	data := t.TempDir()
	n := harness.Start(t, data, nil)
	begin := time.Now()
	second := harness.Run(t, time.Minute, "start", "-c", n.Config())
	if second.Code == 0 {
		t.Fatal("a second process runs on the same directory")
	}
	for _, word := range []string{"already runs", fmt.Sprint(n.PID()), "marketprism stop"} {
		if !strings.Contains(second.Errors, word) {
			t.Errorf("the refusal does not say %q:\n%s", word, second.Errors)
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the refusal took %v", took)
	}
	if h := n.Health(harness.Storage); h.Status != "healthy" {
		t.Errorf("the first process is %s: %s", h.Status, h.Complaint())
	}
	n.Stop()
}

// TestTwoStartsAtOnce: of two processes that are started on one data directory at
// the same moment, one runs and the other says why it does not.
func TestTwoStartsAtOnce(t *testing.T) {
	for _, services := range [][]string{nil, {harness.Broker}} {
		data := t.TempDir()
		a, b := harness.Launch(t, data, nil, nil, services...), harness.Launch(t, data, nil, nil, services...)
		harness.Await(t, 30*time.Second, "one of them to give up", func() bool { return a.Ended() || b.Ended() })
		if a.Ended() {
			a, b = b, a
		}
		if code := b.Exit(); code == 0 || !strings.Contains(b.Log(), "another process") && !strings.Contains(b.Log(), "already runs") {
			t.Errorf("%q: the second ended with %d and said:\n%s", services, code, b.Log())
		}
		a.AwaitReady()
		a.Stop()
	}
}

// TestStatusAndStop drives the two commands of an operator.
func TestStatusAndStop(t *testing.T) {
	data := t.TempDir()
	n := harness.Start(t, data, nil)
	type row struct {
		Service string `json:"service"`
		URL     string `json:"url"`
		Status  string `json:"status"`
		PID     int    `json:"pid"`
	}
	status := func(want int) []row {
		t.Helper()
		o := harness.Run(t, time.Minute, "status", "-c", n.Config(), "-o", "json")
		if o.Code != want {
			t.Errorf("status: exit code %d, want %d\n%s%s", o.Code, want, o.Out, o.Errors)
		}
		var rows []row
		if err := json.Unmarshal([]byte(o.Out), &rows); err != nil {
			t.Fatalf("status: %v in %s", err, o.Out)
		}
		return rows
	}
	rows := status(0)
	if len(rows) != len(harness.Services) {
		t.Errorf("status shows %d services, want %d", len(rows), len(harness.Services))
	}
	for _, r := range rows {
		if r.PID != n.PID() || r.URL != n.URLs[r.Service] || r.Status != "healthy" && r.Status != "degraded" {
			t.Errorf("status says %+v; process %d answers at %s", r, n.PID(), n.URLs[r.Service])
		}
	}
	part := harness.Run(t, time.Minute, "stop", "-c", n.Config(), harness.Storage)
	if part.Code == 0 || n.Ended() {
		t.Errorf("stopping one service of a process that runs six: exit code %d, ended %v", part.Code, n.Ended())
	}
	harness.Must(t, time.Minute, "stop", "-c", n.Config())
	if code := n.Exit(); code != 0 {
		t.Errorf("after stop the process ended with %d", code)
	}
	for _, r := range status(1) {
		if r.Status != "unreachable" || r.PID != 0 {
			t.Errorf("after stop, status says %+v", r)
		}
	}
	if o := harness.Must(t, time.Minute, "stop", "-c", n.Config()); !strings.Contains(o.Out, "nothing runs") {
		t.Errorf("stop of nothing says %q", o.Out)
	}
}

// TestPortTaken: a port that is in use is a clear error, and nothing stays behind.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	data, config := t.TempDir(), filepath.Join(t.TempDir(), "services.yaml")
	harness.WriteConfig(t, config, data, harness.Settings{harness.Storage + ".port": json.Number(port)})
	o := harness.Run(t, time.Minute, "start", "-c", config)
	if o.Code == 0 {
		t.Fatal("it started on a port that is taken")
	}
	last := o.Errors[strings.LastIndex(strings.TrimSpace(o.Errors), "\n")+1:]
	if !strings.Contains(last, port) || !strings.Contains(last, harness.Storage) || !strings.Contains(last, "in use") {
		t.Errorf("the error names neither port, service nor cause: %s", last)
	}
	if found, err := filepath.Glob(filepath.Join(data, "run", "*.pid")); err != nil || len(found) > 0 {
		t.Errorf("pid files of a process that never ran: %q %v", found, err)
	}
	// The directory is free again.
	n := harness.Start(t, data, nil)
	n.Stop()
}
