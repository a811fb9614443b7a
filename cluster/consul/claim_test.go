package consul_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/cluster/consul/consultest"
)

// process is one that wants a name, and does not announce anything.
func process(t *testing.T, address, name string) *consul.Node {
	t.Helper()
	c := cluster.DefaultConsul()
	c.Address, c.TTL = address, 3*time.Second
	n, err := consul.New(consul.Options{Config: c, Name: name, Services: []string{cluster.Storage}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// port is one that answers until it is closed.
func port(t *testing.T) (l net.Listener, number int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// TestClaim: of two processes with the name of one node the earlier stays; the name of
// one that is dead, or has given it back, is free.
func TestClaim(t *testing.T) {
	s := consultest.Start(t)
	ctx := within(t, 2*time.Minute)
	began := time.Now()

	t.Run("alive", func(t *testing.T) {
		t.Parallel()
		holder := join(t, s.HTTP, "alive")
		first := holder.NewClaim(cluster.Storage, "127.0.0.1", holder.port.Addr().(*net.TCPAddr).Port, began, zap.NewNop())
		if err := first.Take(ctx); err != nil {
			t.Fatal(err)
		}
		_, other := port(t)
		double := process(t, s.HTTP, "alive").NewClaim(cluster.Storage, "127.0.0.1", other, time.Now(), zap.NewNop())
		if err := double.Take(ctx); !errors.Is(err, cluster.ErrDouble) {
			t.Errorf("the second process: %v", err)
		}
		if err := double.Release(ctx); err != nil {
			t.Error(err)
		}
		if err := first.Take(ctx); err != nil {
			t.Errorf("the first process: %v", err)
		}
	})

	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		l, number := port(t)
		first := process(t, s.HTTP, "killed").NewClaim(cluster.Storage, "127.0.0.1", number, began, zap.NewNop())
		if err := first.Take(ctx); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		_, other := port(t)
		second := process(t, s.HTTP, "killed").NewClaim(cluster.Storage, "127.0.0.1", other, time.Now(), zap.NewNop())
		if err := second.Take(ctx); err != nil {
			t.Fatal(err)
		}
		// It was suspended only, and wakes up.
		if err := first.Take(ctx); !errors.Is(err, cluster.ErrDouble) {
			t.Errorf("the first process: %v", err)
		}
		if err := second.Take(ctx); err != nil {
			t.Errorf("the second process: %v", err)
		}
	})

	t.Run("silent", func(t *testing.T) { // its machine is gone: nothing answers, and nothing refuses
		t.Parallel()
		first := process(t, s.HTTP, "silent").NewClaim(cluster.Storage, "127.0.0.1", 0, began, zap.NewNop())
		if err := first.Take(ctx); err != nil {
			t.Fatal(err)
		}
		second := process(t, s.HTTP, "silent").NewClaim(cluster.Storage, "127.0.0.1", 0, time.Now(), zap.NewNop())
		if err := second.Take(ctx); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("given back", func(t *testing.T) {
		t.Parallel()
		_, number := port(t)
		first := process(t, s.HTTP, "given back").NewClaim(cluster.Storage, "127.0.0.1", number, began, zap.NewNop())
		if err := first.Take(ctx); err != nil {
			t.Fatal(err)
		}
		if err := first.Release(ctx); err != nil {
			t.Fatal(err)
		}
		_, other := port(t)
		second := process(t, s.HTTP, "given back").NewClaim(cluster.Storage, "127.0.0.1", other, time.Now(), zap.NewNop())
		if err := second.Take(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// TestClaimKept: a Consul that was away, and has forgotten everything, is told again; who
// had the name for longer keeps it, whoever is faster.
func TestClaimKept(t *testing.T) {
	s := consultest.Start(t)
	ctx := within(t, 2*time.Minute)
	holder := join(t, s.HTTP, "a")
	first := holder.NewClaim(cluster.Storage, "127.0.0.1", holder.port.Addr().(*net.TCPAddr).Port, time.Now().Add(-time.Hour), zap.NewNop())
	if err := first.Take(ctx); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	late := join(t, s.HTTP, "a")
	second := late.NewClaim(cluster.Storage, "127.0.0.1", late.port.Addr().(*net.TCPAddr).Port, time.Now(), zap.NewNop())
	if err := second.Take(ctx); err != nil { // nobody can say who has it
		t.Fatal(err)
	}
	lost := make(chan error, 1)
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := second.Take(ctx); err != nil { // it is faster
		t.Fatal(err)
	}
	if err := first.Keep(ctx, holder.system, func(err error) { t.Errorf("the first process: %v", err) }); err != nil {
		t.Fatal(err)
	}
	if err := second.Keep(ctx, late.system, func(err error) { lost <- err }); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-lost:
		if !errors.Is(err, cluster.ErrDouble) {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Fatal("both have the name")
	}
	// What it takes back is its own: the other's announcement stays.
	if err := late.Withdraw(ctx, late.system, cluster.Storage); err != nil {
		t.Error(err)
	}
}
