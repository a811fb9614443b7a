package cluster

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// withhold takes a symbol away from what is to be collected, and returns its stream.
func (c *nodes) withhold() (stream string) {
	m := &c.sim.Markets[slices.IndexFunc(c.sim.Markets, func(m harness.SimulatedMarket) bool { return m.Exchange == "binance" })]
	n := len(m.Symbols) - 1
	stream = m.Exchange + "/" + m.Market + "/" + m.Symbols[n]
	m.Symbols = slices.Clone(m.Symbols[:n])
	return stream
}

// add subscribes to a stream at one node, and waits until one of them has it and all know
// of it.
func (c *nodes) add(i int, stream string) {
	c.t.Helper()
	exchange, market, symbol := split(stream)
	body := fmt.Appendf(nil, `{"action":"subscribe","symbols":[%q],"data_types":["trade","book_delta"],"market":%q}`, symbol, market)
	a, err := harness.Post(c.t.Context(), c.all[i].URL(harness.Collector, "/api/v1/exchanges/"+exchange+"/subscribe"), "application/json", body)
	if err != nil || a.Status != http.StatusOK {
		c.t.Fatalf("subscribing to %s: %v %+v", stream, err, a)
	}
	c.streams = append(c.streams, stream)
	slices.Sort(c.streams)
	of := c.awaitPlaced("a symbol was added", 0, 1, 2)
	c.t.Logf("%s was added at %s, and is at %s", stream, c.name(i), c.name(of[stream][0]))
	c.known(stream)
}

// known waits until every node says that a stream was subscribed to at run time.
func (c *nodes) known(stream string) {
	c.t.Helper()
	exchange, market, symbol := split(stream)
	for i, n := range c.all {
		c.awaitMoving(fmt.Sprintf("%s to know that %s was added", c.name(i), stream), func() bool {
			var list struct {
				Markets []struct {
					Exchange string `json:"exchange"`
					Market   string `json:"market"`
					Changes  []struct {
						Action string `json:"action"`
						Symbol string `json:"symbol"`
					} `json:"changes"`
				} `json:"markets"`
			}
			a, err := harness.Get(c.t.Context(), n.URL(harness.Collector, "/api/v1/subscriptions"))
			if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &list) != nil {
				return false
			}
			for _, m := range list.Markets {
				for _, change := range m.Changes {
					if m.Exchange == exchange && m.Market == market && change.Symbol == symbol && change.Action == "subscribe" {
						return true
					}
				}
			}
			return false
		})
	}
}

// entranceRequests are so many that each of three instances has some of them: that one of
// them has none is as likely as 3 in 10^17.
const entranceRequests = 100

// entrance checks that the gateway of a node sends requests to the storage services of some
// nodes, to each of them, and to no other, once Consul knows of them.
func (c *nodes) entrance(i int, which ...int) {
	c.t.Helper()
	var want []string
	for _, n := range which {
		want = append(want, strings.TrimPrefix(c.all[n].URL(harness.Storage, ""), "http://"))
	}
	slices.Sort(want)
	instances := func() (addresses []string, asked map[string]int) {
		var stats struct {
			Breakers map[string]struct {
				Instances []struct {
					Host   string `json:"host"`
					Port   int    `json:"port"`
					Window int    `json:"window_requests"`
				} `json:"instances"`
			} `json:"circuit_breaker_stats"`
		}
		asked = map[string]int{}
		a, err := harness.Get(c.t.Context(), c.all[i].URL(harness.Gateway, "/api/v1/gateway/stats"))
		if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &stats) != nil {
			return nil, asked
		}
		for _, one := range stats.Breakers[harness.Storage].Instances {
			address := fmt.Sprintf("%s:%d", one.Host, one.Port)
			addresses, asked[address] = append(addresses, address), one.Window
		}
		slices.Sort(addresses)
		return addresses, asked
	}
	var have []string
	if !harness.Eventually(c.t, anywhereWithin, func() bool { have, _ = instances(); return slices.Equal(have, want) }) {
		c.t.Fatalf("the gateway of %s knows the storage services %v, want %v", c.name(i), have, want)
	}
	for range entranceRequests {
		a, err := harness.Get(c.t.Context(), c.all[i].URL(harness.Gateway, "/api/v1/storage/status"))
		if err != nil || a.Status != http.StatusOK {
			c.t.Fatalf("through the gateway of %s, which knows %v: %v %+v", c.name(i), have, err, a)
		}
	}
	if _, asked := instances(); slices.ContainsFunc(want, func(address string) bool { return asked[address] == 0 }) {
		c.t.Errorf("the gateway of %s has sent %d requests to %v", c.name(i), entranceRequests, asked)
	}
}

// switched turns the schedules on or off, at a node whose scheduler leads or stands by.
func (c *nodes) switched(at int, word string) {
	c.t.Helper()
	c.awaitMoving("the scheduler to "+word, func() bool {
		a, err := harness.Post(c.t.Context(), c.all[at].URL(harness.Scheduler, schedulerAPI+word), "application/json", nil)
		return err == nil && a.Status == http.StatusOK
	})
}

// schedulers are how many nodes say that their scheduler leads, and that schedules fire.
func (c *nodes) schedulers() (leading, running int) {
	for _, n := range c.all {
		var status struct {
			Data struct {
				Leader  bool `json:"leader"`
				Running bool `json:"scheduler_running"`
			} `json:"data"`
		}
		a, err := harness.Get(c.t.Context(), n.URL(harness.Scheduler, schedulerAPI+"status?scope=node"))
		if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &status) != nil {
			continue
		}
		if status.Data.Leader {
			leading++
		}
		if status.Data.Running {
			running++
		}
	}
	return leading, running
}

// powerCut kills all nodes at once while the schedules are off, and starts them again: a
// symbol that was added is collected, the schedules are off whoever leads, and fire once
// they are turned on.
func (c *nodes) powerCut(r *rand.Rand, added string, tasks []task) {
	c.t.Helper()
	c.switched(r.IntN(3), "stop")
	for _, n := range c.all {
		n.Kill()
	}
	began := time.Now()
	c.start(0, 1, 2)
	c.awaitPlaced("after all were killed at once", 0, 1, 2)
	c.t.Logf("all three were killed at once, and all is placed again %v after that", time.Since(began).Round(time.Millisecond))
	c.known(added)
	c.entrance(r.IntN(3), 0, 1, 2)
	c.awaitMoving("a scheduler that leads after all were killed", func() bool { leading, _ := c.schedulers(); return leading == 1 })
	if _, running := c.schedulers(); running > 0 {
		c.t.Error("the schedules were off when all were killed, and are on")
	}
	for id, times := range c.fires(0, 1, 2) {
		for at := range times {
			if at > began.Unix() {
				c.t.Errorf("%s fired for %v, when the schedules were off", id, time.Unix(at, 0).UTC())
			}
		}
	}
	c.switched(r.IntN(3), "start")
	on := time.Now().Unix()
	c.awaitMoving("tasks to fire again", func() bool {
		fired := c.fires(0, 1, 2)
		n := 0
		for _, one := range tasks {
			for at := range fired[one.id] {
				if at >= on {
					n++
				}
			}
		}
		return n > 0
	})
}
