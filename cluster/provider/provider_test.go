package provider_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster/provider"
)

// list is a source of a test.
type list struct {
	mu      sync.Mutex
	members []provider.Member
	changed chan struct{}
}

func (l *list) view() provider.View {
	l.mu.Lock()
	defer l.mu.Unlock()
	return provider.View{Members: l.members, Changed: l.changed}
}

func (l *list) set(members ...provider.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members = members
	close(l.changed)
	l.changed = make(chan struct{})
}

func member(node string, port int) provider.Member {
	return provider.Member{Node: node, Host: "127.0.0.1", Port: port, Kinds: []string{"stream"}}
}

// told is a cluster of the library that runs nothing, and what its members are told to be.
func told(t *testing.T) (*library.Cluster, <-chan *library.ClusterTopology) {
	t.Helper()
	system := actor.NewActorSystem()
	topologies := make(chan *library.ClusterTopology, 16)
	system.EventStream.Subscribe(func(e any) {
		if t, ok := e.(*library.ClusterTopology); ok {
			topologies <- t
		}
	})
	config := remote.Configure("127.0.0.1", 0)
	c := library.New(system, library.Configure("test", nil, nil, config))
	c.Remote = remote.NewRemote(system, config)
	return c, topologies
}

func addresses(members []*library.Member) (all []string) {
	for _, m := range members {
		all = append(all, m.Address())
	}
	slices.Sort(all)
	return all
}

func TestMembersComeAndGo(t *testing.T) {
	l := &list{changed: make(chan struct{})}
	c, topologies := told(t)
	begun := false
	p := provider.New(t.Context(), member("a", 1), l.view, func() { begun = true })
	if err := p.StartMember(c); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Shutdown(true) }()
	if first := <-topologies; !begun || !slices.Equal(addresses(first.Members), []string{"127.0.0.1:1"}) || first.Members[0].Id != c.ActorSystem.ID {
		t.Errorf("alone: %v", first.Members)
	}
	ids := map[string]bool{}
	for range 3 { // one that was given up comes back, again and again
		l.set(member("a", 9), member("b", 2)) // of itself a node knows more than others do
		joined := <-topologies
		if got := addresses(joined.Members); !slices.Equal(got, []string{"127.0.0.1:1", "127.0.0.1:2"}) {
			t.Fatalf("together: %v", got)
		}
		if ids[joined.Joined[0].Id] {
			t.Errorf("%s comes back under an id that is blocked", joined.Joined[0].Id)
		}
		ids[joined.Joined[0].Id] = true
		l.set()
		if left := <-topologies; !slices.Equal(addresses(left.Left), []string{"127.0.0.1:2"}) {
			t.Errorf("left: %v", left.Left)
		}
		if _, ok := p.Member("b"); ok {
			t.Error("b is still known")
		}
	}
	if c.Remote.BlockList().IsBlocked(c.ActorSystem.ID) {
		t.Error("the node blocked itself")
	}
}

// A node at another address is another member: connections to the old one end.
func TestAnotherAddress(t *testing.T) {
	l := &list{changed: make(chan struct{}), members: []provider.Member{member("b", 2)}}
	c, topologies := told(t)
	p := provider.New(t.Context(), member("a", 1), l.view, func() {})
	if err := p.StartMember(c); err != nil {
		t.Fatal(err)
	}
	<-topologies
	l.set(member("b", 3))
	moved := <-topologies
	if !slices.Equal(addresses(moved.Left), []string{"127.0.0.1:2"}) || !slices.Equal(addresses(moved.Joined), []string{"127.0.0.1:3"}) {
		t.Errorf("left %v, joined %v", moved.Left, moved.Joined)
	}
	if err := p.Shutdown(true); err != nil {
		t.Fatal(err)
	}
	l.set(member("b", 4)) // nobody follows any more
	select {
	case late := <-topologies:
		t.Errorf("after the stop: %v", late)
	default:
	}
}

func TestIPv6(t *testing.T) {
	c, topologies := told(t)
	p := provider.New(t.Context(), provider.Member{Node: "a", Host: "::1", Port: 1}, provider.Static(), func() {})
	if err := p.StartMember(c); err != nil {
		t.Fatal(err)
	}
	if got := (<-topologies).Members[0].Address(); got != "[::1]:1" {
		t.Errorf("the library has the address %s", got)
	}
	if err := p.Shutdown(true); err != nil {
		t.Fatal(err)
	}
}

// TestPanic: a source that panics ends the provider, and not the process; who owns it is
// told why.
func TestPanic(t *testing.T) {
	changed := make(chan struct{})
	first := true
	c, topologies := told(t)
	p := provider.New(t.Context(), member("a", 1), func() provider.View {
		if !first {
			panic("the list is torn")
		}
		first = false
		return provider.View{Changed: changed}
	}, func() {})
	if err := p.StartMember(c); err != nil {
		t.Fatal(err)
	}
	<-topologies
	close(changed)
	<-p.Ctx().Done()
	var thrown *supervise.PanicError
	if err := p.Shutdown(true); !errors.As(err, &thrown) || thrown.Reason != "the list is torn" || !strings.Contains(thrown.Stack, "(*Provider).follow") {
		t.Errorf("the owner is told %v", err)
	}
}
