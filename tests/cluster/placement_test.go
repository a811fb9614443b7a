package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestMultiNodePlacement: three nodes share the streams. One is killed, comes back, and
// another leaves: every stream is collected by one node at any time, and in the end no
// trade is missing and none is stored twice. Where nobody was killed there is no hole
// at all.
func TestMultiNodePlacement(t *testing.T) {
	t.Parallel()
	c := newNodes(t, 3)
	c.awaitPlaced("one node", 0)
	calm := time.Now()
	c.start(1, 2)
	c.awaitPlaced("three nodes", 0, 1, 2)
	t.Logf("two nodes joined and had their share after %v", time.Since(calm).Round(time.Millisecond))
	c.awaitStored(time.Now())
	joined := time.Now()
	c.whole("nodes that joined", calm, joined)

	had := c.live(2)
	killed := time.Now()
	c.all[2].Kill()
	t.Logf("a node was killed: %v", c.awaitTaken(killed, had, []int{0, 1}))
	c.awaitPlaced("after a kill", 0, 1)
	c.awaitStored(time.Now())

	calm = time.Now()
	follows := c.follow(0)
	follows.begun("trades of all streams at one node", nil)
	c.start(2)
	c.awaitPlaced("a node that came back", 0, 1, 2)
	c.anywhere(0, 2)
	c.awaitStored(time.Now())
	c.drained(2, 0, 1)
	c.awaitPlaced("a node that is used again", 0, 1, 2)
	c.awaitStored(time.Now())
	leaves := time.Now()
	c.all[1].Stop()
	t.Logf("a node with a third of the streams left within %v", time.Since(leaves).Round(time.Millisecond))
	c.awaitPlaced("after a node left", 0, 2)
	c.awaitStored(time.Now())
	follows.begun("trades after a node left", follows.counts())
	follows.whole("a node came, and one left")
	follows.stop()
	c.whole("nodes that came and left", calm, time.Now())
	c.complete()
	c.chains()
	for _, i := range []int{2, 0} {
		c.all[i].Stop()
		if why := c.all[i].Crashed(); why != "" {
			t.Errorf("node %d: %s", i+1, why)
		}
	}
}

// drained empties a node by command: the others have everything, and the command knows
// when. Then the node is used again.
func (c *nodes) drained(i int, others ...int) {
	c.t.Helper()
	at := []string{"--at", c.all[0].URL(harness.Monitoring, "")}
	run := func(args ...string) string {
		c.t.Helper()
		return harness.Must(c.t, time.Minute, slices.Concat([]string{"node"}, args, at)...).Out
	}
	begin := time.Now()
	if out := run("drain", c.name(i), "--reason", "a new disk"); out != c.name(i)+" is empty\n" {
		c.t.Errorf("drain said %q", out)
	}
	c.t.Logf("a node with a third of the streams was emptied within %v", time.Since(begin).Round(time.Millisecond))
	if left := c.live(i); len(left) > 0 {
		c.t.Errorf("the emptied node has %v", left)
	}
	c.awaitPlaced("a node was emptied", others...)
	list := run("status")
	for _, want := range []string{c.name(i), "drained", "a new disk", "placement", "MOVED"} {
		if !strings.Contains(list, want) {
			c.t.Errorf("%q is not in\n%s", want, list)
		}
	}
	c.t.Log(list)
	if again := harness.Run(c.t, time.Minute, slices.Concat([]string{"node", "drain", "node-9"}, at)...); again.Code == 0 || !strings.Contains(again.Errors, "no node") {
		c.t.Errorf("a node that there is not: %d %s", again.Code, again.Errors)
	}
	run("undrain", c.name(i))
}
