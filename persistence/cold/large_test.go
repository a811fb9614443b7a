package cold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/scan"
)

// trades makes trades of one instrument at even distances.
type trades struct {
	s          *Store
	instrument *market.Instrument
	from, step int64 // ns
	first, n   int64
	at         int64
	block      *part.Block
}

// Bounds implements [part.Source].
func (m *trades) Bounds() (lo, hi int64) {
	return m.from + m.first*m.step, m.from + (m.first+m.n-1)*m.step
}

// Priority implements [part.Source].
func (m *trades) Priority() uint64 { return 1 }

// Next implements [part.Source].
func (m *trades) Next(context.Context) (part.Span, error) {
	if m.at >= m.n {
		return part.Span{}, io.EOF
	}
	if m.block == nil {
		m.block = part.NewBlock(m.s.schemas[market.KindTrade], m.s.names)
	}
	m.block.Reset()
	code := m.s.names.InstrumentCode(m.instrument)
	var b market.Batch
	for m.block.Len() < 8192 && m.at < m.n {
		b.Reset()
		id := m.first + m.at
		// A walk whose steps are those of a real book: a few ticks, odd amounts.
		noise := uint64(id) * 0x9e3779b97f4a7c15 >> 40
		t := market.Add[market.Trade](&b)
		t.Instrument, t.TS, t.ID = m.instrument, m.from+id*m.step, market.NumID(id+1)
		t.Price, t.Amount = market.NewDecimal(6_000_000+id/50%20_000+int64(noise%40), 2), market.NewDecimal(int64(noise%900_000)+1, 5)
		t.ReceiveTime, t.ExchangeTime, t.Side = t.TS+3_000_000+int64(noise%900_000), t.TS, market.Buy
		if noise%3 == 0 {
			t.Side = market.Sell
		}
		m.block.Append(t, code, uint64(id))
		m.at++
	}
	return part.Span{Block: m.block, Lo: 0, Hi: m.block.Len()}, nil
}

// evenUnit is trades of one instrument, as a hot store hands them to an archive.
type evenUnit struct {
	all trades
	seq uint64
}

func (u *evenUnit) Meta() part.Meta {
	return part.Meta{Kind: market.KindTrade, JournalID: "j", FirstSeq: u.seq, LastSeq: u.seq, Created: time.Now().UnixNano()}
}
func (u *evenUnit) Rows() int64                   { return u.all.n }
func (u *evenUnit) Confirm(context.Context) error { return nil }
func (u *evenUnit) Release()                      {}
func (u *evenUnit) Streams() []scan.Extent {
	lo, hi := u.all.Bounds()
	return []scan.Extent{{Stream: u.all.instrument.ID(), Min: lo, Max: hi}}
}

func (u *evenUnit) Merge(_ market.StreamID, from, to int64) *part.Merge {
	one := u.all
	first := max(one.first, (from-one.from+one.step-1)/one.step)
	end := min(one.first+one.n, (to-one.from+one.step-1)/one.step)
	if end <= first {
		return part.NewMerge(nil, false)
	}
	one.first, one.n = first, end-first
	return part.NewMerge([]part.Source{&one}, false)
}

// evenHot is a hot store with units of such trades.
type evenHot struct {
	scan.Hot
	units []*evenUnit
}

func (h *evenHot) Oldest(_ context.Context, kind market.Kind, _ int, _ time.Time) (scan.Unit, error) {
	if kind != market.KindTrade || len(h.units) == 0 {
		return nil, nil
	}
	return h.units[0], nil
}

func (h *evenHot) Archived(_ market.Kind, _ int, _ string, seq uint64) {
	for len(h.units) > 0 && h.units[0].seq <= seq {
		h.units = h.units[1:]
	}
}

// archiveEven archives n trades that lie step apart, in units of up to unit rows, and
// returns how long that took.
func archiveEven(t testing.TB, s *Store, from int64, step time.Duration, n, unit int64) time.Duration {
	t.Helper()
	hot := &evenHot{}
	for first := int64(0); first < n; first += unit {
		u := &evenUnit{seq: uint64(len(hot.units) + 1), all: trades{
			s: s, instrument: persistencetest.Instruments()[0], from: from, step: int64(step), first: first, n: min(unit, n-first),
		}}
		hot.units = append(hot.units, u)
	}
	began := time.Now()
	r, err := s.Archive(t.Context(), hot, 1, persistence.ArchiveOptions{Kinds: []market.Kind{market.KindTrade}, Before: time.Now()})
	if err != nil || r.Rows != n {
		t.Fatalf("archived %+v, %v; want %d rows", r, err, n)
	}
	return time.Since(began)
}

