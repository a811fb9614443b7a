package consul_test

import (
	"net"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul/consultest"
)

// TestVitals: who has died is gone, and its lease another's, long before its heartbeat is
// missed.
func TestVitals(t *testing.T) {
	t.Parallel()
	const ttl = 20 * time.Second
	s := consultest.Start(t)
	a, b := joinWith(t, s.HTTP, "a", ttl, cluster.Storage), joinWith(t, s.HTTP, "b", ttl, cluster.Storage)
	a.settle(t, 20*time.Second, "a", "b")
	b.settle(t, 20*time.Second, "a", "b")
	ctx := within(t, time.Minute)
	_, release, err := a.NewLease("job", cluster.Storage, nil).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	type got struct {
		release func()
		err     error
	}
	lease, taken := b.NewLease("job", cluster.Storage, nil), make(chan got, 1)
	go func() {
		_, release, err := lease.Acquire(ctx)
		taken <- got{release, err}
	}()
	eventually(t, "the other waits for it", func() bool { return lease.Holder() == "a" })

	began := time.Now()
	a.stop(t)
	b.settle(t, ttl/2, "b")
	t.Logf("gone after %v", time.Since(began))
	g := <-taken
	if g.err != nil {
		t.Fatal(g.err)
	}
	defer g.release()
	if took := time.Since(began); took > ttl/2 {
		t.Errorf("its lease was taken after %v, want it long before the TTL of %v", took, ttl)
	}

	again := joinWith(t, s.HTTP, "a", ttl, cluster.Storage)
	b.settle(t, 20*time.Second, "a", "b")
	again.settle(t, 20*time.Second, "a", "b")
}

// TestVitalsMistaken: whose port refuses while Consul has its heartbeats is believed to
// live, after all; and is not taken for dead again, until the port has answered.
func TestVitalsMistaken(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	a, b := joinWith(t, s.HTTP, "a", 3*time.Second, cluster.Storage), joinWith(t, s.HTTP, "b", 3*time.Second, cluster.Storage)
	a.settle(t, 20*time.Second, "a", "b")
	b.settle(t, 20*time.Second, "a", "b")
	at := a.port.Addr().String()
	refuse := func() {
		t.Helper()
		if err := a.port.Close(); err != nil {
			t.Fatal(err)
		}
	}
	refuse()
	b.settle(t, 5*time.Second, "b")
	b.settle(t, 30*time.Second, "a", "b")
	b.holds(t, 3*time.Second)
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	a.port = l
	for answered := range 2 { // the second has been probed after the first was accepted
		c, err := l.Accept()
		if err != nil {
			t.Fatalf("probe %d: %v", answered, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	refuse()
	b.settle(t, 5*time.Second, "b")
}

// TestVitalsWithoutConsul: nobody is taken for dead while Consul is away.
func TestVitalsWithoutConsul(t *testing.T) {
	t.Parallel()
	s := consultest.Start(t)
	a, b := joinWith(t, s.HTTP, "a", time.Second, cluster.Storage), joinWith(t, s.HTTP, "b", time.Second, cluster.Storage)
	b.settle(t, 20*time.Second, "a", "b")
	s.Kill()
	eventually(t, "Consul does not take heartbeats", func() bool { return b.Err() != nil })
	if err := a.port.Close(); err != nil {
		t.Fatal(err)
	}
	b.holds(t, 3*time.Second)
}
