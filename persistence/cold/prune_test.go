package cold

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/scan"
)

// metered is a bucket that counts the bytes that are read of files.
type metered struct {
	Bucket
	read atomic.Int64
}

func (m *metered) Open(ctx context.Context, name string) (part.Content, int64, error) {
	c, size, err := m.Bucket.Open(ctx, name)
	return meteredContent{c, m}, size, err
}

type meteredContent struct {
	part.Content
	of *metered
}

func (m meteredContent) ReadAt(b []byte, at int64) (int, error) {
	n, err := m.Content.ReadAt(b, at)
	m.of.read.Add(int64(n))
	return n, err
}

// series makes trades of one instrument, one each millisecond.
func series(s *Store, i *market.Instrument, from int64, rows int) *part.Block {
	b := part.NewBlock(s.schemas[market.KindTrade], s.names)
	code := s.names.InstrumentCode(i)
	var batch market.Batch
	for n := range rows {
		batch.Reset()
		t := market.Add[market.Trade](&batch)
		t.Instrument, t.TS, t.ID = i, from+int64(n)*int64(time.Millisecond), market.NumID(int64(n)+1)
		t.Price, t.Amount, t.Side = market.NewDecimal(6_000_000+int64(n)%977, 2), market.NewDecimal(int64(n)*7919%100_000+1, 5), market.Buy
		b.Append(t, code, uint64(n))
	}
	return b
}

// reader answers queries of a store alone.
func reader(s *Store) *scan.Reader {
	schemas := part.Schemas(s.schemas)
	return &scan.Reader{Layers: []scan.Layer{s}, Schemas: &schemas, Now: time.Now, Gate: &scan.Gate{}, Read: func(market.Kind, int) {}}
}

// TestOnlyWhatIsNeededIsRead: of many files a query opens those of its stream and
// time, and of those it reads the row groups, the pages and the columns that it needs;
// what it says that it has read is what the bucket was asked for.
func TestOnlyWhatIsNeededIsRead(t *testing.T) {
	local, err := NewLocal(filepath.Join(t.TempDir(), "cold"))
	if err != nil {
		t.Fatal(err)
	}
	b := &metered{Bucket: local}
	s := open(t, b)
	const rows = 2*part.GroupRows + 10_000 // three row groups
	const day = int64(24 * time.Hour)
	start := time.Date(2024, 8, 8, 0, 0, 0, 0, time.UTC).UnixNano()
	instruments := persistencetest.Instruments()
	seq := uint64(0)
	write := func(i *market.Instrument, from int64, n int) Part {
		seq++
		p, err := s.Write(t.Context(), part.Meta{Kind: market.KindTrade, JournalID: "j", FirstSeq: seq, LastSeq: seq}, i.ID(), Day(from), merge(series(s, i, from, n)))
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, p)
		return p
	}
	big := write(instruments[0], start, rows)
	for d := range int64(3) {
		for _, i := range instruments[:3] {
			write(i, start+(d+1)*day, 100)
		}
	}
	id := instruments[0].ID()
	at := func(row int64) int64 { return start + row*int64(time.Millisecond) }
	pages := int64((rows + part.PageRows - 1) / part.PageRows)
	for name, c := range map[string]struct {
		q    persistence.Query
		rows int
		want persistence.ReadStats
	}{
		"a page of the second row group": {
			persistence.Query{From: at(part.GroupRows + 10), To: at(part.GroupRows + 60)}, 50,
			persistence.ReadStats{Files: 1, FilesPruned: 9, RowGroups: 1, RowGroupsPruned: 2, Pages: 1, PagesPruned: pages - 1},
		},
		"the edge of two row groups": {
			persistence.Query{From: at(part.GroupRows - 10), To: at(part.GroupRows + 10)}, 20,
			persistence.ReadStats{Files: 1, FilesPruned: 9, RowGroups: 2, RowGroupsPruned: 1, Pages: 2, PagesPruned: pages - 2},
		},
		"the newest ten": {
			persistence.Query{To: at(rows), Newest: true, Limit: 10}, 10,
			persistence.ReadStats{Files: 1, FilesPruned: 9, RowGroups: 1, Pages: 1},
		},
		"one column": {
			persistence.Query{From: at(part.GroupRows + 10), To: at(part.GroupRows + 60), Columns: []string{"flags"}}, 50,
			persistence.ReadStats{Files: 1, FilesPruned: 9, RowGroups: 1, RowGroupsPruned: 2, Pages: 1, PagesPruned: pages - 1},
		},
		"nothing of that time": {
			persistence.Query{From: at(-100), To: at(0)}, 0,
			persistence.ReadStats{FilesPruned: 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, reads := persistence.CountReads(t.Context())
			c.q.Kind, c.q.Stream = market.KindTrade, &id
			b.read.Store(0)
			got, err := reader(s).Query(ctx, c.q)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for {
				var batch market.Batch
				k, err := got.Next(ctx, &batch)
				n += k
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := got.Close(); err != nil || n != c.rows {
				t.Errorf("%d rows, want %d; %v", n, c.rows, err)
			}
			st := reads.Of(persistence.TierCold).Stats()
			bytes, asked := st.Bytes, b.read.Load()
			st.Bytes = 0
			if st != c.want {
				t.Errorf("read %+v, want %+v", st, c.want)
			}
			// What was asked for is the pages, dictionaries, and what the reader reads
			// ahead; the first query of a file its footer and indexes as well.
			if most := bytes + 256<<10; asked > most || c.rows > 0 && bytes == 0 {
				t.Errorf("%d bytes were asked for, %d said, of a file of %d", asked, bytes, big.Bytes)
			}
			t.Logf("%d bytes of pages, %d asked for, of %d", bytes, asked, big.Bytes)
			if hot := reads.Of(persistence.TierHot).Stats(); hot != (persistence.ReadStats{}) {
				t.Errorf("of the hot store %+v", hot)
			}
		})
	}
}
