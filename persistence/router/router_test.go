package router

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/embedded"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// aging is a store that archives and forgets whenever it is maintained.
type aging struct {
	*Engine
	hot  Hot
	now  func() time.Time
	rand *rand.Rand
	// moved counts rows: archived, and forgotten by the hot store.
	moved *[2]int64
}

// Maintain archives part of what there is, and forgets part of what is archived.
func (a *aging) Maintain(ctx context.Context) error {
	if err := a.hot.Maintain(ctx); err != nil {
		return err
	}
	var kinds []market.Kind
	for _, k := range persistencetest.StoredKinds() {
		if a.rand.IntN(2) == 0 {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	before := a.now().Add(time.Nanosecond)
	report, err := a.Archive(ctx, persistence.ArchiveOptions{Kinds: kinds, Before: before})
	a.moved[0] += report.Rows
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if a.rand.IntN(2) == 0 {
			n, err := a.Forget(ctx, persistence.ForgetOptions{Kinds: []market.Kind{k}, Before: before})
			a.moved[1] += n
			if err != nil {
				return err
			}
		}
	}
	return a.Tend(ctx)
}

// Stats counts the keys of both stores, by reading them.
func (a *aging) Stats(ctx context.Context) (persistence.Stats, error) {
	stats, err := a.hot.Stats(ctx)
	if err != nil {
		return stats, err
	}
	for i := range stats.Tables {
		rows, err := a.Query(ctx, persistence.Query{Kind: stats.Tables[i].Kind})
		if err != nil {
			return stats, err
		}
		n := int64(0)
		for {
			var b market.Batch
			got, err := rows.Next(ctx, &b)
			n += int64(got)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return stats, errors.Join(err, rows.Close())
			}
		}
		stats.Tables[i].Rows = n
		if err := rows.Close(); err != nil {
			return stats, err
		}
	}
	return stats, nil
}

// checkMoved makes sure that a whole suite has moved rows.
func checkMoved(t *testing.T, moved *[2]int64) {
	if t.Logf("%d rows were archived, %d forgotten", moved[0], moved[1]); flag.Lookup("test.run").Value.String() == "" && (moved[0] == 0 || moved[1] == 0) {
		t.Error("nothing has moved")
	}
}

// TestSuite is what every engine passes, on a store whose rows move from hot to
// cold all the time.
func TestSuite(t *testing.T) {
	var moved [2]int64
	defer checkMoved(t, &moved)
	persistencetest.Run(t, func(t *testing.T) persistencetest.Subject {
		dir := t.TempDir()
		var now atomic.Int64 // Unix ns
		now.Store(persistencetest.Base)
		clock := func() time.Time { return time.Unix(0, now.Load()) }
		r := rand.New(rand.NewPCG(1, uint64(len(t.Name()))))
		return persistencetest.Subject{
			Open:    func() (persistence.Engine, error) { return open(t.Context(), dir, clock, r, &moved) },
			Advance: func(d time.Duration) { now.Add(int64(d)) },
		}
	})
}

func open(ctx context.Context, dir string, clock func() time.Time, r *rand.Rand, moved *[2]int64) (persistence.Engine, error) {
	names := part.NewNames()
	hot, err := embedded.Open(filepath.Join(dir, "hot"), embedded.DefaultConfig(), embedded.Surroundings{Now: clock, Names: names})
	if err != nil {
		return nil, err
	}
	return join(ctx, hot, names, dir, clock, r, moved)
}

// join puts a cold store behind an engine.
func join(ctx context.Context, hot Hot, names *part.Names, dir string, clock func() time.Time, r *rand.Rand, moved *[2]int64) (persistence.Engine, error) {
	store, err := cold.NewTier(cold.DefaultConfig(), filepath.Join(dir, "cold"), hot, cold.Surroundings{Now: clock, Names: names, Scratch: filepath.Join(dir, "scratch")})
	if err == nil {
		err = store.Open(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cold: %w", err), hot.Close())
	}
	return &aging{Engine: New(hot, store, 1), hot: hot, now: clock, rand: r, moved: moved}, nil
}
