package scrape_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/scrape"
	"github.com/marketprism/marketprism/actors/monitoring/series"
	"github.com/marketprism/marketprism/actors/supervise"
)

// target is a server of metrics whose page can be changed.
type target struct {
	*httptest.Server
	mu     sync.Mutex
	page   http.HandlerFunc
	lively atomic.Int64 // /livez
}

func newTarget(t *testing.T, text string) *target {
	t.Helper()
	s := &target{}
	s.show(text)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" {
			s.lively.Add(1)
			return
		}
		s.mu.Lock()
		page := s.page
		s.mu.Unlock()
		page(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *target) answer(page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page = page
}

func (s *target) show(text string) {
	s.answer(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
}

func (s *target) host() string { return strings.TrimPrefix(s.URL, "http://") }

// world is a store, its engine, and the branch that scrapes into it.
type world struct {
	t       *testing.T
	engine  *promql.Engine
	handle  *scrape.Handle
	system  *supervise.System
	mu      sync.Mutex
	targets []scrape.Target
}

func scraping(t *testing.T, edit func(*scrape.Config), targets ...scrape.Target) *world {
	t.Helper()
	store, err := series.New(series.DefaultConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, targets: targets}
	if w.engine, err = promql.New(promql.DefaultConfig(), store, time.Second, nil); err != nil {
		t.Fatal(err)
	}
	c := scrape.DefaultConfig()
	c.Interval, c.Timeout = 100*time.Millisecond, 100*time.Millisecond
	if edit != nil {
		edit(&c)
	}
	w.handle, err = scrape.New(scrape.Options{Config: c, Store: store, Targets: scrape.TargetsFunc(func(context.Context) ([]scrape.Target, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Clone(w.targets), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	if w.system, err = supervise.NewSystem(t.Context(), supervise.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := w.system.Start(t.Context(), w.handle.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.system.Stop(ctx); err != nil {
			t.Error(err)
		}
		w.handle.Close()
	})
	return w
}

// ask evaluates an expression now, as "labels=value …".
func (w *world) ask(expr string) string {
	w.t.Helper()
	got, err := w.engine.Vector(w.t.Context(), expr, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, s := range got {
		out = append(out, fmt.Sprintf("%s=%v", s.Labels, s.V))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// until waits for an expression to give something.
func (w *world) until(expr, want string) {
	w.t.Helper()
	got := ""
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%s gives %s, want %s", expr, got, want)
		}
	}()
	actorstest.Eventually(w.t, expr, func() bool { got = w.ask(expr); return got == want })
}

func (w *world) status(job string) scrape.Status {
	for _, s := range w.handle.Targets() {
		if s.Job == job {
			return s
		}
	}
	return scrape.Status{}
}

const page = `# HELP made_total Things that were made.
# TYPE made_total counter
made_total{kind="a",job="theirs"} 3
made_total{kind="b"} 4
`

func TestScrape(t *testing.T) {
	s := newTarget(t, page)
	w := scraping(t, nil, scrape.Target{Job: "shop", Instance: "here", URL: s.URL + "/metrics", Labels: map[string]string{"zone": "x"}})
	w.until("made_total", `{__name__="made_total", exported_job="theirs", instance="here", job="shop", kind="a", zone="x"}=3 {__name__="made_total", instance="here", job="shop", kind="b", zone="x"}=4`)
	w.until(`up`, `{__name__="up", instance="here", job="shop", zone="x"}=1`)
	w.until(`scrape_samples_scraped`, `{__name__="scrape_samples_scraped", instance="here", job="shop", zone="x"}=2`)
	actorstest.Eventually(t, "the outcome", func() bool { return w.status("shop").Health != scrape.Unknown })
	if got := w.status("shop"); got.Health != scrape.Up || got.Samples != 2 || got.Last.IsZero() || got.Duration <= 0 {
		t.Errorf("the target is %+v", got)
	}
	if m := w.handle.Metadata("made_total")["made_total"]; len(m) != 1 || m[0] != (promql.Metadata{Type: "counter", Help: "Things that were made."}) {
		t.Errorf("metadata %+v", m)
	}

	s.show("made_total{kind=\"a\"} 5\n") // one has vanished: it ends at once
	w.until("count(made_total)", "{}=1")

	s.answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	w.until("sum(up)", "{}=0")
	w.until("made_total", "")
	actorstest.Eventually(t, "the outcome", func() bool {
		got := w.status("shop")
		return got.Health == scrape.Down && strings.Contains(got.Err, "418")
	})
	s.show(page)
	w.until("count(made_total)", "{}=2")
}

// TestRefused: whatever is wrong with an answer, none of it is kept.
func TestRefused(t *testing.T) {
	long := strings.Repeat("x 1\n", 2000)
	packed := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return b.Bytes()
	}
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for _, tt := range []struct {
		name, want string
		page       http.HandlerFunc
	}{
		{"no exposition", "reading the exposition", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "good 1\n<html>\n") }},
		{"too long", scrape.ErrBodyLimit.Error(), func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, long) }},
		{"too long unpacked", scrape.ErrBodyLimit.Error(), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed(long))
		}},
		{"too many samples", scrape.ErrSampleLimit.Error(), func(w http.ResponseWriter, _ *http.Request) {
			for i := range 11 {
				fmt.Fprintf(w, "x%d 1\n", i)
			}
		}},
		{"badly packed", "unpacking", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "good 1\n")
		}},
		{"otherwise packed", "not asked for", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") }},
		{"elsewhere", "302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }},
		{"cut off", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "good 1\n")
		}},
		{"too slow", "deadline", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTarget(t, "")
			s.answer(tt.page)
			w := scraping(t, func(c *scrape.Config) { c.BodyLimit, c.SampleLimit = 4096, 10 }, scrape.Target{Job: "shop", Instance: "here", URL: s.URL + "/metrics"})
			w.until("up", `{__name__="up", instance="here", job="shop"}=0`)
			actorstest.Eventually(t, "the outcome", func() bool { return w.status("shop").Health != scrape.Unknown })
			if got := w.status("shop"); got.Health != scrape.Down || !strings.Contains(got.Err, tt.want) {
				t.Errorf("the target is %s: %s", got.Health, got.Err)
			}
			if got := w.ask(`{__name__!~"up|scrape_.*", job="shop"}`); got != "" {
				t.Errorf("kept %s", got)
			}
		})
	}
}

