package persistencetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// roundTrip: every field of every kind comes back, from memory, from files and
// after a restart.
func roundTrip(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(1)
	g.Times = 100_000 // few equal keys
	for _, kind := range StoredKinds() {
		b := &market.Batch{}
		for range 300 {
			g.Add(b, kind)
		}
		f.apply(b)
	}
	f.checkAll()
	f.publishAll()
	f.checkAll()
	f.crash()
	f.checkAll()
}

// differential: random operations against the model.
func differential(seed uint64) func(t *testing.T, s Subject) {
	return func(t *testing.T, s Subject) {
		f := newFixture(t, s)
		g := NewGenerator(seed)
		kinds := StoredKinds()
		n := steps
		if s.Steps > 0 {
			n = s.Steps
		}
		for range n {
			f.randomStep(g, kinds)
		}
		f.checkAll()
		f.crash()
		f.checkAll()
		f.publishAll()
		s.Advance(2 * time.Hour)
		f.must(f.engine.Maintain(t.Context()))
		f.checkAll()
	}
}

// clockJumps: random operations while somebody sets the clock, on and back, by minutes
// and by days.
func clockJumps(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(17)
	kinds := StoredKinds()
	n := steps
	if s.Steps > 0 {
		n = s.Steps
	}
	for i := range n / 2 {
		if i%4 == 0 {
			s.Advance(time.Duration(g.IntN(145)-72) * [...]time.Duration{time.Minute, time.Hour}[g.IntN(2)])
			f.must(f.engine.Maintain(t.Context()))
		}
		f.randomStep(g, kinds)
	}
	for _, jump := range []time.Duration{-72 * time.Hour, 240 * time.Hour} {
		f.publishAll()
		s.Advance(jump)
		f.must(f.engine.Maintain(t.Context()))
		f.checkAll()
		f.crash()
		f.checkAll()
	}
}

func (f *fixture) randomStep(g *Generator, kinds []market.Kind) {
	f.t.Helper()
	switch n := g.IntN(20); {
	case n < 9:
		b := &market.Batch{}
		for range g.IntN(60) {
			g.Add(b, kinds[g.IntN(len(kinds))])
		}
		f.apply(b)
	case n == 9:
		g.Epoch++
	case n < 12:
		f.publishAll()
	case n == 12:
		f.subject.Advance(time.Duration(g.IntN(90)) * time.Minute)
		f.must(f.engine.Maintain(f.t.Context()))
	case n == 13:
		f.crash()
	default:
		q := g.query(kinds)
		f.check(q)
		f.checkPages(g, q)
	}
}

func (g *Generator) query(kinds []market.Kind) persistence.Query {
	q := persistence.Query{Kind: kinds[g.IntN(len(kinds))], Newest: g.IntN(2) == 0, Origin: persistence.OriginFilter(g.IntN(4))}
	if g.IntN(4) > 0 {
		id := g.Instruments[g.IntN(len(g.Instruments))].ID()
		q.Stream = &id
		if g.IntN(4) == 0 {
			q.Origin = persistence.OriginPreferCollected
		}
	}
	if g.IntN(2) == 0 {
		q.From = Base + int64(g.IntN(g.Times))*1_000_000
		q.To = q.From + int64(g.IntN(g.Times))*1_000_000 + int64(g.IntN(2))
	}
	if g.IntN(3) == 0 {
		q.Limit = 1 + g.IntN(20)
	}
	return q
}

// checkPages reads a query page by page.
func (f *fixture) checkPages(g *Generator, q persistence.Query) {
	f.t.Helper()
	q.Limit = 0
	want := f.model.Select(q)
	q.Limit = 1 + g.IntN(30)
	var got []string
	for {
		page, cursor, err := Read(f.t.Context(), f.engine, q)
		f.must(err)
		got = append(got, page...)
		if len(page) > q.Limit {
			f.t.Fatalf("a page of %d records, the limit is %d", len(page), q.Limit)
		}
		if cursor == "" {
			break
		}
		q.Cursor = cursor
	}
	f.same("pages of "+show(q), got, want)
}

// cursorsWhileWriting: who pages through a store reads each record that was there
// at the beginning once, whatever happens in between.
func cursorsWhileWriting(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(9)
	more := func() {
		b := &market.Batch{}
		for range 50 {
			g.Add(b, market.KindTrade)
		}
		f.apply(b)
	}
	for _, newest := range []bool{false, true} {
		more()
		id := g.Instruments[0].ID()
		q := persistence.Query{Kind: market.KindTrade, Stream: &id, Newest: newest, Limit: 3}
		all := q
		all.Limit = 0
		before := f.model.selected(all)
		var got []string
		for step := 0; ; step++ {
			page, cursor, err := Read(t.Context(), f.engine, q)
			f.must(err)
			got = append(got, page...)
			if cursor == "" {
				break
			}
			q.Cursor = cursor
			switch step % 3 {
			case 0:
				f.publishAll()
			case 1:
				s.Advance(time.Hour)
				f.must(f.engine.Maintain(t.Context()))
			case 2:
				if step < 30 {
					more()
				}
			}
		}
		after := f.model.selected(all)
		for _, r := range before {
			kept := slices.ContainsFunc(after, func(a *modelRecord) bool { return a.text == r.text })
			if n := count(got, r.text); kept && n != 1 {
				t.Fatalf("newest %v: %s was read %d times", newest, r.text, n)
			}
		}
	}
}

