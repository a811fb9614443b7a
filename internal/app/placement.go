package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/cluster/placement"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// placementBucket keeps the plan: which node has which stream; whoever has the lease
// writes it.
const (
	placementBucket = "placement"
	placementLease  = "placement"
)

// Where announcements say what a node's weight is, which services it runs, and that it
// tells what it can collect.
const (
	weightMeta   = "weight"
	saysMeta     = "says"
	servicesMeta = "services"
)

// handoff passes on that streams wait for their beginning.
type handoff struct{ a *App }

// Ready implements [collector.Handoff].
func (h handoff) Ready(market.StreamID) { h.a.placement.Ready() }

// makePlacement makes the collector of this node one of several, where Consul knows
// the others. The collector is made already, and runs nothing before it has a share.
func (a *App) makePlacement(epoch int64) error {
	if a.members == nil {
		return nil
	}
	var err error
	a.placement, err = coordinator.New(coordinator.Options{
		Config: a.cfg.Cluster.Placement, Node: a.node, Cluster: a.cfg.Cluster.Consul.Name, Collector: placed{a.collector},
		Plans: a.openPlans(), Lease: resigning{a.members.NewLease(placementLease, nodeService, a.log), &a.fitness.idle, func() bool { return a.spread(cluster.Collector) }}, Members: a.collectors, Alive: a.collecting,
		Epoch: func(ctx context.Context) (int64, error) {
			j, err := a.opener.Journal(ctx)
			if err != nil {
				return 0, err
			}
			next, err := j.NextEpoch(ctx, uint64(epoch)+1)
			return int64(next), err
		},
		Connect: a.connectAs(broker.Placement), Drained: a.resigned.set, Registerer: a.registry,
	})
	return err
}

// startPlacement starts what decides which streams are this node's.
func (a *App) startPlacement(ctx context.Context) error {
	if a.placement == nil {
		return nil
	}
	if _, err := a.system.StartChild(ctx, rootID, a.placement.Spec()); err != nil {
		return fmt.Errorf("starting the placement of streams: %w", err)
	}
	return nil
}

// collectors are the nodes that Consul knows a collector of.
func (a *App) collectors() coordinator.Members {
	v := a.members.View(cluster.Collector)
	m := coordinator.Members{Known: v.Generation > 0, Changed: v.Changed, Says: map[string]bool{}}
	for _, one := range v.Members {
		m.Says[one.Node] = one.Meta[saysMeta] != ""
		weight, err := strconv.ParseFloat(one.Meta[weightMeta], 64)
		if err != nil || !(weight > 0) {
			weight = 1
		}
		m.Nodes = append(m.Nodes, placement.Node{ID: one.Node, Weight: weight})
	}
	return m
}

// collecting are the nodes that live and have a collector, or had one until just now:
// one that leaves takes its collector back from Consul first, and itself last.
func (a *App) collecting() coordinator.Members {
	v := a.members.View(nodeService)
	m := coordinator.Members{Known: v.Generation > 0, Changed: v.Changed}
	for _, one := range v.Members {
		if slices.Contains(strings.Fields(one.Meta[servicesMeta]), cluster.Collector) {
			m.Nodes = append(m.Nodes, placement.Node{ID: one.Node, Weight: 1})
		}
	}
	return m
}

// aliveCollectors are the names of those.
func (a *App) aliveCollectors() (nodes []string, known bool) {
	m := a.collecting()
	for _, n := range m.Nodes {
		nodes = append(nodes, n.ID)
	}
	slices.Sort(nodes)
	return nodes, m.Known
}

// leave has other nodes take the streams of this one.
func (a *App) leave(ctx context.Context) {
	if a.placement == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Cluster.Placement.Leave)
	defer cancel()
	if left := a.placement.Leave(ctx); left > 0 {
		a.log.Warn("this node stops with streams that no other has taken", zap.Int("streams", left))
	}
}

