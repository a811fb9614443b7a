package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

// rate is how many events a simulated instrument has in a second.
const rate = 20

// nodes are processes that share a broker and a Consul. The first has the broker, the
// store and monitoring, and every one a collector.
type nodes struct {
	t      *testing.T
	sim    *harness.Simulator
	consul *consultest.Server
	common harness.Settings
	url    string // of the broker, where the first node alone has it
	data   []string
	all    []*harness.Node // nil: does not run
	// services are those of the nodes that start starts, own the settings that each of
	// them has alone.
	services []string
	own      func(i int) harness.Settings
	// asks is the index of the node whose store is asked.
	asks int
	// streams are all there are, as exchange/market/symbol.
	streams []string
}

// newNodes starts exchanges, a Consul and the first node.
func newNodes(t *testing.T, n int) *nodes {
	t.Helper()
	consul := consultest.Start(t)
	return nodesOf(t, n, consul, consul.HTTP)
}

// nodesOf starts exchanges and the first node, which reaches a Consul at an address.
func nodesOf(t *testing.T, n int, consul *consultest.Server, address string) *nodes {
	t.Helper()
	c := &nodes{t: t, consul: consul, all: make([]*harness.Node, n), services: []string{harness.Collector}}
	c.sim = harness.Simulate(t, "--symbols", "6", "--rate", fmt.Sprint(rate), "--genesis", "now", "--exchange", "binance/spot,okx/spot,deribit/perpetual")
	c.common = harness.Settings{
		"cluster.provider": "consul", "cluster.consul.address": address,
		harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password",
		harness.Storage + ".embedded.publish_interval": "1s",
	}
	c.collect()
	for range n {
		c.data = append(c.data, t.TempDir())
	}
	port := freePort(t)
	c.url = fmt.Sprintf("nats://127.0.0.1:%d", port)
	c.own = func(int) harness.Settings {
		return harness.Settings{harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": c.url}
	}
	c.all[0] = c.launch(0, harness.Settings{harness.Broker + ".nats.port": port}, harness.Broker, harness.Monitoring, harness.Storage, harness.Collector)
	c.all[0].AwaitReady()
	return c
}

// everywhere is three nodes with everything on each of them, the broker too, of which
// none runs yet; what they collect is for collect to say.
func everywhere(t *testing.T, exchanges string) *nodes {
	t.Helper()
	c := &nodes{
		t: t, consul: consultest.Start(t), all: make([]*harness.Node, 3),
		services: []string{harness.Broker, harness.Monitoring, harness.Storage, harness.Scheduler, harness.Collector},
	}
	c.sim = harness.Simulate(t, "--symbols", "6", "--rate", fmt.Sprint(rate), "--genesis", "now", "--exchange", exchanges)
	const nats = harness.Broker + ".nats."
	c.common = harness.Settings{
		"cluster.provider": "consul", "cluster.consul.address": c.consul.HTTP,
		nats + "port": -1, nats + "username": "prism", nats + "password": "a password", nats + "cluster.bootstrap_expect": 3,
		harness.Storage + ".embedded.publish_interval": "1s",
	}
	maps.Copy(c.common, manyTasks)
	var routes, ports []string
	for range c.all {
		port := fmt.Sprint(freePort(t))
		ports, routes = append(ports, port), append(routes, "127.0.0.1:"+port)
		c.data = append(c.data, t.TempDir())
	}
	c.own = func(i int) harness.Settings {
		return harness.Settings{nats + "cluster.port": json.Number(ports[i]), nats + "cluster.routes": routes}
	}
	return c
}

// collect makes every node collect what is simulated.
func (c *nodes) collect() {
	var names []string
	for _, m := range c.sim.Markets {
		markets := "exchanges." + m.Exchange + ".markets."
		if !slices.Contains(names, m.Exchange) {
			names = append(names, m.Exchange)
			c.common["exchanges."+m.Exchange+".enabled"] = true
			for _, other := range []string{"spot", "perpetual"} {
				c.common[markets+other+".enabled"] = false
			}
		}
		at := markets + m.Market + "."
		c.common[at+"enabled"] = true
		c.common[at+"ws_url"], c.common[at+"rest_url"] = m.WS, m.REST
		c.common[at+"symbols"], c.common[at+"data_types"] = m.Symbols, []string{"trade", "book_delta"}
		c.common[at+"reconnect.initial_wait"], c.common[at+"reconnect.max_wait"] = "50ms", "500ms"
		for _, s := range m.Symbols {
			c.streams = append(c.streams, m.Exchange+"/"+m.Market+"/"+s)
		}
	}
	c.common[harness.Collector+".exchanges"] = names
	slices.Sort(c.streams)
}

// name is a node's.
func (c *nodes) name(i int) string { return fmt.Sprint("node-", i+1) }

func (c *nodes) launch(i int, own harness.Settings, services ...string) *harness.Node {
	return harness.Launch(c.t, c.data[i], c.settings(i, own), nil, services...)
}

// settings are all of a node's, its own included.
func (c *nodes) settings(i int, own harness.Settings) harness.Settings {
	s := maps.Clone(c.common)
	maps.Copy(s, own)
	s["node.id"] = c.name(i)
	return s
}

// start starts nodes, at once.
func (c *nodes) start(which ...int) {
	c.t.Helper()
	for _, i := range which {
		c.all[i] = c.launch(i, c.own(i), c.services...)
	}
	for _, i := range which {
		c.all[i].AwaitReady()
	}
}

// stopAll stops all nodes at once, in order: one after the other, the last ones would wait
// for a broker that has no majority.
func (c *nodes) stopAll() {
	c.t.Helper()
	for _, n := range c.all {
		n.Terminate()
	}
	for i, n := range c.all {
		if code := n.Exit(); code != 0 {
			c.t.Errorf("%s was stopped, and ended with %d", c.name(i), code)
		}
		if why := n.Crashed(); why != "" {
			c.t.Errorf("%s: %s", c.name(i), why)
		}
	}
}

// live are the streams that a node collects, live.
func (c *nodes) live(i int) []string {
	var list struct {
		Streams []struct {
			Exchange string `json:"exchange"`
			Market   string `json:"market"`
			Symbol   string `json:"symbol"`
			Live     bool   `json:"live"`
		} `json:"streams"`
	}
	a, err := harness.Get(c.t.Context(), c.all[i].URL(harness.Collector, "/api/v1/quality?scope=node"))
	if err != nil || a.Status != 200 {
		return nil // it may be ending
	}
	if err := json.Unmarshal(a.Body, &list); err != nil {
		c.t.Fatalf("%v in %.200s", err, a.Body)
	}
	var live []string
	for _, s := range list.Streams {
		if s.Live {
			live = append(live, s.Exchange+"/"+s.Market+"/"+s.Symbol)
		}
	}
	slices.Sort(live)
	return live
}

// owners are the nodes, of those given, on which each stream is live.
func (c *nodes) owners(which ...int) map[string][]int {
	of := map[string][]int{}
	for _, i := range which {
		for _, s := range c.live(i) {
			of[s] = append(of[s], i)
		}
	}
	return of
}

// awaitPlaced waits until each stream is live on exactly one of some nodes, and each of
// these has its share.
func (c *nodes) awaitPlaced(what string, which ...int) map[string][]int {
	c.t.Helper()
	var of map[string][]int
	if !harness.Eventually(c.t, time.Minute, func() bool {
		of = c.owners(which...)
		count := map[int]int{}
		for _, s := range c.streams {
			if len(of[s]) != 1 {
				return false
			}
			count[of[s][0]]++
		}
		for _, i := range which {
			if len(which) > 1 && (count[i] == 0 || count[i] > 2*len(c.streams)/len(which)) {
				return false
			}
		}
		return true
	}) {
		c.t.Fatalf("%s: the streams and the nodes that have them:\n%v", what, of)
	}
	return of
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// split is exchange, market and symbol of a stream.
func split(stream string) (exchange, market, symbol string) {
	parts := strings.SplitN(stream, "/", 3)
	return parts[0], parts[1], parts[2]
}
