package cluster

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestMultiNodeMarkets: three nodes, one of which does not enable an exchange. It is given
// none of it; streams go where an operator wants them, and stay; one who follows at a node
// comes back at another after a third was killed, and hears each trade once.
func TestMultiNodeMarkets(t *testing.T) {
	t.Parallel()
	c := newNodes(t, 3)
	external := harness.Settings{harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": c.url}
	without := harness.Settings{"exchanges.okx.enabled": false, harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": c.url}
	c.all[1] = c.launch(1, without, c.services...)
	c.all[2] = c.launch(2, external, c.services...)
	for _, n := range c.all[1:] {
		n.AwaitReady()
	}
	of := c.awaitPlaced("three nodes", 0, 1, 2)
	for s, owners := range of {
		if strings.HasPrefix(s, "okx/") && slices.Contains(owners, 1) {
			t.Errorf("%s is at a node that does not enable it", s)
		}
	}
	c.moved(of)
	c.cameBack()
	for _, i := range []int{1, 0} {
		c.all[i].Stop()
		if why := c.all[i].Crashed(); why != "" {
			t.Errorf("node %d: %s", i+1, why)
		}
	}
}

// moved has a stream collected elsewhere, by command.
func (c *nodes) moved(of map[string][]int) {
	c.t.Helper()
	at := []string{"--at", c.all[0].URL(harness.Monitoring, "")}
	args := func(words ...string) []string { return slices.Concat([]string{"node"}, words, at) }
	var stream string
	for _, s := range c.streams {
		if strings.HasPrefix(s, "binance/") && of[s][0] == 0 {
			stream = s
		}
	}
	begin := time.Now()
	if out := harness.Must(c.t, time.Minute, args("move", stream, c.name(2), "--reason", "closer")...).Out; out != stream+" is at "+c.name(2)+"\n" {
		c.t.Errorf("move said %q", out)
	}
	c.t.Logf("a stream was moved within %v", time.Since(begin).Round(time.Millisecond))
	harness.Await(c.t, anywhereWithin, "the stream to be live there alone", func() bool {
		return slices.Equal(c.owners(0, 1, 2)[stream], []int{2})
	})
	for _, wrong := range []struct{ stream, node, says string }{
		{stream, "node-9", "no node"},
		{"binance/spot/NONE-USDT", c.name(2), "no stream"},
		{c.streams[slices.IndexFunc(c.streams, func(s string) bool { return strings.HasPrefix(s, "okx/") })], c.name(1), "does not run"},
	} {
		if r := harness.Run(c.t, time.Minute, args("move", wrong.stream, wrong.node)...); r.Code == 0 || !strings.Contains(r.Errors, wrong.says) {
			c.t.Errorf("moving %s to %s: %d %s", wrong.stream, wrong.node, r.Code, r.Errors)
		}
	}
	status := harness.Must(c.t, time.Minute, args("status")...).Out
	for _, want := range []string{"PINNED", stream, "closer", "journal: ", "yes"} {
		if !strings.Contains(status, want) {
			c.t.Errorf("%q is not in\n%s", want, status)
		}
	}
	var view struct {
		Nodes []struct {
			ID      string   `json:"id"`
			Markets []string `json:"markets"`
		} `json:"nodes"`
		Journal struct {
			Replicas int  `json:"replicas"`
			Quorum   bool `json:"quorum"`
			Shards   []struct {
				Last uint64 `json:"last"`
			} `json:"shards"`
		} `json:"journal"`
	}
	a, err := harness.Get(c.t.Context(), c.all[0].URL(harness.Monitoring, "/api/v1/cluster"))
	if err != nil || a.Status != http.StatusOK {
		c.t.Fatalf("%v %+v", err, a)
	}
	if err := json.Unmarshal(a.Body, &view); err != nil {
		c.t.Fatal(err)
	}
	if j := view.Journal; j.Replicas != 1 || !j.Quorum || len(j.Shards) == 0 || j.Shards[0].Last == 0 {
		c.t.Errorf("the journal is shown as %+v", j)
	}
	if n := view.Nodes[1]; n.ID != c.name(1) || slices.Contains(n.Markets, "okx/spot") || !slices.Contains(n.Markets, "binance/spot") {
		c.t.Errorf("a node is shown as %+v", n)
	}
	if tree := harness.Must(c.t, time.Minute, "actors", "tree", "--node", c.name(2), at[0], at[1]).Out; !strings.Contains(tree, split3(stream)) {
		c.t.Errorf("the stream is not among the actors of the node:\n%s", tree)
	}
	harness.Must(c.t, time.Minute, args("unpin", stream)...)
}

func split3(stream string) string {
	_, _, symbol := split(stream)
	return symbol
}

// cameBack kills a node under a follower at another one, which comes back at the third.
func (c *nodes) cameBack() {
	c.t.Helper()
	before := c.awaitPlaced("before a node is killed", 0, 1, 2)
	f := c.follow(0)
	f.begun("trades of all streams", nil)
	c.awaitMoving("an id of where it is at three nodes", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return strings.Count(f.last, ".") == 2
	})
	c.all[2].Kill()
	select {
	case <-f.done:
	case <-time.After(anywhereWithin):
		c.t.Fatal("it goes on although a node is gone")
	}
	had := f.counts()
	g := c.resume(1, f)
	g.begun("trades of all streams after a node was killed", had)
	g.stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lost) == 0 {
		c.t.Error("nothing is said to be lost")
	}
	said := strings.Join(g.lost, "\n")
	whole := 0
	for s, all := range g.heard {
		if before[s][0] == 2 || strings.Contains(said, `"`+s+`"`) {
			continue // a loss was said
		}
		whole++
		for i := 1; i < len(all); i++ {
			if all[i] != all[i-1]+1 {
				c.t.Errorf("of %s trade %d was heard after %d, and nothing was said", s, all[i], all[i-1])
			}
		}
	}
	c.t.Logf("of %d streams each trade was heard once and in order, by way of two nodes; of the others it was said: %s", whole, said)
	if whole == 0 {
		c.t.Error("no stream was heard whole")
	}
}
