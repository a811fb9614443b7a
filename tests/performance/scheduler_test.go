package performance

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

const schedulerAPI = "/api/v1/scheduler/"

// BenchmarkScheduler is ten thousand tasks every five seconds for a minute: how late
// runs begin, and how long the API takes meanwhile. The target is this process.
func BenchmarkScheduler(b *testing.B) {
	for b.Loop() {
		m := runTasks(b, 10_000, time.Minute)
		b.ReportMetric(float64(m.fires)/m.took.Seconds(), "fires/s")
		b.ReportMetric(float64(m.skipped), "skipped")
		b.ReportMetric(ms(at(m.late, 0.50)), "late-p50-ms")
		b.ReportMetric(ms(at(m.late, 0.99)), "late-p99-ms")
		b.ReportMetric(ms(at(m.api, 0.50)), "api-p50-ms")
		b.ReportMetric(ms(at(m.api, 0.99)), "api-p99-ms")
		b.ReportMetric(m.resident/1e6, "MB")
		b.ReportMetric(m.cpu*100, "cpu-%")
	}
}

// TestScheduledTasks is a tenth of it for a few seconds: every time is recorded once
// and run once.
func TestScheduledTasks(t *testing.T) {
	m := runTasks(t, 1000, 12*time.Second)
	t.Logf("%d fires, %d skipped, late p50 %.1f ms, p99 %.1f ms; %d API calls, p99 %.1f ms", m.fires, m.skipped, ms(at(m.late, 0.50)), ms(at(m.late, 0.99)), len(m.api), ms(at(m.api, 0.99)))
}

func ms(micros float64) float64 { return micros / 1000 }

// scheduledRun is what was measured.
type scheduledRun struct {
	fires         int
	skipped       int // of them
	took          time.Duration
	late, api     []time.Duration
	resident, cpu float64
}

func runTasks(t testing.TB, tasks int, period time.Duration) (m scheduledRun) {
	t.Helper()
	var calls atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer target.Close()
	n := harness.Start(t, t.TempDir(), taskSettings(t, target.URL), harness.Broker, harness.Scheduler)
	api := n.URL(harness.Scheduler, schedulerAPI)
	makeScheduled(t, api, tasks)

	begin, used := time.Now().Add(time.Second), cpu(t, n.PID())
	m.api = askMeanwhile(t, api, period+2*time.Second)
	end := begin.Add(period)
	m.took = period
	m.cpu = (cpu(t, n.PID()) - used).Seconds() / (period + 2*time.Second).Seconds()
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
	m.fires, m.skipped, m.late = judgeRuns(t, api, tasks, begin, end, period)
	slices.Sort(m.late)
	slices.Sort(m.api)
	if calls.Load() == 0 {
		t.Error("nothing was called")
	}
	n.Stop()
	return m
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
		harness.Scheduler + ".scheduler.max_concurrent_tasks": 512,
		harness.Scheduler + ".scheduler.history.total":        1_000_000,
	}
}

// makeScheduled makes tasks that are due every five seconds, each at a time of its
// own.
func makeScheduled(t testing.TB, api string, tasks int) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(tasks); i = next.Add(1) {
				body := fmt.Sprintf(`{"name":"task %d","cron_expression":"@every 5s","target_service":%q,"target_endpoint":"/run"}`, i, harness.Collector)
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
