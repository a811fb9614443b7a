package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
	"github.com/marketprism/marketprism/persistence/remote"
)

// epochPatience is how long a start waits for the storage service of another process
// to say which ownership numbers it has seen.
const epochPatience = 3 * time.Second

// addresses are where a service answers: of a process on this data directory as it
// says itself, else by the registry.
func (a *App) addresses(ctx context.Context, service string) ([]string, error) {
	if _, url, ok := Running(a.cfg.Node.DataDir, service); ok {
		return []string{url}, nil
	}
	found, err := a.instances(ctx, service)
	urls := make([]string, len(found))
	for i, f := range found {
		urls[i] = f.URL()
	}
	return urls, err
}

// makeFar makes the reader of a store that another process runs.
func (a *App) makeFar() {
	a.far = remote.New(remote.Options{Find: func(ctx context.Context) ([]string, error) { return a.addresses(ctx, cluster.Storage) }, Carry: a.carry(cluster.Collector)})
	a.closers = append(a.closers, func() error { a.far.Close(); return nil })
}

// verifyJournal is how the recorders learn whether the journal is the store's: from
// the store here, else from the storage service.
func (a *App) verifyJournal() func(context.Context, *journal.Journal, int) error {
	switch {
	case a.runs(cluster.Storage):
		return func(ctx context.Context, j *journal.Journal, shard int) error { return a.store.Verify(ctx, j, shard) }
	case a.runs(cluster.Collector):
		a.makeFar()
		return a.verifyFar
	}
	return nil
}

func (a *App) verifyFar(ctx context.Context, j *journal.Journal, shard int) error {
	s, err := a.far.Standing(ctx)
	if err != nil {
		return err
	}
	if s.JournalID != j.ID() {
		return fmt.Errorf("%w: %w: the storage service reads %s, this is %s", persistence.ErrForeign, journal.ErrOtherJournal, s.JournalID, j.ID())
	}
	for _, k := range s.Shards {
		switch k.Verdict {
		case storage.VerdictOther, storage.VerdictRolledBack, storage.VerdictForked:
			if k.Shard == shard {
				return fmt.Errorf("%w: %s", persistence.ErrForeign, k.Detail)
			}
		}
	}
	return nil
}

// appliedFar waits until the storage service has applied what the journal holds now.
func (a *App) appliedFar(ctx context.Context, id market.StreamID) error {
	j, err := a.opener.Journal(ctx)
	if err != nil {
		return err
	}
	k := journal.Shard(id.Exchange, id.Market.String(), id.Symbol, j.Shards())
	st, err := j.State(ctx, k)
	if err != nil {
		return err
	}
	last := st.Last
	if st.Messages == 0 { // as storage itself sees it: there is nothing to apply
		last = 0
	}
	err = a.far.Reached(ctx, j.ID(), k, last)
	var no *remote.AnswerError
	if errors.As(err, &no) && errors.Is(a.verifyFar(ctx, j, k), persistence.ErrForeign) {
		return nil // what another journal holds is not the store's: what is stored is known
	}
	return err
}

// highestEpochFar is the highest ownership number that the storage service has seen;
// 0 when it does not say. Then the journal's own count is all there is, which is right
// unless the journal is an older copy, and that the recorders refuse.
func (a *App) highestEpochFar(ctx context.Context) int64 {
	ctx, cancel := context.WithTimeout(ctx, epochPatience)
	defer cancel()
	s, err := a.far.Standing(ctx)
	if err != nil {
		a.log.Warn("the storage service does not say which epochs it has seen; the next one is the journal's", zap.Error(err))
	}
	return s.HighestEpoch
}

// journalCheck warns while records are refused, and fails while the journal is not
// the store's.
func (a *App) journalCheck(context.Context) chassis.CheckResult {
	for k := range a.recorders.Shards() {
		err := a.recorders.Refusing(k)
		switch {
		case errors.Is(err, persistence.ErrForeign):
			return chassis.Failed(fmt.Errorf("shard %d: %w; see `marketprism journal status`", k, err))
		case err != nil:
			return chassis.Warned(fmt.Errorf("shard %d: %w", k, err))
		}
	}
	return chassis.Passed("taking records")
}
