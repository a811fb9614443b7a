package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

// A recorder asks whose journal it writes to every lookEvery; the answer may take
// lookTimeout.
const (
	lookEvery   = 5 * time.Second
	lookTimeout = 3 * time.Second
)

// verified is the answer.
type verified struct{ err error }

func (r *recorder) verify(ctx context.Context, j *wal.Journal) error {
	if r.options.Verify == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return r.options.Verify(ctx, j, r.s.index)
}

// onlyForeign leaves out what only says that nobody could be asked: a store that is
// away must not keep the journal from being written.
func onlyForeign(err error) error {
	if errors.Is(err, persistence.ErrForeign) {
		return err
	}
	return nil
}

// look asks whose journal it is, beside the actor.
func (r *recorder) look(c *supervise.Context) {
	if r.options.Verify == nil || r.state != accepting || r.looking.Busy() || time.Since(r.looked) < lookEvery {
		return
	}
	r.looked = time.Now()
	j := r.journal
	r.looking.Start(c, func(ctx context.Context) any { return verified{r.verify(ctx, j)} })
}

func (r *recorder) verified(c *supervise.Context, err error) {
	if r.state == accepting && onlyForeign(err) != nil {
		r.refuseForeign(c, err)
	}
}

// refuseForeign lets nothing more into a journal that the store does not read. A
// batch in flight ends as it may.
func (r *recorder) refuseForeign(c *supervise.Context, err error) {
	c.Log().Error("the journal does not belong to the store: nothing is written to it until they are joined again (marketprism journal status)", zap.Error(err))
	r.startRefusing(c, err)
	r.clear()
}

// rolledBack is told of an acknowledgement under a place that was given before: the
// journal is an older copy than the one that was written to.
func (r *recorder) rolledBack(c *supervise.Context, ack wal.Ack) {
	err := fmt.Errorf("%w: %w: a batch was stored as %d, behind one stored as %d", persistence.ErrForeign, wal.ErrRolledBack, ack.Seq, r.seq)
	r.refuseForeign(c, err)
	r.s.finish(&r.s.flight, persistence.Outcome{Err: err, Shard: r.s.index})
	r.pump(c)
}
