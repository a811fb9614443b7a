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
	common.server.Empty(t)
	return common.server
}

func sql(t testing.TB, server *questdbtest.Server) *pgx.Conn {
	t.Helper()
	return server.Connect(t)
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
		server.Empty(t)
		positions, now := questdbtest.NewPositions(), time.Now()
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
