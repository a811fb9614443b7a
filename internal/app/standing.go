package app

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/cluster"
)

// sinceMeta is where an announcement says when the process began.
const sinceMeta = "since"

// clusterSource is the cluster as the monitoring-service sees it.
type clusterSource struct {
	a     *App
	plans bucket.Store // nil where there is no cluster, as runs
	runs  *ledger.JetStream
	// told is where notifications are kept.
	told bucket.Store
	// journal is how the journal is replicated.
	journal *journalView
}

// registerCluster adds the façade of the cluster to a server.
func (a *App) registerCluster(s *chassis.Server) error {
	source := &clusterSource{a: a, told: a.told, journal: a.newJournalView()}
	if a.members != nil {
		source.plans = a.openPlans()
		c := a.cfg.Scheduler.Scheduler
		source.runs = ledger.NewJetStream(a.connectAs(broker.Scheduler), c.LedgerMaxBytes, c.Replicas)
		a.closers = append(a.closers, func() error { source.runs.Close(); return nil })
	}
	return facade.Register(s, facade.Options{Source: source, Service: cluster.Monitoring, Audit: a.audit})
}

// openPlans opens the bucket of the plan.
func (a *App) openPlans() bucket.Store {
	plans := bucket.New(a.connectAs(broker.Placement), bucket.Options{Name: placementBucket, Description: "which node collects which stream"})
	a.closers = append(a.closers, func() error { plans.Close(); return nil })
	return plans
}

// standing is how this node's collector stands.
func (a *App) standing() facade.Standing {
	is := a.placement.Standing()
	out := facade.Standing{
		Node: is.Node, Revision: is.Revision, Epoch: is.Epoch, Recording: is.Recording, Waiting: is.Waiting, Plans: is.Plans,
		Draining: is.Draining, Leaving: is.Leaving, Problem: is.Problem, Consul: a.consulLink(),
	}
	for _, m := range is.Moves {
		out.Moves = append(out.Moves, facade.Move(m))
	}
	return out
}

func (a *App) consulLink() facade.Link {
	if err := a.members.Err(); err != nil {
		return facade.Link{Problem: err.Error()}
	}
	return facade.Link{Reached: true}
}

// viewWithin bounds the wait for what a view is made of.
const viewWithin = 3 * time.Second

// View implements [facade.Source].
func (c *clusterSource) View(ctx context.Context) facade.View {
	v := facade.View{Problems: []string{}, Provider: string(c.a.cfg.Cluster.Provider), Self: c.a.node, Timestamp: time.Now().UTC()}
	ctx, cancel := context.WithTimeout(ctx, viewWithin)
	defer cancel()
	if c.plans == nil {
		v.Nodes, v.Journal = []facade.Node{c.alone()}, c.journal.get(ctx, &v)
		return v
	}
	now, err := coordinator.Read(ctx, c.plans)
	trouble(&v, err)
	plan := now.Plan
	leases, err := c.a.members.Leases(ctx)
	trouble(&v, err)
	for _, l := range leases {
		fence, err := c.fence(ctx, l.Job, plan.Revision)
		trouble(&v, err)
		v.Leases = append(v.Leases, facade.Lease{Job: l.Job, Holder: l.Holder, Since: whenKnown(l.Since), Fence: fence})
	}
	nodes, standings := c.nodes(ctx)
	for _, d := range now.Drains {
		one := node(nodes, d.Node)
		one.Drain = &facade.Drain{By: d.By, Reason: d.Reason, Since: d.Since}
	}
	v.Placement = placementOf(now, standings)
	v.Journal = c.journal.get(ctx, &v)
	for _, owner := range plan.Owners {
		node(nodes, owner).Planned++
	}
	for id, one := range nodes {
		if can, said := now.Abilities[id]; said && one.Weight > 0 {
			one.Markets, one.Public = marketsOf(can), can.Address
		}
		one.judge(standings[id])
		v.Nodes = append(v.Nodes, one.Node)
	}
	v.Problems = append(v.Problems, unlike(now.Abilities, nodes)...)
	slices.SortFunc(v.Nodes, func(a, b facade.Node) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range standings { // that of whoever has followed for longest knows most
		if len(s.Moves) > len(v.Moves) {
			v.Moves = s.Moves
		}
	}
	return v
}

// fence is the fencing number of a job, also while nobody has its lease; 0 when it is not
// known here, as that of the archive on a node without a store.
func (c *clusterSource) fence(ctx context.Context, job string, plan uint64) (uint64, error) {
	switch job {
	case placementLease:
		return plan, nil
	case schedulerLease:
		return c.runs.Fence(ctx)
	case notifyLease:
		return notify.Fence(ctx, c.told)
	case archiverLease:
		if c.a.store != nil {
			return c.a.store.ColdStats().Record, nil
		}
	}
	return 0, nil
}

// trouble notes what could not be found out.
func trouble(v *facade.View, err error) {
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
	}
}

// alone is the node of an installation without others.
func (c *clusterSource) alone() facade.Node {
	since := c.a.created.UTC().Truncate(time.Second)
	one := facade.Node{ID: c.a.node, Address: c.a.advertised(), Version: c.a.options.Version, State: facade.Up, Since: &since, Weight: 1}
	for _, name := range c.a.services {
		one.Services = append(one.Services, facade.Place{Service: name, URL: c.a.URL(name)})
	}
	if c.a.collector != nil {
		one.Recording, one.Waiting = c.a.collector.Streams()
		one.Planned = one.Recording
	}
	return one
}

