package router

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/questdb"
	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
)

// TestQuestDBMoving is what every engine passes, on a QuestDB server whose rows move
// to the cold store all the time.
func TestQuestDBMoving(t *testing.T) {
	server := questdbtest.Start(t)
	var moved [2]int64
	defer checkMoved(t, &moved)
	persistencetest.Run(t, func(t *testing.T) persistencetest.Subject {
		server.Empty(t)
		dir, positions := t.TempDir(), questdbtest.NewPositions()
		var now atomic.Int64 // Unix ns
		now.Store(persistencetest.Base)
		clock := func() time.Time { return time.Unix(0, now.Load()) }
		r := rand.New(rand.NewPCG(1, uint64(len(t.Name()))))
		cfg := questdb.DefaultConfig()
		cfg.HTTP, cfg.PG, cfg.Password, cfg.Trail = server.HTTP, server.PG, "quest", 0
		return persistencetest.Subject{
			Steps: 25,
			Open: func() (persistence.Engine, error) {
				names := part.NewNames()
				hot, err := questdb.Open(t.Context(), cfg, questdb.Surroundings{Positions: positions, Shards: 1, Names: names, Now: clock})
				if err != nil {
					return nil, err
				}
				return join(t.Context(), hot, names, dir, clock, r, &moved)
			},
			Advance: func(d time.Duration) { now.Add(int64(d)) },
		}
	})
}
