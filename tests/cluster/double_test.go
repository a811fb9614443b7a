package cluster

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestMultiNodeDouble: a process that is started under the name of a node that runs ends
// with the code of those that are to be started again later, and touches nothing. One
// that is started while the node is suspended takes its place, and the one that wakes up
// ends. No trade is missing, and none is stored twice.
func TestMultiNodeDouble(t *testing.T) {
	t.Parallel()
	c := newNodes(t, 2)
	c.start(1)
	before := c.awaitPlaced("two nodes", 0, 1)
	again := func() *harness.Node {
		return harness.Launch(t, t.TempDir(), c.settings(1, c.own(1)), nil, c.services...)
	}

	double := again()
	if code := double.Exit(); code != 75 || !strings.Contains(double.Log(), "node.id") {
		t.Errorf("a second process of one node ended with %d:\n%s", code, double.Log())
	}
	if after := c.awaitPlaced("the second process has ended", 0, 1); len(after) != len(before) {
		t.Errorf("placed are %v, before it were %v", after, before)
	}
	if c.all[1].Ended() {
		t.Fatalf("the node itself has ended:\n%s", c.all[1].Log())
	}

	suspended := c.all[1]
	if err := syscall.Kill(suspended.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.all[1] = again()
	c.all[1].AwaitReady()
	c.awaitPlaced("another process is the node", 0, 1)
	t.Logf("another process has the place of one that is suspended after %v", time.Since(began).Round(time.Millisecond))
	if err := syscall.Kill(suspended.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if code := suspended.Exit(); code != 75 {
		t.Errorf("the process that was suspended ended with %d:\n%s", code, suspended.Log())
	}
	c.awaitPlaced("the process that was suspended has ended", 0, 1)
	if c.all[1].Ended() {
		t.Fatalf("the process that took its place has ended:\n%s", c.all[1].Log())
	}
	c.awaitStored(time.Now())
	c.complete()
	c.chains()
	for _, i := range []int{1, 0} {
		c.all[i].Stop()
		if why := c.all[i].Crashed(); why != "" {
			t.Errorf("%s: %s", c.name(i), why)
		}
	}
}
