package router

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/questdb"
	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
)

// kept are positions that outlive an engine.
type kept struct {
	mu sync.Mutex
	m  map[int]persistence.Position
}

func (k *kept) Load(_ context.Context, shard int) (persistence.Position, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.m[shard].Clone(), nil
}

func (k *kept) Save(_ context.Context, p persistence.Position) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m[p.Shard] = p.Clone()
	return nil
}

// emptied drops the tables that have taken anything.
func emptied(t *testing.T, server *questdbtest.Server) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), "postgres://admin:quest@"+server.PG+"/qdb?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }() // only to be gone
	rows, err := db.Query(t.Context(), "SELECT name FROM wal_tables() WHERE sequencerTxn > 0")
	if err != nil {
		t.Fatal(err)
	}
	used, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range used {
		if _, err := db.Exec(t.Context(), "DROP TABLE IF EXISTS "+name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSuiteOnQuestDB is what every engine passes, on a QuestDB server whose rows move
// to the cold store all the time.
func TestSuiteOnQuestDB(t *testing.T) {
	server := questdbtest.Start(t)
	var moved [2]int64
	defer checkMoved(t, &moved)
	persistencetest.Run(t, func(t *testing.T) persistencetest.Subject {
		emptied(t, server)
		dir, positions := t.TempDir(), &kept{m: map[int]persistence.Position{}}
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
