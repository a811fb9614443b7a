package browser

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

// TestMultiNodeWalkOfThree: on three nodes that find one another by a real Consul, every page
// is as it is on one; a node that is killed is seen to be gone and its streams to be taken
// over, and another node's page says the same.
func TestMultiNodeWalkOfThree(t *testing.T) {
	node, chromium, modules := tools(t)
	pictures := t.TempDir()
	if kept := os.Getenv("MARKETPRISM_PICTURES"); kept != "" {
		pictures = kept + "/three"
	}
	sim := harness.Simulate(t, "--symbols", "4", "--rate", "5", "--genesis", "now", "--exchange", "binance/spot,okx/spot")
	common := collecting(sim)
	maps.Copy(common, harness.Settings{
		"cluster.provider": "consul", "cluster.consul.address": consultest.Start(t).HTTP,
		harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password", harness.Storage + ".embedded.publish_interval": "1s",
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	start := func(i int, own harness.Settings, services ...string) *harness.Node {
		s := maps.Clone(common)
		maps.Copy(s, own)
		s["node.id"] = fmt.Sprint("node-", i)
		return harness.Launch(t, t.TempDir(), s, nil, services...)
	}
	first := start(1, harness.Settings{harness.Broker + ".nats.port": port})
	first.AwaitReady()
	outside := harness.Settings{harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": fmt.Sprint("nats://127.0.0.1:", port)}
	more := []string{harness.Monitoring, harness.Scheduler, harness.Collector, harness.Gateway}
	second, third := start(2, outside, more...), start(3, outside, more...)
	second.AwaitReady()
	third.AwaitReady()

	w := walk(t, node, modules, first.URL(harness.Monitoring, ""), chromium, pictures, "node-2", strconv.Itoa(second.PID()), third.URL(harness.Monitoring, ""))
	c := w.Cluster
	if !maps.Equal(c.Before, map[string]string{"node-1": "Up", "node-2": "Up", "node-3": "Up"}) || len(c.Leases) == 0 || slices.Contains(c.Leases, "") {
		t.Errorf("three nodes: %+v", c)
	}
	if c.Streams != 8 || c.Owned == 0 || c.Moves < c.Owned {
		t.Errorf("of %d streams the node had %d, and %d moves are listed: want 8, some, and as many", c.Streams, c.Owned, c.Moves)
	}
	if c.Seen != "Unreachable" && c.Seen != "gone" || c.Other["node-1"] != "Up" || c.Other["node-3"] != "Up" || c.Other["node-2"] == "Up" {
		t.Errorf("after the kill: %+v", c)
	}
}

// collecting are the settings of a node that collects all that is simulated.
func collecting(sim *harness.Simulator) harness.Settings {
	s := harness.Settings{}
	var names []string
	for _, m := range sim.Markets {
		if !slices.Contains(names, m.Exchange) {
			names = append(names, m.Exchange)
			s["exchanges."+m.Exchange+".enabled"] = true
			for _, other := range []string{"spot", "perpetual", "future"} {
				s["exchanges."+m.Exchange+".markets."+other+".enabled"] = other == m.Market
			}
		}
		at := "exchanges." + m.Exchange + ".markets." + m.Market + "."
		s[at+"enabled"], s[at+"ws_url"], s[at+"rest_url"], s[at+"symbols"] = true, m.WS, m.REST, m.Symbols
	}
	s[harness.Collector+".exchanges"] = names
	return s
}
