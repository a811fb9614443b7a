package cluster

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

// slowness is how long a call of a slow Consul takes.
const slowness = 2 * time.Second

// outage is how long Consul is wrong in one way: four times what it takes to call a
// silent node critical, and a minute where there is time.
func outage() time.Duration {
	if os.Getenv("MARKETPRISM_SOAK") == "1" {
		return time.Minute
	}
	return 12 * time.Second
}

// TestMultiNodeConsulSilent: Consul is absent when the first node starts; then it is slow,
// frozen, and killed and started again without its data. No stream moves, none stops, each
// task has one fire for each of its times, and no fencing number goes back. Afterwards a
// node that joins gets its share; where there is time it is the third from the beginning.
func TestMultiNodeConsulSilent(t *testing.T) {
	t.Parallel()
	consul := consultest.Prepare(t)
	way := newDetour(t, consul.HTTP)
	c := nodesOf(t, 3, consul, way.Address)
	t.Log("a node is ready without Consul")
	if err := consul.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.services = []string{harness.Scheduler, harness.Collector}
	maps.Copy(c.common, manyTasks)
	there := []int{0, 1} // while Consul is wrong
	if os.Getenv("MARKETPRISM_SOAK") == "1" {
		there = append(there, 2)
	}
	c.start(there[1:]...)
	before := c.awaitPlaced("the nodes that there are", there...)
	tasks := c.makeTasks(there[1:]...)
	begin := time.Now()
	fence := c.fence()
	stays := func(what string) {
		t.Helper()
		after := c.owners(there...)
		for _, s := range c.streams {
			if len(after[s]) != 1 || after[s][0] != before[s][0] {
				t.Errorf("%s: %s was live on node %d, and is on %v", what, s, before[s][0], after[s])
			}
		}
	}
	fenced := func(what string) { // which Consul has to answer for
		t.Helper()
		now := c.fence()
		if now < fence {
			t.Errorf("%s: the scheduler's fencing number was %d, and is %d", what, fence, now)
		}
		t.Logf("%s: nothing has moved; the scheduler's fencing number is %d", what, now)
		fence = now
	}

	way.delay.Store(int64(slowness))
	harness.Pause(t, outage())
	stays("slow")
	way.delay.Store(0)
	harness.Pause(t, outage()/3)
	stays("fast again")
	fenced("fast again")

	c.consul.Freeze()
	harness.Pause(t, outage())
	stays("frozen")
	c.consul.Thaw()
	harness.Pause(t, outage()/3)
	stays("thawed")
	fenced("thawed")

	c.consul.Kill()
	harness.Pause(t, outage())
	stays("down")
	if err := c.consul.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Pause(t, outage()/2)
	stays("empty")
	fenced("empty")

	if len(there) == 3 {
		c.all[2].Stop()
	}
	c.start(2)
	c.awaitPlaced("a node that joined after all", 0, 1, 2)
	c.awaitStored(time.Now())
	c.whole("a Consul that was wrong", begin, time.Now())
	c.complete()
	c.fired(tasks, begin, time.Now(), 1, 2)
	for _, i := range []int{2, 1, 0} {
		c.all[i].Stop()
	}
}

// fence is the fencing number of the scheduler that leads, as the cluster's view says it.
func (c *nodes) fence() (number uint64) {
	c.t.Helper()
	c.awaitMoving("a fencing number of the scheduler", func() bool {
		var view struct {
			Leases []struct {
				Job   string `json:"job"`
				Fence uint64 `json:"fence"`
			} `json:"leases"`
		}
		a, err := harness.Get(c.t.Context(), c.all[0].URL(harness.Monitoring, "/api/v1/cluster"))
		if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &view) != nil {
			return false
		}
		for _, l := range view.Leases {
			if l.Job == "scheduler" {
				number = l.Fence
			}
		}
		return number > 0
	})
	return number
}
