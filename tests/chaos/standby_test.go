package chaos

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

// Of two schedulers on one broker one leads, and the other takes over when it is
// killed or stopped. No time is lost or recorded twice, and nobody takes the lead from
// one that lives.
func TestSchedulerStandby(t *testing.T) {
	standby(t, harness.Settings{harness.Scheduler + ".scheduler.lease_term": "3s"})
}

// The same where Consul says who leads, and where: who stands by has the leader answer.
func TestSchedulerStandbyConsul(t *testing.T) {
	s := consultest.Start(t)
	standby(t, harness.Settings{"cluster.provider": "consul", "cluster.consul.address": s.HTTP})
}

func standby(t *testing.T, lease harness.Settings) {
	r := seeded(t)
	target := newTargets(t)
	port := freePort(t)
	account := harness.Settings{harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password"}
	broker := harness.Start(t, t.TempDir(), with(account, harness.Settings{harness.Broker + ".nats.port": port}), harness.Broker)
	data := []string{t.TempDir(), t.TempDir()}
	one := func(i int) *harness.Node {
		return harness.Start(t, data[i], with(target.settings(t), account, lease, harness.Settings{
			harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": fmt.Sprintf("nats://127.0.0.1:%d", port),
			"node.id": fmt.Sprint("node-", i),
		}), harness.Scheduler)
	}
	nodes := []*harness.Node{one(0), nil}
	leads := func(i int) func() bool {
		return func() bool { return schedulerStatus(t, nodes[i]).Leader }
	}
	passes := lease["cluster.provider"] == "consul" // else nobody says where the other is
	// A scheduler that has just started may still be asking.
	known := func(i int) {
		t.Helper()
		harness.Await(t, time.Minute, "the other to know who leads", func() bool { return schedulerStatus(t, nodes[i]).Node != "" })
	}
	standsBy := func(i int) {
		t.Helper()
		if s := schedulerStatus(t, nodes[i]); s.Leader || s.Node != fmt.Sprint("node-", 1-i) {
			t.Fatalf("node %d does not stand by: %+v", i, s)
		}
		tasks := func() (*harness.Answer, error) {
			return harness.Get(t.Context(), nodes[i].URL(harness.Scheduler, schedulerAPI+"tasks"))
		}
		start := func() (*harness.Answer, error) {
			return harness.Post(t.Context(), nodes[i].URL(harness.Scheduler, schedulerAPI+"start"), "", nil)
		}
		for _, ask := range []func() (*harness.Answer, error){tasks, start} {
			var last any
			if !harness.Eventually(t, time.Minute, func() bool { // where the leader is comes to be known too
				a, err := ask()
				if last = a; err != nil {
					last = err
					return false
				}
				if !passes {
					return a.Status == http.StatusServiceUnavailable
				}
				return a.Status == http.StatusOK && a.Header.Get("X-MarketPrism-Node") == fmt.Sprint("node-", 1-i)
			}) {
				t.Fatalf("what is the leader's to answer: %+v", last)
			}
		}
		if c := nodes[i].Health(harness.Scheduler).Complaint(); c != "" {
			t.Fatalf("its health: %s", c)
		}
	}
	harness.Await(t, time.Minute, "a leader", leads(0))
	nodes[1] = one(1)
	known(1)
	standsBy(1)
	maker := nodes[0]
	if passes {
		maker = nodes[1]
	}
	tasks := makeTasks(t, maker, 60)
	rounds := harness.Rounds(t)
	leader := 0
	for round := range rounds {
		harness.Pause(t, between(r, time.Second, 3*time.Second))
		begin, how := time.Now(), "stopped"
		if round%2 == 0 {
			how = "killed"
			nodes[leader].Kill()
		} else {
			nodes[leader].Stop()
		}
		harness.Await(t, time.Minute, "the other to lead", leads(1-leader))
		t.Logf("round %d: node %d was %s, the other led after %v", round, leader, how, time.Since(begin).Round(time.Millisecond))
		nodes[leader] = one(leader)
		known(leader)
		standsBy(leader)
		leader = 1 - leader
	}
	harness.Pause(t, 5*time.Second) // longer than a term
	standsBy(1 - leader)
	judgeAll(t, nodes[leader], tasks, target, rounds)
	for i, n := range nodes {
		if led := strings.Count(n.Log(), `"msg":"scheduler leads"`); led > 1 {
			t.Errorf("one process on node %d took the lead %d times", i, led)
		}
	}
	for _, n := range append(nodes, broker) {
		n.Stop()
	}
}