// nodes are those that announce themselves, and how their collectors stand.
func (c *clusterSource) nodes(ctx context.Context) (map[string]*member, map[string]*facade.Standing) {
	nodes := map[string]*member{}
	for _, m := range c.a.members.View(nodeService).Members {
		one := node(nodes, m.Node)
		one.Address, one.Version = m.Host, m.Meta["version"]
		if since, err := time.Parse(time.RFC3339, m.Meta[sinceMeta]); err == nil {
			one.Since = &since
		}
	}
	urls := map[string]string{}
	for _, name := range cluster.Services() {
		for _, m := range c.a.members.View(name).Members {
			one := node(nodes, m.Node)
			url := c.a.urlOf(m)
			one.Services = append(one.Services, facade.Place{Service: name, URL: url})
			if name == cluster.Collector {
				urls[m.Node] = url
				one.Weight, _ = strconv.ParseFloat(m.Meta[weightMeta], 64)
			}
		}
	}
	return nodes, c.ask(ctx, urls, nodes)
}

// ask asks collectors how they stand.
func (c *clusterSource) ask(ctx context.Context, urls map[string]string, nodes map[string]*member) map[string]*facade.Standing {
	standings := map[string]*facade.Standing{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for id, url := range urls {
		asking.Go(func() {
			text, err := c.a.fetchFrom(ctx, url+"/api/v1/placement")
			var s facade.Standing
			if err == nil {
				err = json.Unmarshal(text, &s)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				nodes[id].silent = err
				return
			}
			standings[id] = &s
		})
	}
	asking.Wait()
	return standings
}

// member is a node, and why its collector does not say how it stands.
type member struct {
	facade.Node
	silent error
}

func node(nodes map[string]*member, id string) *member {
	if nodes[id] == nil {
		nodes[id] = &member{Node: facade.Node{ID: id, State: facade.Up}}
	}
	return nodes[id]
}

// judge says how a node is; s is what it says itself, nil for nothing.
func (m *member) judge(s *facade.Standing) {
	if s != nil {
		m.Recording, m.Waiting, m.Revision, m.Epoch, m.Problem, m.Consul = s.Recording, s.Waiting, s.Revision, s.Epoch, s.Problem, &s.Consul
	}
	switch {
	case m.silent != nil:
		m.State, m.Problem = facade.Unreachable, m.silent.Error()
	case len(m.Services) == 0 && m.Address == "":
		m.State, m.Problem = facade.Unreachable, "nobody of that name is announced"
	case m.Drain != nil && m.Recording == 0 && m.Planned == 0:
		m.State = facade.Drained
	case m.Drain != nil:
		m.State = facade.Draining
	}
}

func placementOf(now coordinator.Situation, standings map[string]*facade.Standing) facade.Placement {
	p := now.Plan
	out := facade.Placement{Revision: p.Revision, Made: whenKnown(p.Made), By: p.By, Streams: len(p.Owners), Unplaced: p.Unplaced}
	for _, id := range slices.Sorted(maps.Keys(p.Owners)) {
		o := facade.Owner{Stream: id, Node: p.Owners[id], State: "unknown"}
		if s := standings[o.Node]; s != nil {
			o.Epoch, o.State = s.Epoch, "settled"
			if s.Revision < p.Revision || s.Waiting > 0 {
				o.State = "moving"
			}
		}
		out.Owners = append(out.Owners, o)
	}
	for _, p := range now.Pins {
		out.Pins = append(out.Pins, facade.Pin{
			Stream: p.Stream, Node: p.Node, By: p.By, Reason: p.Reason, Since: p.Since, Until: whenKnown(p.Until), Held: now.Plan.Owners[p.Stream] == p.Node,
		})
	}
	return out
}

func whenKnown(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Drain implements [facade.Source].
func (c *clusterSource) Drain(ctx context.Context, node, by, reason string) error {
	if c.plans == nil {
		return facade.ErrAlone
	}
	known := func(m consul.Member) bool { return m.Node == node }
	if !slices.ContainsFunc(c.a.members.View(nodeService).Members, known) {
		return facade.ErrNoNode
	}
	return coordinator.Order(ctx, c.plans, coordinator.Drain{Node: node, By: by, Reason: strings.TrimSpace(reason), Since: time.Now().UTC().Truncate(time.Millisecond)})
}

// Undrain implements [facade.Source]. It takes orders about nodes back that are not there.
func (c *clusterSource) Undrain(ctx context.Context, node string) error {
	if c.plans == nil {
		return facade.ErrAlone
	}
	there, err := coordinator.Lift(ctx, c.plans, node)
	known := func(m consul.Member) bool { return m.Node == node }
	if err == nil && !there && !slices.ContainsFunc(c.a.members.View(nodeService).Members, known) {
		return facade.ErrNoNode
	}
	return err
}

// urlOf is where a member answers.
func (a *App) urlOf(m consul.Member) string {
	return cluster.Instance{Service: m.Service, Host: m.Host, Port: m.Port, TLS: a.certs != nil}.URL()
}
