package remoting_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/provider"
	"github.com/marketprism/marketprism/cluster/remoting"
	"github.com/marketprism/marketprism/cluster/wire"
	"github.com/marketprism/marketprism/internal/certs"
)

// world is what nodes of a test know of each other and of their streams.
type world struct {
	mu       sync.Mutex
	members  []provider.Member
	changed  chan struct{}
	revision uint64
	owners   map[string]string
}

func newWorld() *world {
	return &world{changed: make(chan struct{}), revision: 1, owners: map[string]string{}}
}

func (w *world) view() provider.View {
	w.mu.Lock()
	defer w.mu.Unlock()
	return provider.View{Members: w.members, Changed: w.changed}
}

// list makes these the members.
func (w *world) list(members ...provider.Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = members
	close(w.changed)
	w.changed = make(chan struct{})
}

// own gives a stream to a node by another plan.
func (w *world) own(stream, node string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision++
	w.owners[stream] = node
}

// node is a node of a test: it answers with its name.
type node struct {
	t        *testing.T
	name     string
	world    *world
	system   *supervise.System
	remoting *remoting.Remoting
	registry *prometheus.Registry
	stopped  sync.Once

	mu      sync.Mutex
	operate []string
	hold    chan struct{} // Tree waits for it
}

type setting func(*remoting.Options)

func with(pair *certs.Pair) setting { return func(o *remoting.Options) { o.Certificates = pair } }

func start(t *testing.T, w *world, name string, settings ...setting) *node {
	t.Helper()
	n := &node{t: t, name: name, world: w, registry: prometheus.NewRegistry()}
	log := zap.NewNop() // not the test's: the library logs when all has ended
	if testing.Verbose() {
		var err error
		if log, err = zap.NewDevelopment(); err != nil {
			t.Fatal(err)
		}
	}
	o := remoting.Options{
		Config: cluster.DefaultRemoting(), Node: name, Cluster: "test", Listen: "127.0.0.1", Advertise: "127.0.0.1",
		Members: w.view, Local: n, Streams: n, Log: log, Registerer: n.registry,
	}
	o.Config.Port = 0
	for _, s := range settings {
		s(&o)
	}
	var err error
	if n.remoting, err = remoting.New(o); err != nil {
		t.Fatal(err)
	}
	if n.system, err = supervise.NewSystem(t.Context(), supervise.Options{Logger: log}); err != nil {
		t.Fatal(err)
	}
	if err := n.system.Start(t.Context(), n.remoting.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	n.stopped.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.system.Stop(ctx); err != nil {
			n.t.Errorf("stopping %s: %v", n.name, err)
		}
	})
}

func (n *node) member() provider.Member {
	return provider.Member{Node: n.name, Host: "127.0.0.1", Port: n.remoting.Port(), Kinds: []string{remoting.StreamKind}}
}

func (n *node) address() string { return n.member().Address() }

// count is how often something was refused at the port.
func (n *node) count(t *testing.T, metric, label, value string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() != metric {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					total += m.GetCounter().GetValue()
				}
			}
		}
	}
	return total
}

// Describe implements remoting.Local.
func (n *node) Describe(context.Context) (*wire.NodeAnswer, error) {
	return &wire.NodeAnswer{Node: n.name, Version: "test"}, nil
}

// Tree implements remoting.Local.
func (n *node) Tree(ctx context.Context) ([]byte, error) {
	n.mu.Lock()
	hold := n.hold
	n.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return fmt.Appendf(nil, `{"of":%q}`, n.name), nil
}

// Actor implements remoting.Local.
func (n *node) Actor(_ context.Context, id string) ([]byte, error) {
	if id != "root" {
		return nil, fmt.Errorf("%s: %w", id, supervise.ErrNoChild)
	}
	return []byte(`{"id":"root"}`), nil
}

