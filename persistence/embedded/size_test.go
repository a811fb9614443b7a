package embedded

import (
	"os"
	"sort"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// TestBytesPerTrade holds a captured trade to its size, every column included.
func TestLargeTradesBytes(t *testing.T) {
	for _, name := range []string{spotCapture, usdmCapture} {
		e := openTest(t, t.TempDir(), newClock())
		tp := newTape(capturedTrades(t, name))
		for seq := range uint64(40) {
			var b market.Batch
			tp.fill(&b, 5000)
			apply(t, e, seq+1, &b)
		}
		publish(t, e)
		p := e.Parts()[0]
		perRow := float64(p.Bytes) / float64(p.Rows)
		t.Logf("%s: %d trades captured, %d stored in %d bytes: %.2f a trade", name, len(tp.trades), p.Rows, p.Bytes, perRow)
		if testing.Verbose() {
			logColumns(t, p)
		}
		if perRow > 15 {
			t.Errorf("%s: %.2f bytes a trade, want at most 15", name, perRow)
		}
	}
}

func logColumns(t *testing.T, p persistence.PartInfo) {
	f, err := os.Open(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pq, err := parquet.OpenFile(f, p.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	size := map[string]int64{}
	for _, g := range pq.Metadata().RowGroups {
		for _, c := range g.Columns {
			size[c.MetaData.PathInSchema[0]] += c.MetaData.TotalCompressedSize
		}
	}
	names := []string{}
	for n := range size {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool { return size[names[i]] > size[names[j]] })
	for _, n := range names {
		t.Logf("  %-20s %6.2f", n, float64(size[n])/float64(p.Rows))
	}
}