// readEven reads trades, newest first if asked for, and returns how many, the ids of the
// first and of the last, and what was read of files.
func readEven(t testing.TB, s *Store, q persistence.Query) (n int, first, last int64, read persistence.ReadStats) {
	t.Helper()
	ctx, reads := persistence.CountReads(t.Context())
	id := persistencetest.Instruments()[0].ID()
	q.Kind, q.Stream = market.KindTrade, &id
	rows, err := reader(s).Query(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b market.Batch
	for {
		b.Reset()
		_, err := rows.Next(ctx, &b)
		for tr := range market.Rows[market.Trade](&b) {
			last, _ = tr.ID.Num()
			if n == 0 {
				first = last
			}
			n++
		}
		if errors.Is(err, io.EOF) {
			return n, first, last, reads.Of(persistence.TierCold).Stats()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestLargeYear: a year of minutes, archived month by month, has a file for each day. A
// query opens those of its days alone, from whichever end it reads.
func TestLargeYear(t *testing.T) {
	b, err := NewLocal(filepath.Join(t.TempDir(), "cold"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, b)
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) // 366 days
	const minutes = 366 * 24 * 60
	took := archiveEven(t, s, start.UnixNano(), time.Minute, minutes, 31*24*60)
	if n := len(s.Parts()); n != 366 {
		t.Errorf("%d files, want one a day", n)
	}
	at := func(day int) int64 { return start.AddDate(0, 0, day).UnixNano() }
	for _, c := range []struct {
		name        string
		q           persistence.Query
		rows        int
		first, last int64
		files       int64
	}{
		{"a day", persistence.Query{From: at(100), To: at(101)}, 1440, 100*1440 + 1, 101 * 1440, 1},
		{"from noon to noon", persistence.Query{From: at(100) + 12*int64(time.Hour), To: at(101) + 12*int64(time.Hour)}, 1440, 100*1440 + 721, 101*1440 + 720, 2},
		{"the first 1000 of half a year", persistence.Query{From: at(0), To: at(183), Limit: 1000}, 1000, 1, 1000, 1},
		{"the last 2000", persistence.Query{Newest: true, Limit: 2000}, 2000, minutes, minutes - 1999, 2},
		{"everything", persistence.Query{}, minutes, 1, minutes, 366},
	} {
		began := time.Now()
		n, first, last, read := readEven(t, s, c.q)
		if n != c.rows || first != c.first || last != c.last {
			t.Errorf("%s: %d rows from %d to %d, want %d from %d to %d", c.name, n, first, last, c.rows, c.first, c.last)
		}
		if read.Files != c.files {
			t.Errorf("%s: %+v, want %d files", c.name, read, c.files)
		}
		t.Logf("%s: %d rows of %d files in %v", c.name, n, read.Files, time.Since(began).Round(10*time.Microsecond))
	}
	t.Logf("archived in %v", took.Round(time.Millisecond))
}

// TestLargeHistory: MARKETPRISM_LARGE_TRADES trades, 300,000 of them by default, of ten
// days: archive speed, bytes a row, and query times by range and limit. With ten
// million they are the figures of docs/performance.md.
func TestLargeHistory(t *testing.T) {
	n := int64(300_000)
	if text := os.Getenv("MARKETPRISM_LARGE_TRADES"); text != "" {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil || n < 10_000 {
			t.Fatalf("MARKETPRISM_LARGE_TRADES=%q: want a number from 10000 on", text)
		}
	}
	b, err := NewLocal(filepath.Join(t.TempDir(), "cold"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, b)
	const days = 10
	start := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	step := days * 24 * time.Hour / time.Duration(n)
	took := archiveEven(t, s, start.UnixNano(), step, n, 4_000_000)
	bytes := int64(0)
	for _, p := range s.Parts() {
		bytes += p.Bytes
	}
	perRow := float64(bytes) / float64(n)
	t.Logf("%d trades archived in %v, %.0f rows/s, %d files, %.2f bytes a trade", n, took.Round(time.Millisecond), float64(n)/took.Seconds(), len(s.Parts()), perRow)
	if perRow > 25 { // random amounts do not compress
		t.Errorf("%.2f bytes a trade", perRow)
	}
	from := func(share float64) int64 { return start.UnixNano() + int64(share*float64(step)*float64(n)) }
	for _, c := range []struct {
		name string
		q    persistence.Query
		want int64
	}{
		{"the last 1000", persistence.Query{Newest: true, Limit: 1000}, 1000},
		{"1000 from the middle on", persistence.Query{From: from(0.5), Limit: 1000}, 1000},
		{"the last 100,000", persistence.Query{Newest: true, Limit: 100_000}, 100_000},
		{"a hundredth", persistence.Query{From: from(0.5), To: from(0.51)}, n / 100},
		{"a tenth", persistence.Query{From: from(0.3), To: from(0.4)}, n / 10},
		{"everything", persistence.Query{}, n},
		{"prices alone of everything", persistence.Query{Columns: []string{"price"}}, n},
	} {
		if c.q.Limit > 0 && int64(c.q.Limit) > n {
			continue
		}
		best, read := time.Duration(math.MaxInt64), persistence.ReadStats{}
		for range 3 {
			began := time.Now()
			rows, _, _, r := readEven(t, s, c.q)
			best, read = min(best, time.Since(began)), r
			if d := int64(rows) - c.want; d < -1 || d > 1 {
				t.Fatalf("%s: %d rows, want %d", c.name, rows, c.want)
			}
		}
		t.Logf("%s: %v, of %d files, %d row groups, %d pages, %s", c.name, best.Round(10*time.Microsecond), read.Files, read.RowGroups, read.Pages, megabytes(read.Bytes))
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }
