package consul_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/cluster/consul/consultest"
)

// node is one node of a test's cluster.
type node struct {
	*consul.Node
	name   string
	system *supervise.System
	port   net.Listener // what is probed
	left   bool
}

// join starts a node that announces storage, and follows it.
func join(t *testing.T, address, name string) *node {
	t.Helper()
	return joinWith(t, address, name, time.Second, "")
}

// joinWith starts one with a TTL; what is vital has a port that lasts.
func joinWith(t *testing.T, address, name string, ttl time.Duration, vital string) *node {
	t.Helper()
	c := cluster.DefaultConsul()
	c.Address, c.TTL, c.Grace = address, ttl, 4*ttl
	n, err := consul.New(consul.Options{Config: c, Name: name, Services: []string{cluster.Storage}, Vital: vital})
	if err != nil {
		t.Fatal(err)
	}
	log := zap.NewNop()
	if testing.Verbose() {
		log = zaptest.NewLogger(t).Named(name)
	}
	system, err := supervise.NewSystem(t.Context(), supervise.Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 30*time.Second)
	if err := system.Start(ctx, n.Spec()); err != nil {
		t.Fatal(err)
	}
	one := &node{Node: n, name: name, system: system, port: l}
	t.Cleanup(func() { one.stop(t) })
	if err := n.Announce(ctx, system, consul.Announcement{
		Service: cluster.Storage, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Lasting: vital != "", Meta: map[string]string{"version": "1"},
	}); err != nil {
		t.Fatal(err)
	}
	return one
}

// stop ends the node as a crash would: nothing is said to Consul, the port is closed.
func (n *node) stop(t *testing.T) {
	if n.left {
		return
	}
	n.left = true
	_ = n.port.Close()
	if err := n.system.Stop(context.Background()); err != nil {
		t.Errorf("stopping %s: %v", n.name, err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func (n *node) sees() []string {
	names := []string{}
	for _, m := range n.View(cluster.Storage).Members {
		names = append(names, m.Node)
	}
	return names
}

// settle waits until the node sees exactly these, in order.
func (n *node) settle(t *testing.T, d time.Duration, want ...string) {
	t.Helper()
	ctx := within(t, d)
	for {
		changed := n.View(cluster.Storage).Changed
		if slices.Equal(n.sees(), want) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s sees %v, want %v", n.name, n.sees(), want)
		}
	}
}

// holds fails when a node's list changes within d.
func (n *node) holds(t *testing.T, d time.Duration) {
	t.Helper()
	changed := n.View(cluster.Storage).Changed
	before := n.sees()
	select {
	case <-changed:
		t.Fatalf("%s saw %v, and then %v", n.name, before, n.sees())
	case <-time.After(d): // this long nothing is to happen
	}
}

// well waits until Consul takes a node's heartbeats.
func (n *node) well(t *testing.T) {
	t.Helper()
	eventually(t, "heartbeats of "+n.name+" are taken", func() bool { return n.Err() == nil })
}

// eventually polls another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// TestMembers: who comes is seen, who leaves is gone at once, who crashes is gone once
// its heartbeat has run out, and who is only ill stays while its port answers.
func TestMembers(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	a, b, c := join(t, s.HTTP, "a"), join(t, s.HTTP, "b"), join(t, s.HTTP, "c")
	for _, n := range []*node{a, b, c} {
		n.settle(t, 20*time.Second, "a", "b", "c")
	}
	instances, err := a.Instances(t.Context(), cluster.Storage)
	if err != nil || len(instances) != 3 || instances[1].Port != b.port.Addr().(*net.TCPAddr).Port || instances[1].Host != "127.0.0.1" {
		t.Errorf("instances %+v, %v", instances, err)
	}
	var unknown *cluster.UnknownServiceError
	if _, err := a.Instances(t.Context(), "nobody"); !errors.As(err, &unknown) {
		t.Errorf("an unknown service: %v", err)
	}
	b.stop(t)
	a.settle(t, 10*time.Second, "a", "c")
	if err := c.Withdraw(within(t, 10*time.Second), c.system, cluster.Storage); err != nil {
		t.Fatal(err)
	}
	a.settle(t, 10*time.Second, "a") // its port still answers
	found, err := consul.Find(t.Context(), config(s.HTTP), cluster.Storage)
	if err != nil || len(found) != 1 || found[0].Port != a.port.Addr().(*net.TCPAddr).Port {
		t.Errorf("asked once: %+v, %v", found, err)
	}
}

func config(address string) cluster.ConsulConfig {
	c := cluster.DefaultConsul()
	c.Address = address
	return c
}

// TestConsulAway: a Consul that is frozen, or killed and started again without its
// data, takes nobody from anybody's list, and is told of all again.
func TestConsulAway(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	a, b := join(t, s.HTTP, "a"), join(t, s.HTTP, "b")
	for _, n := range []*node{a, b} {
		n.settle(t, 20*time.Second, "a", "b")
	}
	s.Freeze()
	a.holds(t, 6*time.Second) // longer than TTL and grace
	s.Thaw()
	for _, n := range []*node{a, b} {
		n.well(t)
		n.holds(t, time.Second)
	}
	s.Kill()
	a.holds(t, 6*time.Second)
	if a.Err() == nil {
		t.Error("Consul is gone, and nobody says so")
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{a, b} {
		n.well(t)
		n.holds(t, 3*time.Second)
	}
	eventually(t, "the new Consul knows both", func() bool {
		found, err := consul.Find(t.Context(), config(s.HTTP), cluster.Storage)
		return err == nil && len(found) == 2
	})
	c := join(t, s.HTTP, "c")
	c.settle(t, 20*time.Second, "a", "b", "c")
	a.settle(t, 20*time.Second, "a", "b", "c")
	b.stop(t)
	a.settle(t, 20*time.Second, "a", "c")
}

// TestConsulLate: nodes that start before Consul wait for it without haste.
func TestConsulLate(t *testing.T) {
	t.Parallel()
	s := consultest.Prepare(t)
	a := join(t, s.HTTP, "a")
	if a.View(cluster.Storage).Generation > 0 {
		t.Error("knows who there is without Consul")
	}
	eventually(t, "it is said that Consul is not there", func() bool { return a.Err() != nil })
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.settle(t, 20*time.Second, "a")
}

// slow stands before Consul and keeps every call for a while.
func slow(t *testing.T, s *consultest.Server, by *atomic.Int64) string {
	return before(t, s, func(r *http.Request, next func()) {
		select {
		case <-time.After(time.Duration(by.Load())): // what the test is about
			next()
		case <-r.Context().Done():
		}
	})
}

// before stands before Consul and sees every call.
func before(t *testing.T, s *consultest.Server, see func(r *http.Request, next func())) string {
	target, err := url.Parse("http://" + s.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		see(r, func() { proxy.ServeHTTP(w, r) })
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l.Addr().String()
}

// TestConsulSlow: with two seconds a call, which is more than the TTL of these nodes,
// the heartbeats come too late and nobody is given up for it.
func TestConsulSlow(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	var by atomic.Int64
	address := slow(t, s, &by)
	a, b := join(t, address, "a"), join(t, address, "b")
	for _, n := range []*node{a, b} {
		n.settle(t, 20*time.Second, "a", "b")
	}
	by.Store(int64(2 * time.Second))
	a.holds(t, 8*time.Second)
	b.stop(t)
	a.settle(t, 20*time.Second, "a")
}

// TestLease: one has it; who crashes loses it to the other; a Consul that comes back
// empty gives it to one of them.
func TestLease(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	a, b := join(t, s.HTTP, "a"), join(t, s.HTTP, "b")
	for _, n := range []*node{a, b} {
		n.settle(t, 20*time.Second, "a", "b")
	}
	ctx := within(t, time.Minute)
	first, second := a.NewLease("job", cluster.Storage, nil), b.NewLease("job", cluster.Storage, nil)
	lostA, releaseA, err := first.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	type got struct {
		lost    <-chan struct{}
		release func()
		err     error
	}
	waiting := make(chan got, 1)
	go func() {
		lost, release, err := second.Acquire(ctx)
		waiting <- got{lost, release, err}
	}()
	eventually(t, "the other knows who has it", func() bool { return second.Holder() == "a" })
	if first.Holder() != "" {
		t.Errorf("holder %q, which is itself", first.Holder())
	}
	s.Freeze()
	select {
	case <-lostA:
		t.Fatal("lost to a Consul that does not answer")
	case <-waiting:
		t.Fatal("a frozen Consul gave it to the other")
	case <-time.After(4 * time.Second): // this long nothing is to happen
	}
	s.Thaw()
	a.well(t)
	// Thawed, Consul may have called a's heartbeat late, and then given the lease to b.
	var g got
	select {
	case <-lostA:
		g = <-waiting
	case <-time.After(5 * time.Second): // a still has it
		releaseA()
		g = <-waiting
	}
	if g.err != nil {
		t.Fatal(g.err)
	}
	releaseA()
	s.Kill()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	b.well(t)
	third := make(chan got, 1)
	again, cancel := context.WithCancel(ctx)
	go func() {
		lost, release, err := first.Acquire(again)
		third <- got{lost, release, err}
	}()
	select {
	case <-g.lost: // a was faster at the empty Consul
		g = <-third
	case <-time.After(5 * time.Second):
		cancel()
		if x := <-third; x.err == nil {
			t.Fatal("both have it")
		}
	}
	cancel()
	g.release()
	g.release()
}

// TestLeaseStandby: who waits for a lease writes nothing to Consul until it is free.
func TestLeaseStandby(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	var writes atomic.Int64
	address := before(t, s, func(r *http.Request, next func()) {
		if r.Method == http.MethodPut && (strings.HasPrefix(r.URL.Path, "/v1/kv/") || strings.HasPrefix(r.URL.Path, "/v1/session/")) {
			writes.Add(1)
		}
		next()
	})
	a, b := join(t, s.HTTP, "a"), join(t, address, "b")
	b.settle(t, 20*time.Second, "a", "b")
	ctx := within(t, time.Minute)
	_, release, err := a.NewLease("job", cluster.Storage, nil).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, got := b.NewLease("job", cluster.Storage, nil), make(chan error, 1)
	go func() {
		_, release, err := second.Acquire(ctx)
		if err == nil {
			release()
		}
		got <- err
	}()
	eventually(t, "the other knows who has it", func() bool { return second.Holder() == "a" })
	if n := writes.Load(); n != 0 {
		t.Errorf("%d writes of one that only waits", n)
	}
	release()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if n := writes.Load(); n < 4 { // session, key, and both back
		t.Errorf("%d writes of one that had it", n)
	}
}

// TestLeaseCrash: the lease of a node that is silent goes to the next one within TTL,
// lock delay and a little.
func TestLeaseCrash(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	a, b := join(t, s.HTTP, "a"), join(t, s.HTTP, "b")
	b.settle(t, 20*time.Second, "a", "b")
	ctx := within(t, time.Minute)
	lost, release, err := a.NewLease("job", cluster.Storage, nil).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	a.stop(t) // its goroutines of the lease live on, as those of a process that hangs
	began := time.Now()
	_, releaseB, err := b.NewLease("job", cluster.Storage, nil).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer releaseB()
	t.Logf("taken over after %s", time.Since(began))
	select {
	case <-lost:
	case <-ctx.Done():
		t.Error("a was not told")
	}
}

// TestLeaseOfTheProcessBefore: a process that was killed and at once started again keeps
// the session of the one before alive, and gets the lease nevertheless.
func TestLeaseOfTheProcessBefore(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	a := join(t, s.HTTP, "a")
	a.settle(t, 20*time.Second, "a")
	ctx := within(t, time.Minute)
	lost, release, err := a.NewLease("job", cluster.Storage, nil).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	_, again, err := a.NewLease("job", cluster.Storage, nil).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer again()
	select {
	case <-lost:
	case <-ctx.Done():
		t.Error("two have the lease")
	}
}

func TestConfig(t *testing.T) {
	for field, edit := range map[string]func(*cluster.ConsulConfig){
		"address":       func(c *cluster.ConsulConfig) { c.Address = "" },
		"scheme":        func(c *cluster.ConsulConfig) { c.Scheme = "ftp" },
		"name":          func(c *cluster.ConsulConfig) { c.Name = "a/b" },
		"ttl":           func(c *cluster.ConsulConfig) { c.TTL = time.Millisecond },
		"grace":         func(c *cluster.ConsulConfig) { c.Grace = time.Second },
		"forget":        func(c *cluster.ConsulConfig) { c.Forget = time.Second },
		"tls.cert_file": func(c *cluster.ConsulConfig) { c.TLS.CertFile = "cert.pem" },
		"a scheme":      func(c *cluster.ConsulConfig) { c.Address, c.Scheme = "http://127.0.0.1:8500", "https" },
		"token_file":    func(c *cluster.ConsulConfig) { c.Address, c.TokenFile = "consul:8500", "token" },
	} {
		c := config("127.0.0.1:" + strconv.Itoa(8500))
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		edit(&c)
		if _, err := consul.New(consul.Options{Config: c, Name: "a"}); err == nil {
			t.Errorf("%s: accepted", field)
		}
	}
}
