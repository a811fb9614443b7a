package monitoring_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/supervise"
)

// patience is for a machine that is busy with other tests.
const patience = 30 * time.Second

// watched is one service that answers as it is told.
type watched struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
}

func (w *watched) says(code int, body string) {
	h := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(code)
		fmt.Fprint(rw, body)
	})
	w.answer.Store(&h)
}

func serve(t *testing.T, code int, body string) *watched {
	w := &watched{}
	w.says(code, body)
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		(*w.answer.Load())(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

// watching starts a branch over services at these addresses. Its own rounds are an hour
// apart: the tests ask for theirs.
func watching(t *testing.T, services []string, at func(service string) ([]string, error), change func(*monitoring.Options)) *monitoring.Handle {
	t.Helper()
	o := monitoring.Options{
		Config: monitoring.DefaultConfig(), Self: "watch", Services: services, DataDir: t.TempDir(), Registerer: prometheus.NewRegistry(),
		Instances: func(_ context.Context, service string) ([]string, error) { return at(service) },
	}
	o.Config.Health.Interval, o.Config.Health.Timeout = time.Hour, patience
	if change != nil {
		change(&o)
	}
	h, err := monitoring.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Start(ctx, h.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(ctx); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return h
}

func check(t *testing.T, h *monitoring.Handle) map[string]monitoring.Standing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all, err := h.CheckAll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]monitoring.Standing{}
	for _, s := range all {
		out[s.Service] = s
	}
	return out
}

// TestVerdicts: every sort of answer, and what is made of it.
func TestVerdicts(t *testing.T) {
	tests := map[string]struct {
		code           int
		body           string
		status         monitoring.Status
		degraded       bool
		cause          string
		fault, warning bool
	}{
		"well":            {200, `{"service":"svc","status":"healthy","checks":{"a":{"status":"pass"}}}`, monitoring.Healthy, false, "", false, false},
		"warns":           {200, `{"service":"svc","status":"degraded","checks":{"disk":{"status":"warn","error":"nearly full"}}}`, monitoring.Healthy, true, "disk: nearly full", false, true},
		"ill":             {503, `{"service":"svc","status":"unhealthy","checks":{"b":{"status":"fail","error":"no"},"a":{"status":"fail","error":"gone"}}}`, monitoring.Unhealthy, false, "a: gone; b: no", true, false},
		"ill without why": {503, `{"service":"svc","status":"unhealthy"}`, monitoring.Unhealthy, false, "answered 503", true, false},
		"status alone":    {200, `{"service":"svc","status":"healthy"}`, monitoring.Healthy, false, "", false, false},
		"no report":       {500, `oops`, monitoring.Unhealthy, false, "without a health report", true, false},
		"another service": {200, `{"service":"other","status":"healthy"}`, monitoring.Unhealthy, false, `another service answers there: "other"`, true, false},
		"well, but 503":   {503, `{"service":"svc","status":"healthy"}`, monitoring.Unhealthy, false, "answered 503", true, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := serve(t, tc.code, tc.body)
			h := watching(t, []string{"svc"}, func(string) ([]string, error) { return []string{w.URL}, nil }, nil)
			got := check(t, h)["svc"]
			if got.Status != tc.status || got.Degraded != tc.degraded || !strings.Contains(got.Cause, tc.cause) || (got.Cause == "") != (tc.cause == "") {
				t.Errorf("got %s, degraded %v, %q; want %s, %v, %q", got.Status, got.Degraded, got.Cause, tc.status, tc.degraded, tc.cause)
			}
			fault, warning := got.Verdict()
			if (fault != nil) != tc.fault || (warning != nil) != tc.warning {
				t.Errorf("verdict %v, %v", fault, warning)
			}
			if got.Took <= 0 || !got.Seen {
				t.Errorf("took %v, seen %v", got.Took, got.Seen)
			}
		})
	}
}

