package provider

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	library "github.com/asynkron/protoactor-go/cluster"

	"github.com/marketprism/marketprism/actors/supervise"
)

// Member is a node that can be asked.
type Member struct {
	Node string
	// Host is an address or name, without port.
	Host string
	Port int
	// Kinds are what actors of the node stand for, such as "stream".
	Kinds []string
}

// Address is host:port, with an IPv6 address in brackets.
func (m Member) Address() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

func (m Member) same(o Member) bool {
	return m.Node == o.Node && m.Host == o.Host && m.Port == o.Port && slices.Equal(m.Kinds, o.Kinds)
}

// View is who the members are.
type View struct {
	Members []Member
	// Changed is closed when there is a later view; nil when there never is one.
	Changed <-chan struct{}
}

// Source is where members come from. It must return at once.
type Source func() View

// Static is a source that never changes.
func Static(members ...Member) Source {
	return func() View { return View{Members: members} }
}

// Provider implements the library's ClusterProvider. It is used once.
type Provider struct {
	self   Member
	source Source
	begun  func()

	work *supervise.Crew

	mu      sync.Mutex
	members map[string]Member // by node
	joined  map[string]int    // by node: how often
}

// New makes a provider of a node's cluster. The node itself is always a member, whatever
// the source says. begun is called when the library's parts have all been started, and
// members begin to be told. None is told of any more once ctx has ended.
func New(ctx context.Context, self Member, source Source, begun func()) *Provider {
	return &Provider{
		self: self, source: source, begun: begun, work: supervise.NewCrew(ctx), members: map[string]Member{}, joined: map[string]int{},
	}
}

// StartMember implements the library's ClusterProvider.
func (p *Provider) StartMember(c *library.Cluster) error {
	v := p.source()
	p.take(v.Members)
	c.MemberList.UpdateClusterTopology(p.topology(c.ActorSystem.ID))
	p.work.Go(func(ctx context.Context) { p.follow(ctx, c, v.Changed) })
	p.begun()
	return nil
}

// StartClient implements the library's ClusterProvider: a client is a member, as its
// kinds say.
func (p *Provider) StartClient(c *library.Cluster) error { return p.StartMember(c) }

// Ctx ends when members are not told any more: after [Provider.Shutdown], and when
// telling them has failed, which Shutdown then says why.
func (p *Provider) Ctx() context.Context { return p.work.Ctx() }

// Shutdown implements the library's ClusterProvider. It returns when no update follows.
// The error is a panic while members were told, a [*supervise.PanicError].
func (p *Provider) Shutdown(bool) error { return p.work.Stop() }

// follow tells the library of every later view.
func (p *Provider) follow(ctx context.Context, c *library.Cluster, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed: // nil: never
		}
		v := p.source()
		changed = v.Changed
		if p.take(v.Members) {
			c.MemberList.UpdateClusterTopology(p.topology(c.ActorSystem.ID))
		}
	}
}

// take notes who is there now, and reports whether that is something else.
func (p *Provider) take(members []Member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := map[string]Member{p.self.Node: p.self}
	for _, m := range members {
		if m.Node != p.self.Node {
			next[m.Node] = m
		}
	}
	turn := len(next) != len(p.members)
	for node, m := range next {
		if old, was := p.members[node]; !was || !old.same(m) {
			p.joined[node]++
			turn = true
		}
	}
	p.members = next
	return turn
}

// topology is who is there, as the library has it. This node has the id of its process.
func (p *Provider) topology(process string) (all library.Members) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, m := range p.members {
		id := process
		if node != p.self.Node {
			id = node + "#" + strconv.Itoa(p.joined[node])
		}
		host := m.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]" // the library puts host, colon and port together
		}
		all = append(all, &library.Member{Id: id, Host: host, Port: int32(m.Port), Kinds: m.Kinds})
	}
	slices.SortFunc(all, func(a, b *library.Member) int { return strings.Compare(a.Id, b.Id) })
	return all
}

// Members are who is there now, in order of their names; this node is one of them.
func (p *Provider) Members() []Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Member, 0, len(p.members))
	for _, m := range p.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Node, b.Node) })
	return all
}

// Member is a node by its name.
func (p *Provider) Member(node string) (Member, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.members[node]
	return m, ok
}
