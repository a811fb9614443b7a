package embedded

import (
	"context"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

func openTest(t testing.TB, dir string, c *clock) *Engine {
	t.Helper()
	e, err := Open(dir, DefaultConfig(), Surroundings{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

func apply(t testing.TB, e *Engine, seq uint64, b *market.Batch) {
	t.Helper()
	if err := e.Apply(0, seq, b); err != nil {
		t.Fatal(err)
	}
}

func publish(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Seal(persistence.Position{JournalID: "j", Seq: e.Applied(0)}); err != nil {
		t.Fatal(err)
	}
	if err := e.Publish(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
}
