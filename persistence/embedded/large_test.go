package embedded

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// TestLargeParts crosses the ends of blocks, pages and row groups: trades of three
// instruments, mostly in order, a part of each published twice, read both ways,
// alone and together, from any time on.
func TestLargeParts(t *testing.T) {
	const each = 60_000 // a row group of the part holds 131,072
	const perTS = 3
	c := newClock()
	e := openTest(t, t.TempDir(), c)
	streams := persistencetest.Instruments()[:3]
	r := rand.New(rand.NewPCG(1, 1))
	seq := uint64(0)
	write := func(from, to int64) {
		for at := from; at < to; at += 2000 {
			b := &market.Batch{}
			ids := r.Perm(2000)
			if at/2000%4 > 0 { // three of four batches come in order
				for i := range ids {
					ids[i] = i
				}
			}
			for _, i := range ids {
				for _, s := range streams {
					tr := market.Add[market.Trade](b)
					id := at + int64(i)
					tr.Instrument, tr.ID, tr.TS = s, market.NumID(id), persistencetest.Base+id/perTS
					tr.Price = market.NewDecimal(id, 2)
				}
			}
			seq++
			apply(t, e, seq, b)
		}
	}
	check := func(where string) {
		t.Helper()
		for range 12 {
			from, to := r.Int64N(each), r.Int64N(each)+1
			if from > to {
				from, to = to, from
			}
			q := persistence.Query{Kind: market.KindTrade, From: persistencetest.Base + from/perTS, To: persistencetest.Base + to/perTS, Newest: r.IntN(2) == 0}
			first, last := from/perTS*perTS, to/perTS*perTS-1
			if r.IntN(3) > 0 {
				id := streams[r.IntN(3)].ID()
				q.Stream = &id
			}
			if r.IntN(3) == 0 {
				q.From, first = 0, 0
			}
			if r.IntN(3) == 0 {
				q.To, last = 0, each-1
			}
			checkTrades(t, e, where, q, first, last)
		}
		stats, err := e.Stats(t.Context())
		if err != nil || stats.Tables[0].Rows != 3*each {
			t.Fatalf("%s: counted %d trades, want %d, %v", where, stats.Tables[0].Rows, 3*each, err)
		}
	}
	write(0, each)
	check("memory")
	publish(t, e)
	check("one part")
	write(each/2, each) // the same again
	check("a part and memory")
	publish(t, e)
	check("two parts")
	c.advance(3 * time.Hour)
	if err := e.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if parts := e.Parts(); len(parts) != 1 || parts[0].Rows != 3*each {
		t.Fatalf("merged into %+v", parts)
	}
	check("merged")
}

