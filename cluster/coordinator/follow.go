package coordinator

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/supervise"
)

// again is the pause after something that failed.
const again = 250 * time.Millisecond

// follow takes every plan until ctx ends.
func (c *Coordinator) follow(ctx context.Context, log *zap.Logger) {
	var telling sync.Mutex
	tell := func(change bucket.Change) {
		telling.Lock()
		defer telling.Unlock()
		c.told(ctx, log, change)
	}
	crew := supervise.NewCrew(ctx)
	crew.Go(func(ctx context.Context) { c.overdue(ctx, tell) })
	c.watch(crew.Ctx(), log, tell)
	if err := crew.Stop(); err != nil {
		panic(err) // for the supervisor
	}
}

// watch hears of every change of the bucket until ctx ends.
func (c *Coordinator) watch(ctx context.Context, log *zap.Logger, tell func(bucket.Change)) {
	for ctx.Err() == nil {
		err := c.o.Plans.Watch(ctx, "", tell)
		if ctx.Err() != nil {
			return
		}
		c.stumble(err)
		log.Warn("the plan cannot be followed; what this node has stays", zap.Error(err))
		if !wait(ctx, again) {
			return
		}
	}
}

// told takes what the bucket says.
func (c *Coordinator) told(ctx context.Context, log *zap.Logger, change bucket.Change) {
	switch {
	case change.Complete:
		c.change(func() { c.known, c.trouble = true, nil })
	case strings.HasPrefix(change.Key, drainPrefix):
		if err := c.ordered(change); err != nil {
			log.Error("an order about a node is not understood", zap.Error(err))
		}
	case strings.HasPrefix(change.Key, pinPrefix):
		if err := c.pin(change); err != nil {
			log.Error("an order about a stream is not understood", zap.Error(err))
		}
	case strings.HasPrefix(change.Key, abilityPrefix):
		if err := c.able(change); err != nil {
			log.Error("what a node can collect is not understood", zap.Error(err))
		}
	case change.Key != planKey:
	case change.Removed:
		log.Warn("the plan was removed; this node goes on with what it has")
	default:
		p, err := decode(change.Value, change.Revision)
		if err != nil {
			c.stumble(err)
			log.Error("this node goes on with the plan that it has", zap.Error(err))
			return
		}
		c.adopt(ctx, log, p)
	}
}

// adopt makes a plan the one in force here.
func (c *Coordinator) adopt(ctx context.Context, log *zap.Logger, p Plan) {
	s := c.state()
	if p.Revision <= s.plan.Revision {
		return
	}
	next := Share{Revision: p.Revision, Epoch: s.share.Epoch, Streams: p.of(c.o.Node)}
	gained := p.interrupted(c.o.Node, s.share.Streams, s.plan)
	for id := range next.Streams {
		if _, had := s.share.Streams[id]; !had {
			gained[id] = struct{}{}
		}
	}
	if len(gained) > 0 {
		c.surrender(ctx, log, s, gained, p.Revision)
	}
	if len(gained) > 0 || next.Epoch == 0 {
		var ok bool
		if next.Epoch, ok = c.epoch(ctx, log); !ok {
			return
		}
	}
	c.change(func() {
		if c.plan.Revision > 0 {
			c.moves = append(c.moves, moves(c.plan, p)...)
			c.moves = slices.Delete(c.moves, 0, max(0, len(c.moves)-keptMoves))
		}
		c.plan, c.share, c.trouble = p, next, nil
	})
	if err := c.o.Collector.Take(next); err != nil {
		log.Error("not every market has heard of the plan", zap.Error(err))
	}
	log.Info("plan", zap.Uint64("revision", p.Revision), zap.String("by", p.By), zap.Int("nodes", len(p.Nodes)),
		zap.Int("streams", len(next.Streams)), zap.Int("gained", len(gained)))
}

// epoch takes an ownership number; false when ctx has ended.
func (c *Coordinator) epoch(ctx context.Context, log *zap.Logger) (int64, bool) {
	for tried := false; ; tried = true {
		epoch, err := c.o.Epoch(ctx)
		if err == nil {
			return epoch, true
		}
		if !tried {
			log.Warn("no ownership number can be taken: what the plan gives has to wait", zap.Error(err))
		}
		c.stumble(err)
		if !wait(ctx, again) {
			return 0, false
		}
	}
}