// Operate implements remoting.Local.
func (n *node) Operate(_ context.Context, from string, o *wire.Operation) error {
	if o.GetActor() == "panic" {
		panic("asked to")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.operate = append(n.operate, from+" "+o.GetAction().String()+" "+o.GetActor())
	return nil
}

// Owner implements remoting.Streams.
func (n *node) Owner(stream string) (string, uint64, bool) {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	owner, ok := n.world.owners[stream]
	return owner, n.world.revision, ok
}

// Book implements remoting.Streams.
func (n *node) Book(_ context.Context, stream string) (*wire.BookAnswer, error) {
	return &wire.BookAnswer{State: "live of " + n.name + " " + stream}, nil
}

// Resync implements remoting.Streams.
func (n *node) Resync(context.Context, string) error { return supervise.ErrMailboxFull }

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// A node alone is asked as it asks others, and speaks for its streams.
func TestAlone(t *testing.T) {
	w := newWorld()
	n := start(t, w, "a")
	ctx := within(t, time.Minute)
	if a, err := n.remoting.Describe(ctx, "a"); err != nil || a.GetNode() != "a" {
		t.Fatalf("got %v, %v", a, err)
	}
	if text, err := n.remoting.Tree(ctx, "a"); err != nil || string(text) != `{"of":"a"}` {
		t.Errorf("got %s, %v", text, err)
	}
	if _, err := n.remoting.Tree(ctx, "b"); !errors.Is(err, remoting.ErrUnknownNode) {
		t.Errorf("of a node that there is not: %v", err)
	}
	var no *remoting.Refused
	if _, err := n.remoting.Actor(ctx, "a", "root/nothing"); !errors.As(err, &no) || no.Reason != wire.Reason_REASON_NOT_FOUND {
		t.Errorf("an actor that there is not: %v", err)
	}
	if err := n.remoting.Operate(ctx, "a", &wire.Operation{Action: wire.Action_ACTION_RESTART, Actor: "root/x"}); err != nil {
		t.Error(err)
	}
	if got := n.operate; len(got) != 1 || got[0] != "a ACTION_RESTART root/x" {
		t.Errorf("got %q", got)
	}
	if _, _, err := n.remoting.Book(ctx, "binance/spot/BTC-USDT"); !errors.Is(err, remoting.ErrNoOwner) {
		t.Errorf("a stream in no plan: %v", err)
	}
	w.own("binance/spot/BTC-USDT", "a")
	for range 2 { // the second knows the actor
		if b, owner, err := n.remoting.Book(ctx, "binance/spot/BTC-USDT"); err != nil || owner != "a" || b.GetState() != "live of a binance/spot/BTC-USDT" {
			t.Errorf("got %v of %s, %v", b, owner, err)
		}
	}
	if _, err := n.remoting.Resync(ctx, "binance/spot/BTC-USDT", "test"); !errors.As(err, &no) || no.Reason != wire.Reason_REASON_BUSY {
		t.Errorf("a stream that is full: %v", err)
	}
	if peers := n.remoting.Peers(); len(peers) != 1 || !peers[0].Self || !peers[0].Up {
		t.Errorf("peers %v", peers)
	}
	n.stop()
	if _, err := n.remoting.Describe(ctx, "a"); !errors.Is(err, remoting.ErrNotRunning) {
		t.Errorf("stopped: %v", err)
	}
	if c, err := net.Dial("tcp", n.address()); err == nil {
		t.Errorf("stopped, it still listens at %s", c.RemoteAddr())
	}
}

// What answers a question fails with it, and is there for the next one.
func TestPanicOfAnAnswer(t *testing.T) {
	n := start(t, newWorld(), "a")
	ctx := within(t, time.Minute)
	var no *remoting.Refused
	err := n.remoting.Operate(ctx, "a", &wire.Operation{Actor: "panic"})
	if !errors.As(err, &no) || no.Reason != wire.Reason_REASON_FAILED {
		t.Errorf("got %v", err)
	}
	for { // its supervisor waits a moment
		if _, err = n.remoting.Describe(ctx, "a"); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPlainBeyondLoopback(t *testing.T) {
	w := newWorld()
	for _, at := range [][2]string{{"0.0.0.0", "127.0.0.1"}, {"127.0.0.1", "10.0.0.1"}, {"::", "::1"}} {
		_, err := remoting.New(remoting.Options{
			Config: cluster.DefaultRemoting(), Node: "a", Listen: at[0], Advertise: at[1], Members: w.view, Local: &node{},
		})
		if !errors.Is(err, remoting.ErrPlain) {
			t.Errorf("at %v: %v", at, err)
		}
	}
}