// checkTrades expects ids first to last of each stream, in reading order.
func checkTrades(t *testing.T, e *Engine, where string, q persistence.Query, first, last int64) {
	t.Helper()
	rows, err := e.Query(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	copies, step, next := int64(3), int64(1), first
	if q.Stream != nil {
		copies = 1
	}
	if q.Newest {
		step, next = -1, last
	}
	n := int64(0)
	var b market.Batch
	for {
		b.Reset()
		if _, err := rows.Next(t.Context(), &b); err != nil {
			break
		}
		for r := range market.Rows[market.Trade](&b) {
			id, _ := r.ID.Num()
			if id != next || r.Price.String() != market.NewDecimal(id, 2).String() {
				t.Fatalf("%s, %+v: trade %d at %s, want %d (row %d)", where, q, id, r.Price, next, n)
			}
			if n++; n%copies == 0 {
				next += step
			}
		}
	}
	if want := max(0, last-first+1) * copies; n != want {
		t.Fatalf("%s, %+v: read %d trades, want %d", where, q, n, want)
	}
}

// TestLargeBooks: pages end where text fills them.
func TestLargeBooks(t *testing.T) {
	e := openTest(t, t.TempDir(), newClock())
	const books, levels = 600, 400
	for seq := range uint64(books) {
		b := &market.Batch{}
		s := market.Add[market.BookSnapshot](b)
		s.Instrument, s.TS, s.Depth = btc, persistencetest.Base+int64(seq), market.Int(levels)
		mark := b.LevelMark()
		for i := range int64(levels) {
			b.Level(market.Level{Price: market.NewDecimal(6_000_000_000_000-i*7919, 8), Amount: market.NewDecimal(int64(seq)*i, 8)})
		}
		s.Bids = b.LevelsFrom(mark)
		apply(t, e, seq+1, b)
	}
	for _, where := range []string{"memory", "part"} {
		rows, err := e.Query(t.Context(), persistence.Query{Kind: market.KindBookSnapshot, Stream: stream()})
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		var b market.Batch
		for {
			b.Reset()
			if _, err := rows.Next(t.Context(), &b); err != nil {
				break
			}
			for s := range market.Rows[market.BookSnapshot](&b) {
				last := s.Bids[len(s.Bids)-1]
				if len(s.Bids) != levels || s.TS != persistencetest.Base+n || last.Amount.String() != market.NewDecimal(n*(levels-1), 8).String() {
					t.Fatalf("%s: book %d has %d levels, the last %v", where, n, len(s.Bids), last)
				}
				n++
			}
		}
		if err := rows.Close(); err != nil || n != books {
			t.Fatalf("%s: read %d books, want %d, %v", where, n, books, err)
		}
		publish(t, e)
	}
}

// TestShards: each shard has a position of its own, and one commit is of one
// shard.
func TestShards(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, dir, newClock())
	instruments := persistencetest.Instruments()
	write := func(shard int, seq uint64) {
		t.Helper()
		b := &market.Batch{}
		tr := market.Add[market.Trade](b)
		tr.Instrument, tr.ID, tr.TS, tr.Epoch = instruments[shard], market.NumID(int64(seq)), persistencetest.Base, int64(shard)
		if err := e.Apply(shard, seq, b); err != nil {
			t.Fatal(err)
		}
	}
	for seq := uint64(1); seq <= 5; seq++ {
		write(0, seq)
		write(1, 10*seq) // a journal may begin anywhere
	}
	if err := e.Seal(persistence.Position{JournalID: "j", Shard: 1, Seq: 50}); err != nil {
		t.Fatal(err)
	}
	if err := e.Publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openTest(t, dir, newClock())
	if a, b := e.Position(0), e.Position(1); a.Seq != 0 || b.Seq != 50 || b.Shard != 1 || b.Epochs[instruments[1].ID().String()] != 1 {
		t.Errorf("positions %+v and %+v", a, b)
	}
	if got, err := e.Streams(t.Context(), market.KindTrade); err != nil || fmt.Sprint(got) != fmt.Sprint([]market.StreamID{instruments[1].ID()}) {
		t.Errorf("streams %v", got)
	}
	write(0, 1)
	if n := readAll(t, e, persistence.Query{Kind: market.KindTrade}); n != 6 {
		t.Errorf("%d trades, want 6", n)
	}
}

// TestManyStreams reads a table of many instruments together and one by one.
func TestManyStreams(t *testing.T) {
	const streams, each = 300, 700
	e := openTest(t, t.TempDir(), newClock())
	for seq := range uint64(each / 10) {
		b := &market.Batch{}
		for i := range int64(10) {
			for s := range streams {
				tr := market.Add[market.Trade](b)
				id := int64(seq)*10 + i
				tr.Instrument = &market.Instrument{Exchange: "x", Symbol: fmt.Sprintf("S%03d", s), Native: "n"}
				tr.ID, tr.TS = market.NumID(id), persistencetest.Base+id*int64(1+s%3)
			}
		}
		apply(t, e, seq+1, b)
		if seq == each/20 {
			publish(t, e)
		}
	}
	publish(t, e)
	rows, err := e.Query(t.Context(), persistence.Query{Kind: market.KindTrade})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n, last := 0, int64(0)
	var b market.Batch
	for {
		b.Reset()
		if _, err := rows.Next(t.Context(), &b); err != nil {
			break
		}
		for r := range b.All() {
			if r.Head().TS < last {
				t.Fatalf("row %d is at %d, after %d", n, r.Head().TS, last)
			}
			last = r.Head().TS
			n++
		}
	}
	if n != streams*each {
		t.Errorf("read %d trades, want %d", n, streams*each)
	}
	ids, err := e.Streams(t.Context(), market.KindTrade)
	if err != nil || len(ids) != streams {
		t.Fatalf("%d streams, %v", len(ids), err)
	}
	for _, id := range ids[:20] {
		if n := readAll(t, e, persistence.Query{Kind: market.KindTrade, Stream: &id}); n != each {
			t.Errorf("%v: %d trades, want %d", id, n, each)
		}
	}
}
