package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

const (
	schedulerAPI   = "/api/v1/scheduler/"
	scheduledTasks = 1000
	// The collector's place is taken by a target that counts.
	targetService = harness.Collector
)

// targets remembers what it was called for.
type targets struct {
	*httptest.Server
	mu   sync.Mutex
	keys map[string]int
}

func newTargets(t testing.TB) *targets {
	s := &targets{keys: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.keys[r.Header.Get("Idempotency-Key")]++
		slow := len(s.keys)%3 == 0
		s.mu.Unlock()
		if slow { // so that a kill finds runs under way
			harness.Pause(t, 150*time.Millisecond)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *targets) settings(t testing.TB) harness.Settings {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return harness.Settings{
		"cluster.services." + targetService:                   []string{net.JoinHostPort(host, port)},
		harness.Scheduler + ".scheduler.default_tasks":        false,
		harness.Scheduler + ".scheduler.max_concurrent_tasks": 64,
		harness.Scheduler + ".scheduler.misfire_grace":        "2s",
		harness.Scheduler + ".scheduler.snapshot_bytes":       "512KiB", // several in each round
		harness.Scheduler + ".scheduler.history.count":        1000,
		harness.Scheduler + ".scheduler.history.total":        1_000_000,
		harness.Broker + ".nats.max_file_store":               "8GiB",
	}
}

// scheduled is one entry of the history.
type scheduled struct {
	ID     string     `json:"run_id"`
	Task   string     `json:"task_id"`
	For    time.Time  `json:"scheduled_for"`
	Until  *time.Time `json:"until"`
	Times  int        `json:"times"`
	Cause  string     `json:"cause"`
	Status string     `json:"status"`
}

// scheduledTask is a task of the test.
type scheduledTask struct {
	id      string
	every   int64 // seconds
	misfire string
	created time.Time
}

// makeTasks makes tasks that are due every second, or every five, of each misfire
// policy.
func makeTasks(t *testing.T, n *harness.Node, count int) []scheduledTask {
	t.Helper()
	tasks := make([]scheduledTask, count)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(tasks) {
					return
				}
				one := scheduledTask{every: 5, misfire: []string{"skip", "once", "all"}[i%3]}
				expression := "*/5 * * * * *"
				if i%20 == 0 {
					one.every, expression = 1, "* * * * * *"
				}
				body := fmt.Sprintf(`{"name":"task %d","cron_expression":%q,"target_service":%q,"target_endpoint":"/run","misfire":%q,"misfire_limit":1000}`,
					i, expression, targetService, one.misfire)
				a, err := harness.Post(n.Context(), n.URL(harness.Scheduler, schedulerAPI+"tasks"), "application/json", []byte(body))
				var made struct {
					ID string `json:"task_id"`
				}
				if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &made) != nil {
					t.Errorf("making task %d: %v, %+v", i, err, a)
					return
				}
				one.id = made.ID
				tasks[i] = one
			}
		})
	}
	wg.Wait()
	var list struct {
		Data []struct {
			ID      string    `json:"task_id"`
			Created time.Time `json:"created_at"`
		}
	}
	harness.GetJSON(t, n.URL(harness.Scheduler, schedulerAPI+"tasks?limit=10000"), &list)
	created := map[string]time.Time{}
	for _, one := range list.Data {
		created[one.ID] = one.Created
	}
	for i := range tasks {
		tasks[i].created = created[tasks[i].id]
		if tasks[i].created.IsZero() {
			t.Fatalf("task %d is not listed", i)
		}
	}
	return tasks
}

// history reads every page.
func history(t *testing.T, n *harness.Node) map[string][]scheduled {
	t.Helper()
	all := map[string][]scheduled{}
	for path := "runs?limit=5000"; path != ""; {
		var page struct {
			Data []scheduled
			Next string `json:"next_cursor"`
		}
		harness.GetJSON(t, n.URL(harness.Scheduler, schedulerAPI+path), &page)
		for _, r := range page.Data {
			all[r.Task] = append(all[r.Task], r)
		}
		path = ""
		if page.Next != "" {
			path = "runs?limit=5000&cursor=" + url.QueryEscape(page.Next)
		}
	}
	return all
}

// A scheduler that is killed at random moments under a thousand tasks neither misses
// a time nor records one twice; what it was not there for is treated as each task says.
func TestSchedulerKills(t *testing.T) {
	r := seeded(t)
	target := newTargets(t)
	data := t.TempDir()
	services := []string{harness.Broker, harness.Scheduler}
	n := harness.Start(t, data, target.settings(t), services...)
	tasks := makeTasks(t, n, scheduledTasks)
	rounds := harness.Rounds(t)
	for round := range rounds {
		harness.Pause(t, between(r, 2*time.Second, 7*time.Second))
		n.Kill()
		harness.Pause(t, between(r, 0, 6*time.Second)) // some times are missed, some are only late
		n = harness.Start(t, data, target.settings(t), services...)
		t.Logf("round %d: killed and started", round)
	}
	harness.Pause(t, 8*time.Second)
	recorded := judgeAll(t, n, tasks, target, rounds)
	n.Stop()
	// A stop in order loses nothing either.
	n = harness.Start(t, data, target.settings(t), services...)
	again := history(t, n)
	for id, entries := range recorded {
		if !slices.Equal(ids(again[id]), ids(entries)) {
			t.Fatalf("%s: %d entries before a restart, %d after it", id, len(entries), len(again[id]))
		}
	}
	n.Stop()
}

