package performance

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

const schedulerAPI = "/api/v1/scheduler/"

// Expressions of tasks that are due every five seconds: each at an offset of its own,
// and all in the same moment.
const (
	apart    = "@every 5s"
	together = "*/5 * * * * *"
)

// BenchmarkScheduler is ten thousand tasks every five seconds for a minute: how late
// they are recorded and begin, and how long the API takes meanwhile. The target is
// this process; what its calls cost without a scheduler is measured beside.
func BenchmarkScheduler(b *testing.B) {
	for name, w := range map[string]workload{
		"apart":    {tasks: 10_000, cron: apart, period: time.Minute},
		"together": {tasks: 10_000, cron: together, period: time.Minute},
		"jitter":   {tasks: 10_000, cron: together, jitter: 4, period: time.Minute},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m := w.run(b)
				b.ReportMetric(float64(m.fires)/w.period.Seconds(), "fires/s")
				b.ReportMetric(float64(m.skipped), "skipped")
				b.ReportMetric(ms(at(m.late, 0.50)), "late-p50-ms")
				b.ReportMetric(ms(at(m.late, 0.99)), "late-p99-ms")
				b.ReportMetric(m.recorded(0.50)*1000, "recorded-p50-ms")
				b.ReportMetric(m.recorded(0.99)*1000, "recorded-p99-ms")
				b.ReportMetric(ms(at(m.api, 0.50)), "api-p50-ms")
				b.ReportMetric(ms(at(m.api, 0.99)), "api-p99-ms")
				b.ReportMetric(m.resident/1e6, "MB")
				b.ReportMetric(float64(m.each.Microseconds()), "cpu-µs/fire")
				b.ReportMetric(float64(m.bare.Microseconds()), "bare-cpu-µs/call")
				b.ReportMetric(ms(at(m.bareLate, 0.99)), "bare-late-p99-ms")
			}
		})
	}
}

// TestScheduledTasks is a tenth of it for a few seconds: every time is recorded once
// and run once.
func TestScheduledTasks(t *testing.T) {
	m := workload{tasks: 1000, cron: apart, period: 12 * time.Second}.run(t)
	t.Logf("%d fires, %d skipped, late p50 %.1f ms, p99 %.1f ms, recorded p99 %.1f ms; %d API calls, p99 %.1f ms; %v of CPU a fire, %v a bare call",
		m.fires, m.skipped, ms(at(m.late, 0.50)), ms(at(m.late, 0.99)), m.recorded(0.99)*1000, len(m.api), ms(at(m.api, 0.99)), m.each, m.bare)
}

func ms(micros float64) float64 { return micros / 1000 }

// workload is what is measured.
type workload struct {
	tasks  int
	cron   string
	jitter int // seconds
	period time.Duration
}

// scheduledRun is what came of it.
type scheduledRun struct {
	fires     int
	skipped   int // of them
	late, api []time.Duration
	resident  float64
	each      time.Duration // CPU of a fire, its target included
	buckets   []bucket      // of how late fires were recorded

	bare     time.Duration // CPU of a call that nobody scheduled
	bareLate []time.Duration
}

// slots are as many as runs may be under way.
const slots = 512

func (w workload) run(t testing.TB) (m scheduledRun) {
	t.Helper()
	var calls atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer target.Close()
	bareCalls(t, target.URL, slots, slots) // connections are made once
	m.bare, m.bareLate = bareCalls(t, target.URL, max(w.tasks, 5000), slots)
	n := harness.Start(t, t.TempDir(), taskSettings(t, target.URL), harness.Broker, harness.Scheduler)
	api := n.URL(harness.Scheduler, schedulerAPI)
	w.make(t, api)

	before := buckets(t, n)
	begin, used, this := time.Now().Add(time.Second), cpu(t, n.PID()), cpuOfThis(t)
	m.api = askMeanwhile(t, api, w.period+2*time.Second)
	end := begin.Add(w.period)
	total := (cpu(t, n.PID()) - used + cpuOfThis(t) - this).Seconds() / (w.period + 2*time.Second).Seconds()
	m.resident = float64(resident(t, n.PID()))
	if _, err := harness.Post(t.Context(), api+"stop", "", nil); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, time.Minute, "the end of all runs", func() bool {
		var s struct {
			Data struct {
				Active int `json:"active_runs"`
			}
		}
		harness.GetJSON(t, api+"status", &s)
		return s.Data.Active == 0
	})
	m.buckets = since(before, buckets(t, n))
	m.fires, m.skipped, m.late = judgeRuns(t, api, w.tasks, begin, end, w.period)
	m.each = time.Duration(total * w.period.Seconds() / float64(m.fires) * 1e9)
	slices.Sort(m.late)
	slices.Sort(m.api)
	if calls.Load() == 0 {
		t.Error("nothing was called")
	}
	n.Stop()
	return m
}

