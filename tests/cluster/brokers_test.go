package cluster

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

// writing begins some writers; the function ends them.
func (r *replicas) writing(n int) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var writers sync.WaitGroup
	for w := range n {
		writers.Go(func() { r.write(ctx, w) })
	}
	stop = sync.OnceFunc(func() { cancel(); writers.Wait() })
	r.t.Cleanup(stop)
	return stop
}

// finish checks that some nodes have what was acknowledged, and stops them.
func (r *replicas) finish(which ...int) {
	r.t.Helper()
	for _, i := range which {
		r.complete(i)
	}
	r.t.Logf("%d records were acknowledged", r.count())
	for _, odd := range r.odd {
		r.t.Errorf("a write was answered %s", odd)
	}
	for _, i := range which {
		r.all[i].Stop()
		if why := r.all[i].Crashed(); why != "" {
			r.t.Errorf("%s: %s", name(i), why)
		}
	}
}

// TestMultiNodeRoutes: the servers of three nodes find each other by what Consul knows;
// one is killed, and found again when it is back.
func TestMultiNodeRoutes(t *testing.T) {
	t.Parallel()
	r := newBrokers(t, 3)
	consul := consultest.Start(t)
	clients := []int{freePort(t), freePort(t), freePort(t)}
	r.own = func(i int) harness.Settings {
		const nats = harness.Broker + ".nats."
		return harness.Settings{
			"cluster.provider": "consul", "cluster.consul.address": consul.HTTP,
			nats + "port": clients[i], nats + "cluster.bootstrap_expect": 3, nats + "cluster.port": r.port(i),
		}
	}
	r.start(0, 1, 2)
	stop := r.writing(2)
	r.awaitMore("records on three nodes", 20)
	r.all[2].Kill()
	r.awaitMore("records on two nodes", 20)
	r.start(2)
	r.awaitMore("records on three nodes again", 20)
	stop()
	r.finish(0, 1, 2)
}

// servers are a NATS cluster that is not the program's.
type servers struct {
	all  []*server.Server
	urls []string
}

// natsServers starts a cluster of NATS servers.
func natsServers(t *testing.T, n int) *servers {
	t.Helper()
	var s servers
	var routes []*url.URL
	for range n {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprint("127.0.0.1:", freePort(t))})
	}
	for i := range n {
		var port int
		if _, err := fmt.Sscanf(routes[i].Port(), "%d", &port); err != nil {
			t.Fatal(err)
		}
		one, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("nats-", i+1), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
			MaxPayload: 8 << 20, NoSigs: true, NoLog: true, Routes: routes, Cluster: server.ClusterOpts{Name: "elsewhere", Host: "127.0.0.1", Port: port},
		})
		if err != nil {
			t.Fatal(err)
		}
		one.Start()
		t.Cleanup(func() { one.Shutdown(); one.WaitForShutdown() })
		s.all = append(s.all, one)
	}
	for _, one := range s.all {
		harness.Await(t, time.Minute, "a NATS cluster", func() bool { return one.ReadyForConnections(time.Second) && one.JetStreamIsCurrent() })
		s.urls = append(s.urls, one.ClientURL())
	}
	return &s
}

// leader is the server that leads a stream of the one account; nil while none does.
func (s *servers) leader(stream string) *server.Server {
	for _, one := range s.all {
		if one.Running() && one.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return one
		}
	}
	return nil
}

// TestMultiNodeExternal: nodes on a NATS cluster that is not theirs. The server that leads
// the journal is ended under load: what was acknowledged is on every node, once.
func TestMultiNodeExternal(t *testing.T) {
	t.Parallel()
	s := natsServers(t, 3)
	r := newBrokers(t, 2)
	r.services = []string{harness.Storage}
	r.own = func(int) harness.Settings {
		return harness.Settings{harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": strings.Join(s.urls, ",")}
	}
	r.start(0, 1)
	stop := r.writing(2)
	r.awaitMore("records before a server ends", 50)
	var leader *server.Server
	harness.Await(t, time.Minute, "a leader of the journal", func() bool { leader = s.leader("JOURNAL_0"); return leader != nil })
	ended := time.Now()
	leader.Shutdown()
	r.awaitMore("records after the leader of the journal has ended", 50)
	t.Logf("50 more records were acknowledged %v after the leader of the journal had ended", time.Since(ended).Round(time.Millisecond))
	stop()
	r.finish(0, 1)
}

// TestMultiNodeFiveBrokers: of five nodes two are killed, and writing goes on; with a
// third it stops, and says so, and goes on when that is back.
func TestMultiNodeFiveBrokers(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("MARKETPRISM_SOAK=1 runs it: five processes with a broker each")
	}
	r := newBrokers(t, 5)
	r.start(0, 1, 2, 3, 4)
	stop := r.writing(2)
	r.awaitMore("records on five nodes", 50)
	for _, i := range []int{4, 3} {
		r.all[i].Kill()
		r.awaitMore("records without "+name(i), 50)
	}
	r.mu.Lock()
	clear(r.codes)
	r.mu.Unlock()
	r.all[2].Kill()
	harness.Await(t, time.Minute, "refusals while three of five are away", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.codes) > 0
	})
	harness.Await(t, time.Minute, "a health that names who is away", func() bool {
		text := r.all[0].Health(harness.Broker).Complaint()
		return strings.Contains(text, name(2)) && strings.Contains(text, name(3)) && strings.Contains(text, name(4))
	})
	r.mu.Lock()
	t.Logf("with three of five away writes were refused: %v", r.codes)
	r.mu.Unlock()
	// What is on its way may still be acknowledged; after that nothing is.
	had := r.count()
	r.start(2)
	r.awaitMore("records after one was back", 50)
	t.Logf("%d records were acknowledged before, %d after", had, r.count()-had)
	r.start(3, 4)
	stop()
	r.finish(0, 1, 2, 3, 4)
}