// standing is what a scheduler says of itself.
type standing struct {
	Leader bool   `json:"leader"`
	Node   string `json:"leader_node"`
	Total  int    `json:"total_tasks"`
	Active int    `json:"active_runs"`
}

func schedulerStatus(t *testing.T, n *harness.Node) standing {
	t.Helper()
	var s struct{ Data standing }
	harness.GetJSON(t, n.URL(harness.Scheduler, schedulerAPI+"status?scope=node"), &s)
	return s.Data
}

func ids(entries []scheduled) (out []string) {
	for _, e := range entries {
		out = append(out, e.ID+" "+e.Status)
	}
	return out
}

type judgement struct {
	t      *testing.T
	until  time.Time
	rounds int
	counts map[string]int
}

// judgeAll stops the schedules, waits for the end of all runs and judges the history.
func judgeAll(t *testing.T, n *harness.Node, tasks []scheduledTask, target *targets, rounds int) map[string][]scheduled {
	t.Helper()
	j := judgement{t: t, until: time.Now().Add(-4 * time.Second), rounds: rounds, counts: map[string]int{}}
	if _, err := harness.Post(context.Background(), n.URL(harness.Scheduler, schedulerAPI+"stop"), "", nil); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, time.Minute, "the end of all runs", func() bool { return schedulerStatus(t, n).Active == 0 })
	recorded := history(t, n)
	for _, task := range tasks {
		j.task(task, recorded[task.id])
	}
	j.calls(target, recorded)
	t.Logf("%d tasks over %d ends: %v; %d calls", len(tasks), rounds, j.counts, len(target.keys))
	return recorded
}

// task checks that each nominal time from the making of a task on is accounted for
// once, and that its misfire policy was heeded.
func (j *judgement) task(task scheduledTask, entries []scheduled) {
	j.t.Helper()
	seen := map[int64]int{}
	caught, missed := 0, 0
	for _, e := range entries {
		j.counts[e.Status] += e.Times
		last := e.For
		if e.Until != nil {
			last = *e.Until
		}
		covered := 0
		for at := e.For.Unix(); at <= last.Unix() && !time.Unix(at, 0).After(last); at += task.every {
			seen[at]++
			covered++
		}
		if covered != e.Times || e.For.Unix()%task.every != 0 {
			j.t.Fatalf("%s: %+v covers %d times", task.id, e, covered)
		}
		switch {
		case e.Status == "missed":
			missed += e.Times
		case e.Cause == "caught_up":
			caught++
		}
		if e.Status == "running" || e.Status == "failed" || e.Status == "cancelled" {
			j.t.Errorf("%s is %s", e.ID, e.Status)
		}
	}
	for at, n := range seen {
		if n != 1 {
			j.t.Fatalf("%s: %v is recorded %d times", task.id, time.Unix(at, 0).UTC(), n)
		}
	}
	begin := task.created.Unix()/task.every*task.every + task.every
	for at := begin; at <= j.until.Unix(); at += task.every {
		if seen[at] == 0 {
			j.t.Fatalf("%s, every %d s since %v: %v is not recorded", task.id, task.every, task.created, time.Unix(at, 0).UTC())
		}
	}
	switch {
	case task.misfire == "skip" && caught > 0, task.misfire == "all" && missed > 0, task.misfire == "once" && missed > 0 && caught == 0:
		j.t.Errorf("%s with misfire %s: %d missed, %d made up for", task.id, task.misfire, missed, caught)
	}
	j.counts["caught up"] += caught
}

// calls checks that whatever succeeded was called, and nothing else was.
func (j *judgement) calls(target *targets, recorded map[string][]scheduled) {
	j.t.Helper()
	target.mu.Lock()
	defer target.mu.Unlock()
	known := map[string]bool{}
	for _, entries := range recorded {
		for _, e := range entries {
			known[e.ID] = true
			if e.Status == "succeeded" && target.keys[e.ID] == 0 {
				j.t.Errorf("%s succeeded and was never called", e.ID)
			}
		}
	}
	twice := 0
	for key, n := range target.keys {
		if !known[key] {
			j.t.Errorf("%q was called and is not recorded", key)
		}
		if n > 1 {
			twice++
		}
	}
	j.counts["called more than once"] = twice
	if twice > j.rounds*scheduledTasks {
		j.t.Errorf("%d keys were called more than once", twice)
	}
}