// cpuOfThis is what this process has taken of the processors.
func cpuOfThis(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bucket counts what was at most so late.
type bucket struct {
	seconds float64
	n       float64
}

// buckets reads how late fires were recorded.
func buckets(t testing.TB, n *harness.Node) (all []bucket) {
	t.Helper()
	a, err := harness.Get(t.Context(), n.URL(harness.Scheduler, "/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(a.Body)) {
		rest, ok := strings.CutPrefix(line, `mp_scheduler_record_lateness_seconds_bucket{le="`)
		if !ok {
			continue
		}
		bound, count, _ := strings.Cut(strings.TrimSpace(rest), `"} `)
		seconds, err := strconv.ParseFloat(bound, 64)
		value, err2 := strconv.ParseFloat(count, 64)
		if err != nil || err2 != nil {
			t.Fatalf("a bucket is %q", line)
		}
		all = append(all, bucket{seconds, value})
	}
	if len(all) == 0 {
		t.Fatal("no lateness of records")
	}
	return all
}

func since(before, after []bucket) []bucket {
	for i := range after {
		after[i].n -= before[i].n
	}
	return after
}

// recorded is a quantile of how late fires were recorded, in seconds, between the
// bounds of its bucket.
func (m scheduledRun) recorded(quantile float64) float64 {
	rank := quantile * m.buckets[len(m.buckets)-1].n
	low := bucket{}
	for _, b := range m.buckets {
		if b.n >= rank && b.n > low.n {
			return low.seconds + (b.seconds-low.seconds)*(rank-low.n)/(b.n-low.n)
		}
		low = b
	}
	return low.seconds
}

func taskSettings(t testing.TB, target string) harness.Settings {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		t.Fatal(err)
	}
	return harness.Settings{
		"cluster.services." + harness.Collector:               []string{u.Host},
		harness.Scheduler + ".scheduler.default_tasks":        false,
		harness.Scheduler + ".scheduler.max_concurrent_tasks": slots,
		harness.Scheduler + ".scheduler.history.total":        1_000_000,
	}
}

// make makes the tasks.
func (w workload) make(t testing.TB, api string) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(w.tasks); i = next.Add(1) {
				body := fmt.Sprintf(`{"name":"task %d","cron_expression":%q,"jitter_seconds":%d,"target_service":%q,"target_endpoint":"/run"}`, i, w.cron, w.jitter, harness.Collector)
				a, err := harness.Post(t.Context(), api+"tasks", "application/json", []byte(body))
				if err != nil || a.Status != http.StatusOK {
					t.Errorf("making task %d: %v, %+v", i, err, a)
					return
				}
			}
		})
	}
	wg.Wait()
}

// askMeanwhile asks for what a dashboard shows, fifty times a second.
func askMeanwhile(t testing.TB, api string, period time.Duration) (took []time.Duration) {
	t.Helper()
	var list struct {
		Data []struct {
			ID string `json:"task_id"`
		}
	}
	harness.GetJSON(t, api+"tasks?limit=100", &list)
	paths := []string{"status", "tasks?limit=100", "tasks/" + list.Data[0].ID, "tasks/" + list.Data[1].ID + "/runs", "upcoming?hours=1&limit=50"}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i, deadline := 0, time.Now().Add(period); time.Now().Before(deadline); i++ {
		<-tick.C
		begin := time.Now()
		a, err := harness.Get(t.Context(), api+paths[i%len(paths)])
		if err != nil || a.Status != http.StatusOK {
			t.Errorf("%s: %v, %+v", paths[i%len(paths)], err, a)
			return took
		}
		took = append(took, time.Since(begin))
	}
	return took
}

// judgeRuns reads the history and checks that every time between two moments was
// recorded once and run well.
func judgeRuns(t testing.TB, api string, tasks int, begin, end time.Time, period time.Duration) (fires, skipped int, late []time.Duration) {
	t.Helper()
	times, others := map[string][]int64{}, map[string]int{}
	for path := "runs?limit=5000"; path != ""; {
		var page struct {
			Data []struct {
				Task     string    `json:"task_id"`
				For      time.Time `json:"scheduled_for"`
				Status   string    `json:"status"`
				Lateness *float64  `json:"lateness_seconds"`
			}
			Next string `json:"next_cursor"`
		}
		a, err := harness.Get(t.Context(), api+path)
		if err != nil || json.Unmarshal(a.Body, &page) != nil {
			t.Fatalf("%s: %v, %.200s", path, err, a.Body)
		}
		for _, r := range page.Data {
			if r.For.Before(begin) || !r.For.Before(end) {
				continue
			}
			times[r.Task] = append(times[r.Task], r.For.Unix())
			fires++
			if r.Status != "succeeded" || r.Lateness == nil {
				others[r.Status]++
				continue
			}
			late = append(late, time.Duration(*r.Lateness*float64(time.Second)))
		}
		path = ""
		if page.Next != "" {
			path = "runs?limit=5000&cursor=" + url.QueryEscape(page.Next)
		}
	}
	skipped = others["skipped"] // the run before took longer than five seconds: the machine is too busy
	if delete(others, "skipped"); len(others) > 0 {
		t.Errorf("of %d times some have no run that succeeded: %v", fires, others)
	}
	if len(times) != tasks {
		t.Fatalf("%d of %d tasks ran", len(times), tasks)
	}
	for id, all := range times { // newest first
		for i := 1; i < len(all); i++ {
			if all[i-1]-all[i] != 5 {
				t.Fatalf("%s: %d s between two times: %s", id, all[i-1]-all[i], strings.Trim(fmt.Sprint(all), "[]"))
			}
		}
		if n := int(period / (5 * time.Second)); len(all) < n || len(all) > n+1 {
			t.Fatalf("%s: %d times in %v", id, len(all), period)
		}
	}
	return fires, skipped, late
}
