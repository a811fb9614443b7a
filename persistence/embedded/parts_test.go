package embedded

import (
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// TestAllocQueryOverManyParts: a query keeps the pages of the parts that it is
// in, not of those that it has been through.
func TestAllocQueryOverManyParts(t *testing.T) {
	e, err := Open(t.TempDir(), DefaultConfig(), Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	g := persistencetest.NewGenerator(1)
	g.Instruments, g.Times = g.Instruments[:1], 1<<30
	const parts = 120
	for seq := uint64(1); seq <= parts; seq++ {
		var b market.Batch
		for range 100 {
			g.Add(&b, market.KindTrade)
		}
		if err := e.Apply(0, seq, &b); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(e.Seal(persistence.Position{Seq: seq, JournalID: "j"}), e.Publish(t.Context(), 0)); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // a pool is emptied by the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	id := g.Instruments[0].ID()
	rows, err := e.Query(t.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	for {
		var b market.Batch
		got, err := rows.Next(t.Context(), &b)
		n += got
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	after := heap()
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if n < parts*90 {
		t.Errorf("%d rows", n)
	}
	// An open part takes some 45 kB; each page kept would be half a megabyte.
	if each := int64(after-before) / parts; each > 150_000 {
		t.Errorf("a query that has been through %d parts holds %d bytes of each", parts, each)
	}
}
