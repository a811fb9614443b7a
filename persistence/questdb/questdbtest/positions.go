package questdbtest

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/persistence"
)

// Positions outlive an engine, as the journal's server keeps them. They are safe for
// concurrent use.
type Positions struct {
	mu sync.Mutex
	m  map[int]persistence.Position
}

// NewPositions are those of a store that has read nothing.
func NewPositions() *Positions { return &Positions{m: map[int]persistence.Position{}} }

// Load is the saved position of a shard.
func (p *Positions) Load(_ context.Context, shard int) (persistence.Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[shard].Clone(), nil
}

// Save replaces the position of a shard.
func (p *Positions) Save(_ context.Context, position persistence.Position) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.m[position.Shard] = position.Clone()
	return nil
}

// Connect asks the server in SQL until the test ends.
func (s *Server) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(context.Background(), "postgres://admin:quest@"+s.PG+"/qdb?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // only to be gone
	return db
}

// Empty drops the tables that have taken anything.
func (s *Server) Empty(t testing.TB) {
	t.Helper()
	db := s.Connect(t)
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
