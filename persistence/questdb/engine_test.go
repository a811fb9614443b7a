package questdb

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
)

// kept are positions that outlive an engine, as the journal's server keeps them.
type kept struct {
	mu sync.Mutex
	m  map[int]persistence.Position
}

func newKept() *kept { return &kept{m: map[int]persistence.Position{}} }

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

// empty drops every table of the server.
func empty(t *testing.T, server *questdbtest.Server) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), "postgres://admin:quest@"+server.PG+"/qdb?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	for _, kind := range persistencetest.StoredKinds() {
		if _, err := db.Exec(t.Context(), "DROP TABLE IF EXISTS "+kind.Table()); err != nil {
			t.Fatal(err)
		}
	}
}

func config(server *questdbtest.Server) Config {
	cfg := DefaultConfig()
	cfg.HTTP, cfg.PG, cfg.Password, cfg.Trail = server.HTTP, server.PG, "quest", 0
	return cfg
}

// TestSuite is what every engine passes, on a real server.
func TestSuite(t *testing.T) {
	server := questdbtest.Start(t)
	persistencetest.Run(t, func(t *testing.T) persistencetest.Subject {
		empty(t, server)
		positions, now := newKept(), time.Now()
		var mu sync.Mutex
		clock := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		return persistencetest.Subject{
			Open: func() (persistence.Engine, error) {
				return Open(t.Context(), config(server), Surroundings{Positions: positions, Shards: 1, Now: clock})
			},
			Advance: func(d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				now = now.Add(d)
			},
		}
	})
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	_, err := Open(t.Context(), Config{}, Surroundings{})
	if err == nil || errors.Is(err, persistence.ErrClosed) {
		t.Errorf("%v", err)
	}
}
