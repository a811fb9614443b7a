package questdb

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// common is the server of all tests that do not kill it.
var common struct {
	once   sync.Once
	server *questdbtest.Server
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if s := common.server; s != nil {
		s.Kill()
		if err := os.RemoveAll(s.Root); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// sharedServer is a running server without tables of ours.
func sharedServer(t testing.TB) *questdbtest.Server {
	t.Helper()
	common.once.Do(func() {
		root, err := os.MkdirTemp("", "questdb")
		if err == nil {
			common.server, err = questdbtest.New(context.Background(), root)
		}
		if err == nil {
			err = common.server.Run(context.Background())
		}
		common.err = err
	})
	if common.err != nil {
		if os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1" {
			t.Fatalf("no QuestDB server: %v", common.err)
		}
		t.Skipf("NOT TESTED AGAINST QUESTDB: %v", common.err)
	}
	empty(t, common.server)
	return common.server
}

func sql(t testing.TB, server *questdbtest.Server) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(context.Background(), "postgres://admin:quest@"+server.PG+"/qdb?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // only to be gone
	return db
}

// empty drops the tables that have taken anything.
func empty(t testing.TB, server *questdbtest.Server) {
	t.Helper()
	db := sql(t, server)
	rows, err := db.Query(context.Background(), "SELECT name FROM wal_tables() WHERE sequencerTxn > 0")
	if err != nil {
		t.Fatal(err)
	}
	used, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range used {
		if _, err := db.Exec(context.Background(), "DROP TABLE IF EXISTS "+name); err != nil {
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
func TestQuestDBSuite(t *testing.T) {
	server := sharedServer(t)
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
			Steps: 25,
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
