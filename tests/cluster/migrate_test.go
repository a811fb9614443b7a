package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

// TestMultiNodeMigrate: a node that stood alone, with records, a thousand tasks, a silence
// and a stream of messages that a consumer has half of, is migrated, and joined by two.
// Everything is there: no trade is missing or twice on any of them, each task has one fire
// for each of its times, before and after, and the consumer goes on where it stood.
func TestMultiNodeMigrate(t *testing.T) {
	t.Parallel()
	c := &nodes{t: t, consul: consultest.Start(t), all: make([]*harness.Node, 3)}
	c.sim = harness.Simulate(t, "--symbols", "4", "--rate", fmt.Sprint(rate), "--genesis", "now", "--exchange", "binance/spot,okx/spot")
	const nats = harness.Broker + ".nats."
	c.common = harness.Settings{
		nats + "port": -1, nats + "username": "prism", nats + "password": "a password",
		harness.Storage + ".embedded.publish_interval": "1s", harness.Scheduler + ".scheduler.default_tasks": false,
		harness.Scheduler + ".scheduler.history.count": 1000, harness.Scheduler + ".scheduler.history.total": 1_000_000,
	}
	c.collect()
	services := []string{harness.Broker, harness.Monitoring, harness.Storage, harness.Scheduler, harness.Collector}
	for range 3 {
		c.data = append(c.data, t.TempDir())
	}
	alone := maps.Clone(c.common)
	alone["node.id"] = c.name(0)
	c.all[0] = harness.Launch(t, c.data[0], alone, nil, services...)
	c.all[0].AwaitReady()
	c.awaitPlaced("a node alone", 0)
	tasks := c.makeTasks(0)
	made := time.Now()
	c.tell(harness.Monitoring, "/api/v1/silences", `{"matchers":[{"name":"service","value":"migrated"}],"duration_seconds":3600,"comment":"a test"}`, nil)
	const broker = "/api/v1/broker/"
	c.tell(harness.Broker, broker+"streams", `{"name":"work","subjects":["work.>"]}`, nil)
	c.tell(harness.Broker, broker+"streams/work/consumers", `{"name":"worker","ack_wait_seconds":60}`, nil)
	for i := range 10 {
		c.tell(harness.Broker, broker+"publish", fmt.Sprintf(`{"subject":"work.a","message":%d}`, i), nil)
	}
	if got := c.fetch(5); !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Fatalf("the consumer got %v", got)
	}
	harness.Pause(t, taskEvery)
	c.awaitStored(time.Now())
	c.all[0].Stop()

	var routes, ports []string
	for range 3 {
		port := fmt.Sprint(freePort(t))
		ports, routes = append(ports, port), append(routes, "127.0.0.1:"+port)
	}
	clustered := func(i int) harness.Settings {
		s := maps.Clone(c.common)
		maps.Copy(s, harness.Settings{
			"node.id": c.name(i), "cluster.provider": "consul", "cluster.consul.address": c.consul.HTTP,
			nats + "cluster.bootstrap_expect": 3, nats + "cluster.port": json.Number(ports[i]), nats + "cluster.routes": routes,
		})
		return s
	}
	file := filepath.Join(t.TempDir(), "services.yaml")
	harness.WriteConfig(t, file, c.data[0], clustered(0))
	said := harness.Must(t, 2*time.Minute, "journal", "migrate", "-c", file)
	t.Log(said.Out)
	for i := range 3 {
		c.all[i] = harness.Launch(t, c.data[i], clustered(i), nil, services...)
	}
	for _, n := range c.all {
		n.AwaitReady()
	}
	c.awaitPlaced("three nodes", 0, 1, 2)

	var silences struct {
		Silences []struct {
			Comment string `json:"comment"`
		} `json:"silences"`
	}
	for i, n := range c.all {
		harness.GetJSON(t, n.URL(harness.Monitoring, "/api/v1/silences"), &silences)
		if len(silences.Silences) != 1 || silences.Silences[0].Comment != "a test" {
			t.Errorf("%s has the silences %+v", c.name(i), silences)
		}
	}
	if got := c.fetch(10); !slices.Equal(got, []int{5, 6, 7, 8, 9}) {
		t.Errorf("the consumer goes on with %v", got)
	}
	harness.Pause(t, taskEvery)
	c.awaitStored(time.Now())
	c.complete()
	c.fired(tasks, made, time.Now(), 0, 1, 2)
	first := c.all[0]
	for i := 1; i < 3; i++ { // each has a full copy
		c.all[0] = c.all[i]
		c.awaitStored(time.Now())
		c.complete()
	}
	c.all[0] = first
	for i, n := range c.all {
		n.Stop()
		if why := n.Crashed(); why != "" {
			t.Errorf("%s: %s", c.name(i), why)
		}
	}
}

// tell posts to the first node, and reads the answer.
func (c *nodes) tell(service, path, body string, into any) {
	c.t.Helper()
	a, err := harness.Post(c.t.Context(), c.all[0].URL(service, path), "application/json", []byte(body))
	if err != nil || a.Status >= http.StatusMultipleChoices {
		c.t.Fatalf("POST %s: %v, %+v", path, err, a)
	}
	if into != nil {
		if err := json.Unmarshal(a.Body, into); err != nil {
			c.t.Fatalf("POST %s: %v in %.300s", path, err, a.Body)
		}
	}
}

// fetch takes and acknowledges messages of the stream of work.
func (c *nodes) fetch(most int) (data []int) {
	c.t.Helper()
	const consumer = "/api/v1/broker/streams/work/consumers/worker/fetch"
	var got struct {
		Messages []struct {
			Data  int    `json:"data"`
			Token string `json:"token"`
		} `json:"messages"`
	}
	c.tell(harness.Broker, consumer, fmt.Sprintf(`{"max":%d,"wait_seconds":5}`, most), &got)
	var tokens []string
	for _, m := range got.Messages {
		data, tokens = append(data, m.Data), append(tokens, fmt.Sprintf("%q", m.Token))
	}
	c.tell(harness.Broker, "/api/v1/broker/consumers/ack", `{"tokens":[`+strings.Join(tokens, ",")+`]}`, nil)
	return data
}