// TestSelf: what the watching service says of the others is no fault of its own, or one
// that is ill would make two.
func TestSelf(t *testing.T) {
	w := serve(t, 503, `{"service":"watch","status":"unhealthy","checks":{"svc":{"status":"fail","error":"gone"},"own":{"status":"pass"}}}`)
	h := watching(t, []string{"svc", "watch"}, func(string) ([]string, error) { return []string{w.URL}, nil }, nil)
	if got := check(t, h)["watch"]; got.Status != monitoring.Healthy || got.Degraded {
		t.Errorf("blamed for another: %s %q", got.Status, got.Cause)
	}
	w.says(503, `{"service":"watch","status":"unhealthy","checks":{"own":{"status":"fail","error":"broken"}}}`)
	if got := check(t, h)["watch"]; got.Status != monitoring.Unhealthy || got.Cause != "own: broken" {
		t.Errorf("its own fault: %s %q", got.Status, got.Cause)
	}
}

// TestInstances: a service is as well as its best instance, and degraded by its worst.
func TestInstances(t *testing.T) {
	good := serve(t, 200, `{"service":"svc","status":"healthy"}`)
	bad := serve(t, 503, `{"service":"svc","status":"unhealthy","checks":{"a":{"status":"fail","error":"gone"}}}`)
	dead := serve(t, 200, "")
	dead.Close()
	for name, tc := range map[string]struct {
		urls     []string
		status   monitoring.Status
		degraded bool
		cause    string
	}{
		"all well":     {[]string{good.URL, good.URL}, monitoring.Healthy, false, ""},
		"one of two":   {[]string{good.URL, bad.URL}, monitoring.Healthy, true, bad.URL + ": a: gone"},
		"one is dead":  {[]string{dead.URL, good.URL}, monitoring.Healthy, true, dead.URL + ": no answer"},
		"ill and dead": {[]string{dead.URL, bad.URL}, monitoring.Unhealthy, false, "no answer"},
		"dead":         {[]string{dead.URL}, monitoring.Unreachable, false, "no answer"},
		"nowhere":      {nil, monitoring.Unreachable, false, "runs nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			h := watching(t, []string{"svc"}, func(string) ([]string, error) { return tc.urls, nil }, nil)
			got := check(t, h)["svc"]
			if got.Status != tc.status || got.Degraded != tc.degraded || !strings.Contains(got.Cause, tc.cause) || len(got.Instances) != len(tc.urls) {
				t.Errorf("got %s, degraded %v, %q of %d", got.Status, got.Degraded, got.Cause, len(got.Instances))
			}
		})
	}
}