// placementCheck warns while this node cannot follow the plan, or streams have no
// place.
func (a *App) placementCheck(context.Context) chassis.CheckResult {
	recording, waiting := a.collector.Streams()
	fields := map[string]any{"recording": recording, "waiting": waiting}
	plan, ok := a.placement.Plan()
	fields["revision"] = plan.Revision
	switch err := a.placement.Err(); {
	case err != nil:
		return chassis.CheckResult{Status: chassis.Warn, Err: fmt.Errorf("the plan cannot be followed: %w", err), Fields: fields}
	case !ok:
		return chassis.CheckResult{Status: chassis.Warn, Err: errNoPlan, Fields: fields}
	case len(plan.Unplaced) > 0:
		return chassis.CheckResult{
			Status: chassis.Warn, Err: fmt.Errorf("%d streams have no place: the limits of the exchanges leave no room on any node", len(plan.Unplaced)), Fields: fields,
		}
	}
	return chassis.CheckResult{Status: chassis.Pass, Fields: fields}
}

// errNoPlan: nobody has placed any stream yet.
var errNoPlan = fmt.Errorf("there is no plan yet of which node collects what")

// placed is this node's collector as the coordinator sees it.
type placed struct{ c *collector.Collector }

// Demand implements [coordinator.Collector].
func (p placed) Demand() coordinator.Demand {
	d := coordinator.Demand{Limits: placement.Limits{}}
	for _, m := range p.c.Demands() {
		group := m.Exchange + "/" + m.Market.String()
		if !m.Known {
			d.Unknown = append(d.Unknown, group)
			continue
		}
		if m.MaxSubscriptions > 0 {
			d.Limits[group] = m.MaxSubscriptions
		}
		for _, s := range m.Streams {
			d.Streams = append(d.Streams, placement.Stream{ID: s.ID.String(), Group: group, Cost: float64(max(1, s.Kinds)), Slots: s.Subscriptions})
		}
	}
	return d
}

// Markets implements [coordinator.Collector].
func (p placed) Markets() (all []coordinator.Market) {
	for _, r := range p.c.Runs() {
		all = append(all, coordinator.Market{Group: r.Exchange + "/" + r.Market.String(), Kinds: r.Kinds, Limit: r.MaxSubscriptions})
	}
	return all
}

// Sharers implements [coordinator.Collector].
func (p placed) Sharers(nodes map[string]int) { p.c.SetSharers(nodes) }

// Take implements [coordinator.Collector].
func (p placed) Take(s coordinator.Share) error {
	share := collector.Share{Revision: s.Revision, Epoch: s.Epoch, Streams: make(map[market.StreamID]struct{}, len(s.Streams))}
	for text := range s.Streams {
		if id, ok := streamID(text); ok {
			share.Streams[id] = struct{}{}
		}
	}
	return p.c.Take(share)
}

// Waiting implements [coordinator.Collector].
func (p placed) Waiting() []string { return texts(p.c.Waiting()) }

// Recording implements [coordinator.Collector].
func (p placed) Recording() []string { return texts(p.c.Recording()) }

// Begin implements [coordinator.Collector].
func (p placed) Begin(ids, seamless []string) { p.c.Begin(streamIDs(ids), streamIDs(seamless)) }

// Yield implements [coordinator.Collector].
func (p placed) Yield(ctx context.Context, ids []string, revision uint64) (seamless, refused []string, err error) {
	a, b, err := p.c.Yield(ctx, streamIDs(ids), revision)
	return texts(a), texts(b), err
}

// Streams implements [coordinator.Collector].
func (p placed) Streams() (recording, waiting int) { return p.c.Streams() }

// streamID reads exchange/market/symbol; false for what is none that this version
// knows.
func streamID(text string) (market.StreamID, bool) {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) < 3 {
		return market.StreamID{}, false
	}
	m, ok := market.ParseMarket(parts[1])
	return market.StreamID{Exchange: parts[0], Market: m, Symbol: parts[2]}, ok
}

func streamIDs(all []string) []market.StreamID {
	ids := make([]market.StreamID, 0, len(all))
	for _, text := range all {
		if id, ok := streamID(text); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func texts(ids []market.StreamID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = id.String()
	}
	return all
}

// stopPlacement ends it before the collector that it tells what to do.
func (a *App) stopPlacement(ctx context.Context) error {
	if a.placement == nil {
		return nil
	}
	return ignoreGone(a.system.StopChild(ctx, supervise.RootID, coordinator.Name))
}
