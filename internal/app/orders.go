package app

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/cluster/coordinator"
	facade "github.com/marketprism/marketprism/http/cluster"
)

// Move implements [facade.Source].
func (c *clusterSource) Move(ctx context.Context, o facade.PinOrder) error {
	if c.plans == nil {
		return facade.ErrAlone
	}
	now, err := coordinator.Read(ctx, c.plans)
	if err != nil {
		return err
	}
	_, placed := now.Plan.Owners[o.Stream]
	if !placed && !slices.Contains(now.Plan.Unplaced, o.Stream) {
		return facade.ErrNoStream
	}
	collects := func(m consul.Member) bool { return m.Node == o.Node }
	if !slices.ContainsFunc(c.a.members.View(cluster.Collector).Members, collects) {
		if slices.ContainsFunc(c.a.members.View(nodeService).Members, collects) {
			return facade.ErrCannot // it has no collector
		}
		return facade.ErrNoNode
	}
	if slices.ContainsFunc(now.Drains, func(d coordinator.Drain) bool { return d.Node == o.Node }) {
		return facade.ErrDrained
	}
	if can, said := now.Abilities[o.Node]; said && !can.Runs(path.Dir(o.Stream)) {
		return facade.ErrCannot
	}
	return coordinator.PinTo(ctx, c.plans, coordinator.Pin{
		Stream: o.Stream, Node: o.Node, By: o.By, Reason: strings.TrimSpace(o.Reason), Since: time.Now().UTC().Truncate(time.Millisecond), Until: o.Until,
	})
}

// Unpin implements [facade.Source]. It takes orders about streams back that are not there.
func (c *clusterSource) Unpin(ctx context.Context, stream string) error {
	if c.plans == nil {
		return facade.ErrAlone
	}
	there, err := coordinator.Unpin(ctx, c.plans, stream)
	if err != nil || there {
		return err
	}
	now, err := coordinator.Read(ctx, c.plans)
	if err != nil {
		return err
	}
	if _, placed := now.Plan.Owners[stream]; !placed && !slices.Contains(now.Plan.Unplaced, stream) {
		return facade.ErrNoStream
	}
	return nil
}

func marketsOf(can coordinator.Ability) []string {
	all := []string{}
	for _, m := range can.Markets {
		all = append(all, m.Group)
	}
	return all
}

// unlike names nodes that collect less of a market than others do: a stream that comes
// to them loses a data type.
func unlike(abilities map[string]coordinator.Ability, nodes map[string]*member) (problems []string) {
	most := map[string][]string{} // data types by market
	each := func(do func(node string, m coordinator.Market)) {
		for node, can := range abilities {
			if one := nodes[node]; one == nil || one.Weight == 0 {
				continue // it is there no more
			}
			for _, m := range can.Markets {
				do(node, m)
			}
		}
	}
	each(func(_ string, m coordinator.Market) {
		for _, k := range m.Kinds {
			if !slices.Contains(most[m.Group], k) {
				most[m.Group] = append(most[m.Group], k)
			}
		}
	})
	each(func(node string, m coordinator.Market) {
		missing := slices.DeleteFunc(slices.Sorted(slices.Values(most[m.Group])), func(k string) bool { return slices.Contains(m.Kinds, k) })
		if len(missing) > 0 {
			problems = append(problems, fmt.Sprintf("%s collects no %s of %s, which other nodes do: its settings differ", node, strings.Join(missing, ", "), m.Group))
		}
	})
	slices.Sort(problems)
	return problems
}
