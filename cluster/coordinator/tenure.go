package coordinator

import (
	"context"

	"go.uber.org/zap"
)

// follow numbers a plan that follows another, and says of each stream by which plan its
// owner got it.
func (p *Plan) follow(before Plan) {
	p.Number = before.Number + 1
	p.Since = make(map[string]uint64, len(p.Owners))
	for id, owner := range p.Owners {
		if before.Owners[id] != owner {
			p.Since[id] = p.Number
		} else if since := before.Since[id]; since > 0 {
			p.Since[id] = since
		}
	}
}

// interrupted are those of some streams, which a node had by an earlier plan, that it
// has by this one too, but another had in between: who was cut off, or slow, may never
// have heard of a plan that was followed by the next.
func (p Plan) interrupted(node string, had map[string]struct{}, earlier Plan) map[string]struct{} {
	lost := map[string]struct{}{}
	if earlier.Number == 0 {
		return lost // nobody has numbered that
	}
	for id := range had {
		if p.Owners[id] == node && p.Since[id] > earlier.Number {
			lost[id] = struct{}{}
		}
	}
	return lost
}

// surrender ends what this node goes on to record although another had it in between:
// that other one has it until it is asked, and who records already does not ask. After
// it they begin like all others.
func (c *Coordinator) surrender(ctx context.Context, log *zap.Logger, s state, lost map[string]struct{}, revision uint64) {
	// There was a plan in between, whose revision was above that of the share.
	without := Share{Revision: revision - 1, Epoch: s.share.Epoch, Streams: map[string]struct{}{}}
	for id := range s.share.Streams {
		if _, gone := lost[id]; !gone {
			without.Streams[id] = struct{}{}
		}
	}
	ids := make([]string, 0, len(lost))
	for id := range lost {
		ids = append(ids, id)
	}
	log.Warn("another node has had streams of this one, which begin anew", zap.Int("streams", len(ids)))
	if err := c.o.Collector.Take(without); err != nil {
		log.Error("not every market has heard of what was lost", zap.Error(err))
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Config.LetGo)
	defer cancel()
	if _, _, err := c.o.Collector.Yield(ctx, ids, revision-1); err != nil {
		log.Warn("it is not certain that streams have ended which another node has had", zap.Error(err))
	}
}
