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

// manyTasks are settings under which a thousand tasks keep their times.
var manyTasks = harness.Settings{
	harness.Scheduler + ".scheduler.default_tasks": false, harness.Scheduler + ".scheduler.max_concurrent_tasks": 64,
	harness.Scheduler + ".scheduler.history.count": 1000, harness.Scheduler + ".scheduler.history.total": 1_000_000,
}

// TestMultiNodeKills: nodes with everything on each of them are killed, stopped and
// started again at random, those among them that lead the journal and write the plan,
// under a thousand tasks; in the end all three are killed at once. A symbol that was added
// at one of them is collected all the while. Afterwards no trade is missing and none is
// stored twice, on any node, and each task has one recorded fire for each of its times.
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

	c := everywhere(t, "binance/spot,okx/spot,deribit/perpetual")
	c.services = append(c.services, harness.Gateway)
	one := c.withhold()
	c.collect()
	c.start(0, 1, 2)
	c.awaitPlaced("three nodes", 0, 1, 2)
	c.add(r.IntN(3), one)
	c.operated(r.IntN(3))
	tasks := c.makeTasks(0, 1, 2)
	made := time.Now()
	var all takeovers
	for round := range harness.Rounds(t) {
		harness.Pause(t, time.Duration(r.Int64N(int64(3*time.Second))))
		c.round(r, round, &all)
	}
	end := time.Now()
	c.judge(made, end)
	c.fired(tasks, made, end, 0, 1, 2)
	c.powerCut(r, one, tasks)
	c.judge(made, time.Now())
	c.stopAll()
	all.report(t)
}

// round ends one node and has it back. In every other one it is killed and stays away
// until the others have its streams; else it is killed or stopped, for as long as it may
// be.
func (c *nodes) round(r *rand.Rand, round int, all *takeovers) {
	c.t.Helper()
	long := round%2 == 0
	victim := r.IntN(3)
	switch { // the first two that stay away are those that lead
	case !long:
	case round/2%3 == 0:
		c.awaitMoving("a node that leads the journal", func() bool { victim = c.journalLeader(); return victim >= 0 })
	case round/2%3 == 1:
		c.awaitMoving("a node that writes the plan", func() bool { victim = c.holder("placement", r.IntN(3)); return victim >= 0 })
	}
	others := []int{(victim + 1) % 3, (victim + 2) % 3}
	what, had := c.duties(victim), c.live(victim)
	began, how := time.Now(), "killed"
	if !long && r.IntN(2) == 0 {
		how = "stopped"
		c.all[victim].Stop()
	} else {
		c.all[victim].Kill()
	}
	if long {
		taken := c.awaitTaken(began, had, others)
		taken.led = what
		all.add(taken)
		c.t.Logf("round %d: %s, which led %v, was killed: %v", round, c.name(victim), what, taken)
		c.entrance(others[0], others...)
	} else {
		harness.Pause(c.t, time.Duration(r.Int64N(int64(4*time.Second))))
	}
	away := time.Since(began)
	c.start(victim)
	c.awaitPlaced(fmt.Sprintf("round %d: %s was %s", round, c.name(victim), how), 0, 1, 2)
	c.t.Logf("round %d: %s, which led %v, was %s for %v, and all was placed again after %v",
		round, c.name(victim), what, how, away.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}

// judge compares what each node has stored with what happened.
func (c *nodes) judge(from, to time.Time) {
	c.t.Helper()
	for c.asks = range c.all {
		c.awaitStored(to)
		c.healed(from, to)
		c.complete()
		c.chains()
	}
	c.asks = 0
}

// healed checks that the gap ledger lacks no trade of a time: what nobody received is asked
// for, and may take a while.
func (c *nodes) healed(from, to time.Time) {
	c.t.Helper()
	var holes []string
	if !harness.Eventually(c.t, time.Minute, func() bool {
		holes = slices.DeleteFunc(c.ledger(from, to), func(hole string) bool { return !strings.Contains(hole, `"channel":"trade"`) })
		return len(holes) == 0
	}) {
		c.t.Errorf("by %s these holes of trades are not healed:\n%s", c.name(c.asks), strings.Join(holes, "\n"))
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
