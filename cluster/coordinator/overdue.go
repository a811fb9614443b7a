package coordinator

import (
	"context"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/cluster/placement"
)

// overdueEvery is how often a plan is read that is due.
const overdueEvery = 500 * time.Millisecond

// overdue reads the plan by itself while the one in force counts on a node that is gone,
// until ctx ends. A watch whose server was on that node is silent until two of its
// heartbeats have failed to come, which is ten seconds and more.
func (c *Coordinator) overdue(ctx context.Context, tell func(bucket.Change)) {
	var read uint64 // the latest revision that was told
	for wait(ctx, overdueEvery) {
		s := c.state()
		if !countsOnGone(s.plan, c.o.Members()) {
			continue
		}
		d, there, err := c.o.Plans.Get(ctx, planKey)
		if err != nil || !there || d.Revision <= max(read, s.plan.Revision) || ctx.Err() != nil {
			continue // an error too is overcome by time, and what is wrong the watch says
		}
		read = d.Revision
		tell(bucket.Change{Document: d})
	}
}

// countsOnGone reports whether a plan gives streams to a node that is no member.
func countsOnGone(p Plan, m Members) bool {
	return m.Known && slices.ContainsFunc(p.Nodes, func(had placement.Node) bool {
		return !slices.ContainsFunc(m.Nodes, func(n placement.Node) bool { return n.ID == had.ID })
	})
}
