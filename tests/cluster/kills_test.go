package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

const (
	// killTasks are due every taskEvery, spread over its seconds.
	killTasks = 1000
	taskEvery = 10 * time.Second
)

// TestMultiNodeKills: nodes with a collector and a scheduler are killed, stopped and
// started again at random, under a thousand tasks. In the end no trade is missing and
// none is stored twice, and each task has one recorded fire for each of its times.
func TestMultiNodeKills(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MARKETPRISM_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MARKETPRISM_KILL_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))

	c := newNodes(t, 3)
	c.services = []string{harness.Scheduler, harness.Collector}
	maps.Copy(c.common, harness.Settings{
		harness.Scheduler + ".scheduler.default_tasks": false, harness.Scheduler + ".scheduler.max_concurrent_tasks": 64,
		harness.Scheduler + ".scheduler.history.count": 1000, harness.Scheduler + ".scheduler.history.total": 1_000_000,
	})
	c.start(1, 2)
	c.awaitPlaced("three nodes", 0, 1, 2)
	tasks := c.makeTasks(1, 2)
	made := time.Now()
	for round := range harness.Rounds(t) {
		harness.Pause(t, time.Duration(r.Int64N(int64(3*time.Second))))
		victim := 1 + r.IntN(2)
		how := "stopped"
		if r.IntN(3) > 0 {
			how = "killed"
			c.all[victim].Kill()
		} else {
			c.all[victim].Stop()
		}
		began := time.Now()
		away := time.Duration(r.Int64N(int64(4 * time.Second)))
		harness.Pause(t, away)
		c.start(victim)
		c.awaitPlaced(fmt.Sprintf("round %d: node %d was %s", round, victim+1, how), 0, 1, 2)
		t.Logf("round %d: node %d was %s for %v, and all was placed again after %v", round, victim+1, how, away.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	c.awaitStored(time.Now())
	// What nobody received after a kill is asked for; complete says what is missing after all.
	healed := harness.Eventually(t, time.Minute, func() bool {
		return !slices.ContainsFunc(c.ledger(made, time.Now()), func(hole string) bool { return strings.Contains(hole, `"channel":"trade"`) })
	})
	t.Logf("every hole of trades is healed: %v", healed)
	c.complete()
	c.chains()
	c.fired(tasks, made, time.Now(), 1, 2)
	for _, i := range []int{2, 1, 0} {
		c.all[i].Stop()
		if why := c.all[i].Crashed(); why != "" {
			t.Errorf("node %d: %s", i+1, why)
		}
	}
}

const schedulerAPI = "/api/v1/scheduler/"

// leading asks the one of some nodes whose scheduler leads.
func (c *nodes) leading(path string, into any, which ...int) {
	c.t.Helper()
	c.awaitMoving("a scheduler that leads, for "+path, func() bool {
		for _, i := range which {
			a, err := harness.Get(c.t.Context(), c.all[i].URL(harness.Scheduler, schedulerAPI+path))
			if err == nil && a.Status == http.StatusOK && json.Unmarshal(a.Body, into) == nil {
				return true
			}
		}
		return false
	})
}

// task is one of the test's.
type task struct {
	id     string
	second int64 // of taskEvery at which it is due
}

// makeTasks makes the tasks at whichever scheduler leads.
func (c *nodes) makeTasks(which ...int) []task {
	c.t.Helper()
	var standing struct {
		Data struct {
			Tasks int `json:"total_tasks"`
		} `json:"data"`
	}
	c.leading("status", &standing, which...)
	tasks := make([]task, killTasks)
	var next atomic.Int64
	var making sync.WaitGroup
	for range 8 {
		making.Go(func() {
			for i := int(next.Add(1)) - 1; i < killTasks; i = int(next.Add(1)) - 1 {
				tasks[i] = c.makeTask(i, which)
			}
		})
	}
	making.Wait()
	return tasks
}

func (c *nodes) makeTask(i int, which []int) (made task) {
	made.second = int64(i) % int64(taskEvery/time.Second)
	// The target is asked with GET: the call itself is not what this is about.
	body := fmt.Appendf(nil, `{"name":"task %d","cron_expression":"%d/%d * * * * *","target_service":%q,"target_endpoint":"/livez","method":"GET","misfire":"all","misfire_limit":1000}`,
		i, made.second, taskEvery/time.Second, harness.Storage)
	c.awaitMoving("a task to be made", func() bool {
		for _, n := range which {
			a, err := harness.Post(c.t.Context(), c.all[n].URL(harness.Scheduler, schedulerAPI+"tasks"), "application/json", body)
			var answer struct {
				ID string `json:"task_id"`
			}
			if err == nil && a.Status == http.StatusOK && json.Unmarshal(a.Body, &answer) == nil {
				made.id = answer.ID
				return true
			}
		}
		return false
	})
	return made
}

// fire is one entry of the history.
type fire struct {
	Task  string    `json:"task_id"`
	For   time.Time `json:"scheduled_for"`
	Cause string    `json:"cause"`
}

// fires reads the history, by task and nominal time.
func (c *nodes) fires(which ...int) map[string]map[int64]int {
	c.t.Helper()
	all := map[string]map[int64]int{}
	for path := "runs?limit=5000"; path != ""; {
		var page struct {
			Data []fire `json:"data"`
			Next string `json:"next_cursor"`
		}
		c.leading(path, &page, which...)
		for _, f := range page.Data {
			if all[f.Task] == nil {
				all[f.Task] = map[int64]int{}
			}
			all[f.Task][f.For.Unix()]++
		}
		path = ""
		if page.Next != "" {
			path = "runs?limit=5000&cursor=" + url.QueryEscape(page.Next)
		}
	}
	return all
}

// fired checks that each task has one fire for each of its times between two moments.
func (c *nodes) fired(tasks []task, from, to time.Time, which ...int) {
	c.t.Helper()
	every := int64(taskEvery / time.Second)
	var all map[string]map[int64]int
	missing := func() (n int) {
		for _, one := range tasks {
			for at := from.Unix()/every*every + one.second; at < to.Unix(); at += every {
				if at > from.Unix() && all[one.id][at] == 0 {
					n++
				}
			}
		}
		return n
	}
	if !harness.Eventually(c.t, time.Minute, func() bool { all = c.fires(which...); return missing() == 0 }) {
		c.t.Errorf("%d fires are missing", missing())
	}
	total := 0
	for _, one := range tasks {
		for _, at := range slices.Sorted(maps.Keys(all[one.id])) {
			if n := all[one.id][at]; n != 1 {
				c.t.Errorf("%s has %d fires for %v", one.id, n, time.Unix(at, 0).UTC())
			}
			if (at-one.second)%every != 0 {
				c.t.Errorf("%s fired for %v, which is none of its times", one.id, time.Unix(at, 0).UTC())
			}
			total++
		}
	}
	c.t.Logf("%d fires of %d tasks, one for each time", total, len(tasks))
}