// TestPool: targets come and go; those of one process are read once.
func TestPool(t *testing.T) {
	a, b := newTarget(t, "x 1\n"), newTarget(t, "x 1\n")
	w := scraping(t, func(c *scrape.Config) {
		c.Targets = []scrape.Extra{{Job: "extra", URL: b.URL, Labels: map[string]string{"zone": "y"}}}
	},
		scrape.Target{Job: "one", Instance: "1", URL: a.URL + "/metrics", Process: "self"},
		scrape.Target{Job: "two", Instance: "2", URL: a.URL + "/metrics", Process: "self"})
	w.until("count(up == 1)", "{}=3")
	w.until("x", fmt.Sprintf(`{__name__="x", instance="1", job="one"}=1 {__name__="x", instance="%s", job="extra", zone="y"}=1`, b.host()))
	if a.lively.Load() == 0 {
		t.Error("the second target of the process was not asked whether it lives")
	}
	w.mu.Lock()
	w.targets = w.targets[1:] // two is now the first of its process
	w.mu.Unlock()
	w.until("x", fmt.Sprintf(`{__name__="x", instance="%s", job="extra", zone="y"}=1 {__name__="x", instance="2", job="two"}=1`, b.host()))
	w.until("count(up)", "{}=2")
	actorstest.Eventually(t, "the target to be forgotten", func() bool { return w.status("one").Job == "" })
}

// TestFormats: OpenMetrics and samples with times of their own are read, too.
func TestFormats(t *testing.T) {
	s := newTarget(t, "")
	at := time.Now().Add(-time.Minute)
	s.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		fmt.Fprintf(w, "# TYPE y counter\ny_total 7 %d.5\n# EOF\n", at.Unix())
	})
	w := scraping(t, nil, scrape.Target{Job: "shop", Instance: "here", URL: s.URL + "/metrics"})
	w.until("timestamp(y_total)", fmt.Sprintf(`{instance="here", job="shop"}=%v`, float64(at.Unix())+.5))
	actorstest.Eventually(t, "the outcome", func() bool { return w.status("shop").Health == scrape.Up })
}

// FuzzPage: no page can do more than make its target be down.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{page, "x 1 2\n", "x{a=\"\\n\"} NaN\n", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\n", "x\x00{} 1", "{\"quoted.name\", a=\"b\"} 1\n"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed+"# EOF\n"), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, open bool) {
		store, err := series.New(series.DefaultConfig(), nil)
		if err != nil {
			t.Fatal(err)
		}
		kind := "text/plain; version=0.0.4"
		if open {
			kind = "application/openmetrics-text; version=1.0.0"
		}
		const limit = 50
		n, err := scrape.WritePage(store, map[string]string{"job": "fuzz", "instance": "x"}, body, kind, limit)
		if st := store.Stats(); n > limit || st.Series > limit || err != nil && st.Samples > 0 {
			t.Errorf("%d samples, %+v, %v", n, st, err)
		}
	})
}