// TestLife: a service that goes and comes back, its statistics, changes and metrics.
func TestLife(t *testing.T) {
	w := serve(t, 200, `{"service":"svc","status":"healthy"}`)
	var found atomic.Pointer[[]string]
	none := []string{}
	found.Store(&none)
	var lost atomic.Bool
	reg := prometheus.NewRegistry()
	h := watching(t, []string{"svc"}, func(string) ([]string, error) {
		if lost.Load() {
			return nil, errors.New("the registry is away")
		}
		return *found.Load(), nil
	}, func(o *monitoring.Options) { o.Registerer, o.Config.Health.Checks, o.Config.Health.Changes = reg, 4, 3 })
	actorstest.Eventually(t, "the first round", func() bool { return h.Rounds() == 1 })

	never := check(t, h)["svc"]
	if fault, warning := never.Verdict(); fault != nil || warning == nil {
		t.Errorf("never reached: %v, %v", fault, warning)
	}
	urls := []string{w.URL}
	found.Store(&urls)
	if s := check(t, h)["svc"]; s.Status != monitoring.Healthy {
		t.Errorf("came: %s %s", s.Status, s.Cause)
	}
	w.says(503, `{"service":"svc","status":"unhealthy"}`)
	check(t, h)
	lost.Store(true)
	gone := check(t, h)["svc"]
	if fault, _ := gone.Verdict(); fault == nil || !strings.Contains(fault.Error(), "the registry is away") {
		t.Errorf("reached before, and not any more: %v", fault)
	}
	s := gone.Statistic
	if s.Total != 5 || s.Healthy != 1 || s.Unhealthy != 1 || s.Unreachable != 3 || s.Uptime() != 20 || s.Mean <= 0 || s.Last.IsZero() {
		t.Errorf("statistic %+v", s)
	}
	_, points, err := h.Standing("svc")
	if err != nil || len(points) != 4 || points[3].Status != monitoring.Unreachable || points[1].Status != monitoring.Healthy {
		t.Errorf("the last four checks: %+v, %v", points, err)
	}
	changes := h.Changes("", 10)
	if len(changes) != 3 || changes[0].Seq != 4 || changes[0].To != monitoring.Unreachable || changes[2].From != monitoring.Unreachable {
		t.Errorf("the last three changes: %+v", changes)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP service_status 1 when the service was healthy at the last check, degraded included; 0 when it was unhealthy or unreachable.
# TYPE service_status gauge
service_status{service_name="svc"} 0
`), "service_status"); err != nil {
		t.Error(err)
	}
	if _, _, err := h.Standing("nobody"); !errors.Is(err, monitoring.ErrNoService) {
		t.Errorf("error %v", err)
	}
}

// TestTimeout: a service that hangs is unreachable, in time, and holds up no other.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hung.Close)
	t.Cleanup(func() { close(release) })
	good := serve(t, 200, `{"service":"good","status":"healthy"}`)
	h := watching(t, []string{"hung", "good"}, func(s string) ([]string, error) {
		return []string{map[string]string{"hung": hung.URL, "good": good.URL}[s]}, nil
	}, func(o *monitoring.Options) { o.Config.Health.Timeout = 50 * time.Millisecond })
	all := check(t, h)
	if s := all["hung"]; s.Status != monitoring.Unreachable || s.Cause != "no answer within 50ms" {
		t.Errorf("hung: %s %q", s.Status, s.Cause)
	}
	if s := all["good"]; s.Status != monitoring.Healthy {
		t.Errorf("good: %s %q", s.Status, s.Cause)
	}
}

// TestBegin: nothing is asked before the program's own services answer.
func TestBegin(t *testing.T) {
	begin := make(chan struct{})
	w := serve(t, 200, `{"service":"svc","status":"healthy"}`)
	h := watching(t, []string{"svc"}, func(string) ([]string, error) { return []string{w.URL}, nil }, func(o *monitoring.Options) { o.Begin = begin })
	if s := h.Standings()[0]; s.Status != monitoring.Unknown {
		t.Errorf("asked before it began: %s", s.Status)
	}
	close(begin)
	actorstest.Eventually(t, "the first round", func() bool { return h.Standings()[0].Status == monitoring.Healthy })
}

func TestReports(t *testing.T) {
	w := serve(t, 200, `{"service":"svc","status":"healthy"}`)
	h := watching(t, []string{"svc"}, func(string) ([]string, error) { return []string{w.URL}, nil }, func(o *monitoring.Options) { o.Config.Reports.Kept = 2 })
	check(t, h)
	node := func(id string, failures uint64) supervise.Node {
		return supervise.Node{ID: id, State: supervise.Running, Failures: failures, Restarts: failures}
	}
	tree := supervise.Snapshot{Actors: []supervise.Node{node("root", 0), node("root/a", 1), node("root/b", 3)}, DeadLetters: 7}
	first := h.MakeReport(tree, nil)
	second := h.MakeReport(tree, []monitoring.Alert{{Name: "Ill"}})
	third := h.MakeReport(tree, nil)
	if a := second.Actors; a.Total != 3 || a.Running != 3 || a.Failures != 4 || a.DeadLetters != 7 || len(a.Troubled) != 2 || a.Troubled[0].ID != "root/b" {
		t.Errorf("actors %+v", a)
	}
	if !second.HostKnown || len(second.Services) != 1 || len(second.Alerts) != 1 {
		t.Errorf("report %+v", second)
	}
	kept := h.Reports(10)
	if len(kept) != 2 || kept[0] != third || kept[1] != second {
		t.Errorf("kept %d", len(kept))
	}
	if _, err := h.Report(first.ID); !errors.Is(err, monitoring.ErrNoReport) {
		t.Errorf("the first: %v", err)
	}
	if r, err := h.Report("latest"); err != nil || r != third {
		t.Errorf("the latest: %v %v", r, err)
	}
}

func TestConfig(t *testing.T) {
	if err := monitoring.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := monitoring.DefaultConfig()
	bad.Health.Interval, bad.Health.Timeout, bad.Health.Checks, bad.Reports.Kept, bad.System.Interval = 0, 0, 0, 0, 0
	err := bad.Validate()
	for _, key := range []string{"health.interval: ", "health.timeout: ", "health.checks: ", "reports.kept: ", "system.interval: "} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%q is not named in %v", key, err)
		}
	}
}