func count(list []string, s string) int {
	n := 0
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// pinnedView: rows that are open read what there was when they were opened.
func pinnedView(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(3)
	g.Times = 1_000_000
	for range 12 {
		b := &market.Batch{}
		for range 500 {
			g.Add(b, market.KindTrade)
		}
		f.apply(b)
		f.publishAll()
	}
	q := persistence.Query{Kind: market.KindTrade}
	want := f.model.Select(q)
	rows, err := f.engine.Query(t.Context(), q)
	f.must(err)
	var b market.Batch
	if _, err := rows.Next(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	first := []string{}
	for r := range b.All() {
		first = append(first, Text(r))
	}
	g.Times = 5
	for range 3 {
		b := &market.Batch{}
		for range 100 {
			g.Add(b, market.KindTrade)
		}
		f.apply(b)
		f.publishAll()
		s.Advance(3 * time.Hour)
		f.must(f.engine.Maintain(t.Context()))
	}
	rest, _, err := drain(t.Context(), rows)
	f.must(err)
	f.same("the view of before", append(first, rest...), want)
	f.checkAll()
	for _, p := range f.engine.Parts() {
		if info, err := os.Stat(p.Path); err != nil || info.Size() != p.Bytes || !filepath.IsAbs(p.Path) {
			t.Errorf("part %+v: %v", p, err)
		}
	}
}

// supersededRecords: rows of a former owner are dropped, and only those.
func supersededRecords(t *testing.T, s Subject) {
	f := newFixture(t, s)
	btc := Instruments()[0]
	add := func(epoch int64, seq int64, change func(*market.BookDelta)) {
		b := &market.Batch{}
		d := market.Add[market.BookDelta](b)
		d.Instrument, d.TS, d.Epoch, d.Seq = btc, Base+seq, epoch, market.Int(seq)
		if change != nil {
			change(d)
		}
		tr := market.Add[market.Trade](b) // keyed: never superseded
		tr.Instrument, tr.TS, tr.Epoch, tr.ID = btc, Base+seq, epoch, market.NumID(seq)
		f.apply(b)
	}
	add(5, 1, nil)
	add(4, 2, nil)
	add(5, 3, nil)
	f.publishAll()
	f.crash()
	add(4, 4, nil)
	add(4, 5, func(d *market.BookDelta) { d.Origin = market.External })
	f.checkAll()
	if n := f.model.Count(market.KindBookDelta); n != 3 {
		t.Fatalf("the model has %d deltas", n)
	}
	if got := f.engine.Position(0).Epochs[btc.ID().String()]; got != 5 {
		t.Errorf("the position's epoch is %d, want 5", got)
	}
	stats, err := f.engine.Stats(t.Context())
	f.must(err)
	if stats.Superseded != 1 { // the one since it was opened
		t.Errorf("superseded %d, want 1", stats.Superseded)
	}
}

// visibility: who waits for a sequence wakes when it is applied, or when its
// patience ends.
func visibility(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(4)
	woke := make(chan error, 1)
	go func() { woke <- f.engine.WaitApplied(t.Context(), 0, 2) }()
	for range 2 {
		b := &market.Batch{}
		g.Add(b, market.KindTrade)
		f.apply(b)
	}
	if err := <-woke; err != nil {
		t.Fatal(err)
	}
	if got := f.engine.Applied(0); got != 2 {
		t.Fatalf("applied %d", got)
	}
	b := &market.Batch{}
	if err := f.engine.Apply(0, 2, b); err == nil {
		t.Error("a message was applied twice")
	}
	ctx, cancel := contextWithDeadline(t)
	defer cancel()
	if err := f.engine.WaitApplied(ctx, 0, 99); !errors.Is(err, ctx.Err()) || err == nil {
		t.Errorf("waiting beyond the deadline: %v", err)
	}
	if err := f.engine.Seal(position(1)); err == nil {
		t.Error("sealed at a position that is not the applied one")
	}
}

// refusals: what cannot be stored or asked is refused by type.
func refusals(t *testing.T, s Subject) {
	f := newFixture(t, s)
	b := &market.Batch{}
	market.Add[market.Trade](b).Instrument = Instruments()[0]
	market.Add[market.BookTop](b).Instrument = Instruments()[0]
	if err := f.engine.Apply(0, 1, b); !errors.Is(err, persistence.ErrRecord) {
		t.Errorf("a kind without table: %v", err)
	}
	b.Truncate(1)
	market.Add[market.Trade](b)
	if err := f.engine.Apply(0, 1, b); !errors.Is(err, persistence.ErrRecord) {
		t.Errorf("a record without instrument: %v", err)
	}
	if got := f.model.Count(market.KindTrade); got != 0 || f.engine.Applied(0) != 0 {
		t.Error("half a message was applied")
	}
	f.checkAll()
	for name, q := range map[string]persistence.Query{
		"kind":   {Kind: market.KindBookTop},
		"column": {Kind: market.KindTrade, Columns: []string{"nope"}},
		"cursor": {Kind: market.KindTrade, Cursor: "nope"},
	} {
		if _, err := f.engine.Query(t.Context(), q); !errors.Is(err, persistence.ErrQuery) && !errors.Is(err, persistence.ErrCursor) {
			t.Errorf("bad %s: %v", name, err)
		}
	}
	if _, err := f.engine.Candles(t.Context(), persistence.CandleQuery{Interval: "7x"}); !errors.Is(err, persistence.ErrQuery) {
		t.Errorf("bad interval: %v", err)
	}
}

// cancelled: a caller that gives up gets its own error, and may go on.
func cancelled(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(8)
	b := &market.Batch{}
	for range 50 {
		g.Add(b, market.KindTrade)
	}
	f.apply(b)
	for range 2 {
		q := persistence.Query{Kind: market.KindTrade}
		rows, err := f.engine.Query(t.Context(), q)
		f.must(err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var into market.Batch
		if n, err := rows.Next(ctx, &into); n != 0 || !errors.Is(err, context.Canceled) {
			t.Fatalf("Next with a cancelled context: %d, %v", n, err)
		}
		got, _, err := drain(t.Context(), rows)
		f.must(err)
		f.same("going on after giving up", got, f.model.Select(q))
		f.publishAll()
	}
}

// projection: a column that is not read is absent, the others are as they were.
func projection(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(6)
	b := &market.Batch{}
	for range 200 {
		g.Add(b, market.KindTrade)
	}
	f.apply(b)
	for range 2 {
		rows, err := f.engine.Query(t.Context(), persistence.Query{Kind: market.KindTrade, Columns: []string{"price"}})
		f.must(err)
		full, err := f.engine.Query(t.Context(), persistence.Query{Kind: market.KindTrade})
		f.must(err)
		var some, all market.Batch
		if _, err := rows.Next(t.Context(), &some); err != nil {
			t.Fatal(err)
		}
		if _, err := full.Next(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		f.must(rows.Close())
		f.must(full.Close())
		for i := range some.Len() {
			a, b := some.At(i).(*market.Trade), all.At(i).(*market.Trade)
			if a.Price != b.Price && a.Price.String() != b.Price.String() || a.ID != b.ID && a.ID.Cmp(b.ID) != 0 || a.Amount.IsSet() && len(f.engine.Parts()) > 0 {
				t.Fatalf("projected %s, whole %s", Text(a), Text(b))
			}
		}
		f.publishAll()
	}
}

// concurrentReaders: readers see no half of anything while a writer applies,
// publishes and merges. Run it with the race detector.
func concurrentReaders(t *testing.T, s Subject) {
	f := newFixture(t, s)
	btc := Instruments()[0]
	id := btc.ID()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			seen := int64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				applied := int64(f.engine.Applied(0))
				rows, err := f.engine.Query(t.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id})
				if err != nil {
					t.Error(err)
					return
				}
				var last, n int64
				var b market.Batch
				for {
					b.Reset()
					if _, err := rows.Next(t.Context(), &b); err != nil {
						break
					}
					for r := range market.Rows[market.Trade](&b) {
						num, _ := r.ID.Num()
						if num != last+1 {
							t.Errorf("trade %d follows %d", num, last)
						}
						last = num
						n++
					}
				}
				if err := rows.Close(); err != nil {
					t.Error(err)
				}
				if n < seen || n < applied*20 {
					t.Errorf("read %d trades, %d before, %d messages applied", n, seen, applied)
					return
				}
				seen = n
			}
		})
	}
	next := int64(1)
	for i := range 60 {
		b := &market.Batch{}
		for range 20 {
			r := market.Add[market.Trade](b)
			r.Instrument, r.ID, r.TS = btc, market.NumID(next), Base+next/3
			r.Price, r.Amount = market.NewDecimal(next, 2), market.NewDecimal(next, 3)
			next++
		}
		f.apply(b)
		if i%7 == 6 {
			f.publishAll()
		}
		if i%21 == 20 {
			s.Advance(2 * time.Hour)
			f.must(f.engine.Maintain(t.Context()))
		}
	}
	close(stop)
	readers.Wait()
	f.checkAll()
}
