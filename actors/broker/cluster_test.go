package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
)

// clusterConfigs are those of three servers that find each other.
func clusterConfigs(t *testing.T) []broker.Config {
	t.Helper()
	var routes []string
	var ports []int
	var held []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		routes = append(routes, l.Addr().String())
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range held { // none was given twice
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	all := make([]broker.Config, 3)
	for i := range all {
		c := testConfig(t)
		c.Port = -1
		c.ServerName = fmt.Sprint("node-", i+1)
		c.Username, c.Password = "prism", "a password"
		c.Cluster.BootstrapExpect, c.Cluster.Port, c.Cluster.Routes = 3, ports[i], routes
		all[i] = c
	}
	return all
}

// TestCluster: three servers become one broker over TLS, which goes on without any one
// of them. While they run another authority takes the place of theirs, with certificates
// of its own: who is started with the new files is let in by those that were not.
func TestCluster(t *testing.T) {
	configs, ca := clusterConfigs(t), newAuthority(t)
	for i := range configs {
		o := &configs[i].Cluster.TLS
		o.CertFile, o.KeyFile = ca.sign(t.TempDir(), int64(i+2), time.Now().Add(time.Hour))
		o.CAFile = ca.File
	}
	handles, systems := make([]*broker.Handle, 3), make([]*supervise.System, 3)
	registries := make([]*prometheus.Registry, 3)
	started := make(chan error, 3)
	for i, c := range configs {
		registries[i] = prometheus.NewRegistry()
		var err error
		if handles[i], err = broker.New(c, broker.Options{Registerer: registries[i]}); err != nil {
			t.Fatal(err)
		}
		systems[i] = newSystem(t)
		go func() { started <- systems[i].Start(testContext(t), handles[i].Spec()) }()
	}
	for range 3 {
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
	s := handles[0].Cluster()
	if s == nil || s.Leader == "" || len(s.Peers) != 3 || len(s.Missing()) > 0 {
		t.Fatalf("the cluster: %+v", s)
	}
	if n, err := testutil.GatherAndCount(registries[0], "mp_broker_nodes_online", "mp_broker_majority"); err != nil || n != 2 {
		t.Errorf("metrics of the cluster: %d, %v", n, err)
	}
	_, js := connectClients(t, handles[0])
	stream, err := js.Stream(testContext(t), "MARKET_DATA")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().Config.Replicas; n != 3 {
		t.Errorf("a stream has %d replicas, want 3", n)
	}
	if _, err := js.Publish(testContext(t), "market.a", []byte("one")); err != nil {
		t.Fatal(err)
	}
	leader := 0
	for i, c := range configs {
		if c.ServerName == stream.CachedInfo().Cluster.Leader {
			leader = i
		}
	}
	if err := systems[leader].Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	other := handles[(leader+1)%3]
	_, js = connectClients(t, other)
	publish(t, js, "two")
	if gone := other.Cluster().Missing(); len(gone) != 1 || gone[0] != configs[leader].ServerName {
		t.Errorf("missing: %v, want %s", gone, configs[leader].ServerName)
	}
	stream, err = js.Stream(testContext(t), "MARKET_DATA")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n < 2 {
		t.Errorf("%d messages are stored, want 2 or more", n)
	}

	next := newAuthority(t)
	for i, c := range configs {
		next.sign(filepath.Dir(c.Cluster.TLS.CertFile), int64(i+12), time.Now().Add(time.Hour))
	}
	fresh, err := os.ReadFile(next.File)
	if err == nil {
		err = os.WriteFile(ca.File+".next", fresh, 0o600)
	}
	if err == nil {
		err = os.Rename(ca.File+".next", ca.File)
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := broker.New(configs[leader], broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := newSystem(t).Start(testContext(t), again.Spec()); err != nil {
		t.Fatal(err)
	}
	for i, h := range []*broker.Handle{handles[(leader+1)%3], handles[(leader+2)%3], again} {
		actorstest.Eventually(t, "each to hear the others with certificates of the new authority", func() bool {
			s := h.Cluster()
			return s != nil && len(s.Peers) == 3 && len(s.Missing()) == 0
		})
		_, js = connectClients(t, h)
		publish(t, js, fmt.Sprint("with new certificates ", i))
	}
}

// publish repeats a message until it is stored.
func publish(t *testing.T, js jetstream.JetStream, text string) {
	t.Helper()
	ctx := testContext(t)
	for {
		once, cancel := context.WithTimeout(ctx, time.Second)
		_, err := js.Publish(once, "market.a", []byte(text))
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestClusterRefusesOtherStore: what a server made that stood alone is not lost to a
// cluster, nor the other way round.
func TestClusterRefusesOtherStore(t *testing.T) {
	c := clusterConfigs(t)[0]
	alone := testConfig(t)
	alone.StoreDir = c.StoreDir
	_, sys := start(t, alone)
	if err := sys.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	_, err := broker.New(c, broker.Options{})
	if !errors.Is(err, broker.ErrStandalone) || !strings.Contains(err.Error(), "From one node to three") {
		t.Errorf("a cluster over the store of one: %v", err)
	}
	met := t.TempDir()
	mkdir(t, filepath.Join(met, "jetstream", "$SYS", "_js_", "_meta_"))
	alone.StoreDir = met
	if _, err := broker.New(alone, broker.Options{}); !errors.Is(err, broker.ErrInCluster) {
		t.Errorf("one over the store of a cluster: %v", err)
	}
}

func TestClusterConfig(t *testing.T) {
	for name, one := range map[string]struct {
		change func(*broker.Config)
		want   string
	}{
		"two nodes":             {func(c *broker.Config) { c.Cluster.BootstrapExpect = 2 }, "cluster.bootstrap_expect: 2"},
		"no password":           {func(c *broker.Config) { c.Username, c.Password = "", "" }, "username: with cluster.bootstrap_expect 3"},
		"routes of others":      {func(c *broker.Config) { c.Cluster.Routes = c.Cluster.Routes[1:] }, "cluster.routes: 2 of them"},
		"route without port":    {func(c *broker.Config) { c.Cluster.Routes[1] = "10.0.0.1" }, "cluster.routes[1]"},
		"plain beyond loopback": {func(c *broker.Config) { c.Cluster.Host = "10.0.0.1" }, "cluster.tls: is needed"},
		"plain to others":       {func(c *broker.Config) { c.Cluster.Routes[2] = "10.0.0.3:6222" }, "cluster.tls: is needed"},
		"half of TLS":           {func(c *broker.Config) { c.Cluster.TLS.CertFile = "a.pem" }, "cluster.tls: cert_file"},
		"no port for clients":   {func(c *broker.Config) { c.Port = 0 }, "port: 0"},
		"no port":               {func(c *broker.Config) { c.Cluster.Port = 0 }, "cluster.port: 0"},
		"name with a space":     {func(c *broker.Config) { c.Cluster.Name = "a b" }, "cluster.name"},
	} {
		t.Run(name, func(t *testing.T) {
			c := clusterConfigs(t)[0]
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			one.change(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), one.want) {
				t.Errorf("got %v, want %s", err, one.want)
			}
		})
	}
	c := clusterConfigs(t)[0]
	c.Cluster.Routes = nil
	if _, err := broker.New(c, broker.Options{}); err == nil {
		t.Error("nobody says where the others are, and that is no error")
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestRouteToAnother: a server does not take another's certificate of its authority for
// that of one of its cluster.
func TestRouteToAnother(t *testing.T) {
	configs, ca := clusterConfigs(t), newAuthority(t)
	c := &configs[0]
	c.Cluster.TLS.CAFile = ca.File
	c.Cluster.TLS.CertFile, c.Cluster.TLS.KeyFile = ca.sign(t.TempDir(), 2, time.Now().Add(time.Hour))
	for name, tc := range map[string]struct {
		hosts []string
		want  bool
	}{
		"an address of the cluster": {[]string{"10.0.0.1", "127.0.0.1"}, true},
		"none of the cluster":       {[]string{"10.0.0.1", "10.0.0.2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := broker.ShakeHands(t, c.Cluster.TLS, tc.hosts); (err == nil) != tc.want {
				t.Errorf("%v", err)
			}
		})
	}
}
