package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/cluster/placement"
)

// forgetAfter is for how long a node has been away when the others forget what it can
// collect. It says so again when it is back.
const forgetAfter = time.Hour

// Forget takes away what a node has said of itself, and the order to empty it: it will not
// come back. Of one that has not said anything nothing is taken. Errors are those of the
// store.
func Forget(ctx context.Context, plans bucket.Store, node string) error {
	var errs []error
	for _, key := range []string{abilityPrefix + node, drainPrefix + node} {
		d, there, err := plans.Get(ctx, key)
		if err == nil && there {
			err = plans.Remove(ctx, d.Key, d.Revision)
		}
		if err != nil && !errors.Is(err, bucket.ErrConflict) { // else it says something at this moment
			errs = append(errs, fmt.Errorf("forgetting %s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

// tidy forgets, while this node makes the plans, what nodes can collect that have been
// away for long, until ctx ends: each that ever was would be kept for ever.
func (c *Coordinator) tidy(ctx context.Context, log *zap.Logger) {
	away := absences{}
	for wait(ctx, c.o.ForgetAfter/60) {
		c.mu.Lock()
		plans := c.plans
		c.mu.Unlock()
		m, alive := c.o.Members(), c.o.Alive()
		if !plans || !m.Known || !alive.Known {
			clear(away) // it is not known who was there meanwhile
			continue
		}
		s := c.state()
		for _, node := range away.look(time.Now(), c.o.ForgetAfter, s.abilities, m.Nodes, alive.Nodes) {
			err := c.o.Plans.Remove(ctx, abilityPrefix+node, s.abilities[node].revision)
			switch {
			case err == nil:
				log.Info("forgot what a node can collect that is away", zap.String("node", node))
			case !errors.Is(err, bucket.ErrConflict) && ctx.Err() == nil:
				log.Warn("what a node can collect that is away cannot be forgotten yet", zap.String("node", node), zap.Error(err))
			}
		}
	}
}

// absences are since when nodes are away that have said what they can collect.
type absences map[string]time.Time

// look takes a look at who is there, and returns those that were away at each one for at
// least that long.
func (a absences) look(now time.Time, long time.Duration, said map[string]ability, there ...[]placement.Node) (gone []string) {
	here := map[string]bool{}
	for _, list := range there {
		for _, n := range list {
			here[n.ID] = true
		}
	}
	for node := range a {
		if _, says := said[node]; !says || here[node] {
			delete(a, node)
		}
	}
	for node := range said {
		since, away := a[node]
		switch {
		case here[node]:
		case !away:
			a[node] = now
		case now.Sub(since) >= long:
			gone = append(gone, node)
		}
	}
	return gone
}
