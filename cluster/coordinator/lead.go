package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/cluster/placement"
)

// lookEvery is how often the one who writes the plan looks at what is wanted.
const lookEvery = 250 * time.Millisecond

// lead writes the plan whenever this node has the lease.
func (c *Coordinator) lead(ctx context.Context, log *zap.Logger) {
	alone, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); c.alone(alone, log) }()
	defer func() { cancel(); <-done }()
	for c.awaitDuty(ctx) {
		lost, release, err := c.o.Lease.Acquire(ctx)
		if err != nil {
			return // only because ctx has ended
		}
		cancel()
		<-done
		log.Info("this node makes the plan")
		c.change(func() { c.plans = true })
		c.make(ctx, log, lost)
		c.change(func() { c.plans = false })
		release()
	}
}

// awaitDuty waits while this node leaves the plan to others; false when ctx has ended.
func (c *Coordinator) awaitDuty(ctx context.Context) bool {
	for ctx.Err() == nil {
		s := c.state()
		members := c.o.Members()
		if !c.stepsDown(s) {
			return true
		}
		select {
		case <-ctx.Done():
		case <-s.changed:
		case <-members.Changed:
		}
	}
	return false
}

// alone takes everything when there has been no plan for long: better that two nodes
// collect a stream than none.
func (c *Coordinator) alone(ctx context.Context, log *zap.Logger) {
	begin := time.Now()
	var epoch int64
	for had := -1; wait(ctx, lookEvery); {
		s := c.state()
		if s.plan.Revision > 0 || !s.known || time.Since(begin) < c.o.Config.Patience {
			continue
		}
		d := c.o.Collector.Demand()
		if len(d.Streams) == had {
			continue
		}
		if epoch == 0 {
			var ok bool
			if epoch, ok = c.epoch(ctx, log); !ok {
				return
			}
		}
		all := Share{Epoch: epoch, Streams: map[string]struct{}{}}
		for _, one := range d.Streams {
			all.Streams[one.ID] = struct{}{}
		}
		had = len(d.Streams)
		log.Warn("there is no plan and nobody to make one: this node collects everything", zap.Int("streams", had))
		if err := c.o.Collector.Take(all); err != nil {
			log.Error("not every market has heard of it", zap.Error(err))
		}
	}
}

// make keeps the plan right until the lease is lost, or the plan says that another node
// has got it: who cannot reach Consul does not hear that from there.
func (c *Coordinator) make(ctx context.Context, log *zap.Logger, lost <-chan struct{}) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	steady := steadiness{settle: c.o.Config.Settle}
	var complained string
	term := uint64(0) // of the plans made here; 0 before the first
	for {
		s := c.state()
		m := c.o.Members()
		if c.stepsDown(s) {
			log.Info("this node is being emptied, and leaves the plan to others")
			return
		}
		if term > 0 && s.plan.Term > term {
			log.Warn("another node makes the plan meanwhile", zap.String("by", s.plan.By), zap.Uint64("revision", s.plan.Revision))
			return
		}
		if s.known && m.Known {
			err := c.improve(ctx, log, s, c.nodes(m, s), &steady, &term)
			if text := fmt.Sprint(err); err != nil && text != complained {
				log.Warn("no plan can be made", zap.Error(err))
				complained = text
			} else if err == nil {
				complained = ""
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-lost:
			return
		case <-s.changed:
		case <-m.Changed:
		case <-look.C:
		}
	}
}

// nodes are those to place on: this one not while it leaves.
func (c *Coordinator) nodes(m Members, s state) []placement.Node {
	return s.enabled(m, s.emptied(slices.DeleteFunc(slices.Clone(m.Nodes), func(n placement.Node) bool { return s.leaving && n.ID == c.o.Node })))
}

