package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
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

// surrender ends what this node still records of the streams that a plan gives to it
// anew: it had them before, was not asked for them, and others may have them meanwhile.
// Those go on until they are asked, and who records already does not ask. After it the
// streams begin like all others.
func (c *Coordinator) surrender(ctx context.Context, log *zap.Logger, s state, gained map[string]struct{}, revision uint64) {
	if s.share.Revision == 0 {
		return // it has not had any by a plan
	}
	// The share of a moment: what it asks to end is not refused, and the plan that
	// follows has them begin.
	without := Share{Revision: revision - 1, Epoch: s.share.Epoch, Streams: map[string]struct{}{}}
	for id := range s.share.Streams {
		if _, anew := gained[id]; !anew {
			without.Streams[id] = struct{}{}
		}
	}
	if err := c.o.Collector.Take(without); err != nil {
		log.Error("not every market has heard of what is to begin anew", zap.Error(err))
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Config.LetGo)
	defer cancel()
	if _, _, err := c.o.Collector.Yield(ctx, slices.Sorted(maps.Keys(gained)), revision-1); err != nil {
		log.Warn("it is not certain that streams have ended which another node may have had", zap.Error(err))
	}
}

// claim asks all others, and waits for no answer, to let go of what this node records
// and has by its plan. Who was cut off when it was asked, and is given nothing anew,
// would go on for ever.
func (c *Coordinator) claim(nc *nats.Conn) error {
	s := c.state()
	if s.share.Revision == 0 {
		return nil
	}
	ids := slices.DeleteFunc(c.o.Collector.Recording(), func(id string) bool {
		_, mine := s.share.Streams[id]
		return !mine
	})
	for some := range slices.Chunk(ids, claimedAtOnce) {
		text, err := json.Marshal(letGo{From: c.o.Node, Revision: s.share.Revision, Streams: some})
		if err != nil {
			return fmt.Errorf("writing what is recorded: %w", err)
		}
		// Each claim is a question of its own, though nobody listens to the answers.
		if err := nc.PublishRequest(c.subject(), nc.NewInbox(), text); err != nil {
			return fmt.Errorf("saying what is recorded: %w", err)
		}
	}
	return nil
}
