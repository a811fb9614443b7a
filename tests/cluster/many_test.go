package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

const (
	// manySymbols are those of each of manyMarkets.
	manySymbols = 1000
	manyMarkets = "binance/spot,binance/perpetual,okx/spot,okx/perpetual,deribit/perpetual"
	// manyRate is how many events a second each instrument has: this is about placement.
	manyRate = 0.02
	// manyWithin bounds the wait for all of it.
	manyWithin = 10 * time.Minute
	// manyEvery is how often the nodes are asked, which costs them something.
	manyEvery = 250 * time.Millisecond
)

// TestMultiNodeMany places five thousand streams on three processes, and measures how long
// it takes from a change of who there is to the plan, and until every stream records where
// the plan has it: two nodes begin, a third joins, and is killed.
func TestMultiNodeMany(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("MARKETPRISM_SOAK=1 runs it: five thousand streams")
	}
	c := &nodes{t: t, consul: consultest.Start(t), all: make([]*harness.Node, 3), services: []string{harness.Collector}}
	c.sim = harness.Simulate(t, "--symbols", fmt.Sprint(manySymbols), "--rate", fmt.Sprint(manyRate), "--genesis", "now", "--exchange", manyMarkets, "--no-limits")
	c.common = harness.Settings{
		"cluster.provider": "consul", "cluster.consul.address": c.consul.HTTP,
		harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password",
	}
	c.collect()
	for _, m := range c.sim.Markets {
		at := "exchanges." + m.Exchange + ".markets." + m.Market + "."
		c.common[at+"data_types"] = []string{"trade"} // a book by REST costs what an exchange allows, not what placing costs
		c.common[at+"watchdog.enabled"] = false       // hardly anything happens
	}
	port := freePort(t)
	c.own = func(int) harness.Settings {
		return harness.Settings{harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": fmt.Sprintf("nats://127.0.0.1:%d", port)}
	}
	for range c.all {
		c.data = append(c.data, t.TempDir())
	}
	t.Logf("%d streams", len(c.streams))
	began := time.Now()
	c.all[0] = c.launch(0, harness.Settings{harness.Broker + ".nats.port": port}, harness.Broker, harness.Monitoring, harness.Storage, harness.Collector)
	c.all[0].AwaitReady()
	c.start(1)
	two := c.awaitSettled("two nodes begin", began, nil, 0, 1)

	began = time.Now()
	c.start(2)
	three := c.awaitSettled("a third joins", began, two, 0, 1, 2)
	moved := moves(two, three)
	most := int(float64(len(c.streams)) * (1./3 + .05))
	t.Logf("%d of %d streams moved, 1/n is %d", moved, len(c.streams), len(c.streams)/3)
	if moved > most {
		t.Errorf("a node joined, and %d streams moved: want at most %d", moved, most)
	}

	began = time.Now()
	c.all[2].Kill()
	after := c.awaitSettled("it is killed", began, three, 0, 1)
	lost := 0
	for _, node := range three {
		if node == c.name(2) {
			lost++
		}
	}
	if moved := moves(three, after); moved != lost {
		t.Logf("%d streams moved, of which %d were the killed node's", moved, lost)
	}
	for _, i := range []int{1, 0} {
		c.all[i].Stop()
		if why := c.all[i].Crashed(); why != "" {
			t.Errorf("%s: %s", c.name(i), why)
		}
	}
}

// moves counts the streams that have another node.
func moves(before, after map[string]string) (n int) {
	for s, node := range after {
		if before[s] != node {
			n++
		}
	}
	return n
}

// standing is what the nodes say of the plan.
type standing struct {
	Nodes []struct {
		ID        string `json:"id"`
		State     string `json:"state"`
		Recording int    `json:"recording"`
		Waiting   int    `json:"waiting"`
		Revision  uint64 `json:"revision"`
	} `json:"nodes"`
	Placement struct {
		Revision uint64 `json:"revision"`
		Owners   []struct {
			Stream string `json:"stream"`
			Node   string `json:"node"`
		} `json:"owners"`
	} `json:"placement"`
}

// awaitSettled waits until the plan gives all streams to some nodes and to no other, and
// each of these records what it has, and checks that none has a tenth more or less than
// its share. It returns the owners.
func (c *nodes) awaitSettled(what string, began time.Time, before map[string]string, which ...int) map[string]string {
	c.t.Helper()
	var planned time.Duration
	var owners map[string]string
	shares := map[string]int{}
	settled := func() bool {
		harness.Pause(c.t, manyEvery)
		var now standing
		a, err := harness.Get(c.t.Context(), c.all[0].URL(harness.Monitoring, "/api/v1/cluster"))
		if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &now) != nil {
			return false
		}
		owners = map[string]string{}
		clear(shares)
		for _, o := range now.Placement.Owners {
			owners[o.Stream] = o.Node
			shares[o.Node]++
		}
		if len(owners) != len(c.streams) || len(shares) != len(which) || maps.Equal(owners, before) {
			return false
		}
		for _, i := range which {
			if shares[c.name(i)] == 0 {
				return false
			}
		}
		if planned == 0 {
			planned = time.Since(began)
		}
		recording := 0
		for _, n := range now.Nodes {
			if shares[n.ID] == 0 {
				continue
			}
			if n.Revision != now.Placement.Revision || n.Waiting > 0 || n.Recording != shares[n.ID] {
				return false
			}
			recording += n.Recording
		}
		return recording == len(c.streams)
	}
	if !harness.Eventually(c.t, manyWithin, settled) {
		c.t.Fatalf("%s: not settled within %v; the plan has %v", what, manyWithin, shares)
	}
	var spread []string
	for _, i := range which {
		share := float64(len(c.streams)) / float64(len(which))
		off := float64(shares[c.name(i)])/share - 1
		spread = append(spread, fmt.Sprintf("%+.1f%%", 100*off))
		if off > .1 || off < -.1 {
			c.t.Errorf("%s: %s has %d streams, %+.1f%% off its share", what, c.name(i), shares[c.name(i)], 100*off)
		}
	}
	c.t.Logf("%s: planned after %v, all %d settled after %v; off their shares %s",
		what, planned.Round(10*time.Millisecond), len(c.streams), time.Since(began).Round(10*time.Millisecond), strings.Join(spread, ", "))
	return owners
}