// improve writes the plan that follows the one in force, if it says anything else; the
// first one begins a term.
func (c *Coordinator) improve(ctx context.Context, log *zap.Logger, s state, nodes []placement.Node, steady *steadiness, term *uint64) error {
	if len(nodes) == 0 {
		return nil // whoever has streams keeps them
	}
	if !steady.may(time.Now(), s.plan, nodes) {
		return nil
	}
	d := s.whole(c.o.Collector.Demand(), c.o.Collector.Markets(), nodes)
	begin := time.Now()
	streams := slices.Concat(d.Streams, kept(s.plan, d))
	c.pinAll(ctx, log, s, streams)
	next, err := placement.Place(s.plan.Plan, streams, nodes, placement.Options{Tolerance: c.o.Config.Tolerance, Limits: d.Limits})
	if err != nil {
		return fmt.Errorf("placing %d streams on %d nodes: %w", len(streams), len(nodes), err)
	}
	c.metrics.placing.Observe(time.Since(begin).Seconds())
	if s.plan.Same(next) {
		return nil
	}
	p := Plan{Plan: next, Made: time.Now().UTC().Truncate(time.Millisecond), By: c.o.Node}
	p.follow(s.plan)
	if p.Term = *term; p.Term == 0 {
		p.Term = s.plan.Term + 1
	}
	value, err := encode(p)
	if err != nil {
		return err
	}
	revision, err := c.o.Plans.Put(ctx, planKey, value, s.plan.Revision)
	switch {
	case errors.Is(err, bucket.ErrConflict):
		c.metrics.plans.WithLabelValues("conflict").Inc()
		return c.reread(ctx, log, s)
	case err != nil:
		c.metrics.plans.WithLabelValues("failed").Inc()
		return fmt.Errorf("writing the plan: %w", err)
	}
	*term = p.Term
	c.metrics.plans.WithLabelValues("written").Inc()
	moved := s.plan.Moves(next)
	c.metrics.moved.Add(float64(moved))
	log.Info("made a plan", zap.Uint64("revision", revision), zap.Int("streams", len(next.Owners)), zap.Int("unplaced", len(next.Unplaced)),
		zap.Int("nodes", len(nodes)), zap.Int("moved", moved))
	c.await(ctx, revision)
	return nil
}

// await waits until this node has taken the plan that it wrote.
func (c *Coordinator) await(ctx context.Context, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		s := c.state()
		if s.plan.Revision >= revision {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		}
	}
}

// reread waits for the plan that another has written.
func (c *Coordinator) reread(ctx context.Context, log *zap.Logger, s state) error {
	log.Info("another node has written a plan")
	d, there, err := c.o.Plans.Get(ctx, planKey)
	if err != nil {
		return fmt.Errorf("reading the plan that another node has written: %w", err)
	}
	if there && d.Revision > s.plan.Revision {
		c.await(ctx, d.Revision)
	}
	return nil
}

// kept are the streams of groups of which it is not known what is wanted.
func kept(p Plan, d Demand) (all []placement.Stream) {
	if len(d.Unknown) == 0 {
		return nil
	}
	for id := range p.Owners {
		group := groupOf(id)
		if slices.Contains(d.Unknown, group) {
			all = append(all, placement.Stream{ID: id, Group: group, Cost: 1, Slots: 1})
		}
	}
	return all
}

// groupOf is exchange/market of exchange/market/symbol.
func groupOf(id string) string {
	parts := strings.SplitN(id, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// steadiness lets nodes that join gather; one that is gone is not waited for.
type steadiness struct {
	settle time.Duration
	seen   []placement.Node
	since  time.Time
}

// may reports whether it is time for a plan.
func (s *steadiness) may(now time.Time, p Plan, nodes []placement.Node) bool {
	if !slices.EqualFunc(s.seen, nodes, placement.Node.Equal) {
		s.seen, s.since = slices.Clone(nodes), now
	}
	for _, had := range p.Nodes {
		if !slices.ContainsFunc(nodes, func(n placement.Node) bool { return n.ID == had.ID }) {
			return true
		}
	}
	return slices.EqualFunc(p.Nodes, nodes, placement.Node.Equal) || now.Sub(s.since) >= s.settle
}
