package persistencetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Subject is one store under test.
type Subject struct {
	// Open opens the store; the first time it is empty. Between two calls the suite
	// closes it, without publishing.
	Open func() (persistence.Engine, error)
	// Advance moves the store's clock, back for a negative duration.
	Advance func(time.Duration)
	// Steps is the number of steps of a differential test, where it is not to be that
	// of a store in this process.
	Steps int
}

// Run runs the whole suite; each test gets a subject of its own.
func Run(t *testing.T, subject func(t *testing.T) Subject) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"RoundTrip", roundTrip},
		{"Differential0", differential(0)},
		{"Differential1", differential(1)},
		{"Differential2", differential(2)},
		{"Differential3", differential(3)},
		{"ClockJumps", clockJumps},
		{"CursorsWhileWriting", cursorsWhileWriting},
		{"PinnedView", pinnedView},
		{"Superseded", supersededRecords},
		{"Visibility", visibility},
		{"Refusals", refusals},
		{"Cancelled", cancelled},
		{"Projection", projection},
		{"Candles", candlesFromTrades},
		{"ConcurrentReaders", concurrentReaders},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, subject(t)) })
	}
}

// journal is the log that a store is a function of.
type journal struct {
	messages []*market.Batch // sequence i+1
}

const journalID = "0123456789abcdef0123456789abcdef"

// fixture is a store with the journal and model beside it.
type fixture struct {
	t       *testing.T
	subject Subject
	engine  persistence.Engine
	journal journal
	model   *Model
}

func newFixture(t *testing.T, s Subject) *fixture {
	f := &fixture{t: t, subject: s, model: NewModel()}
	f.open()
	t.Cleanup(func() {
		if err := f.engine.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) open() {
	f.t.Helper()
	e, err := f.subject.Open()
	f.must(err)
	f.engine = e
}

// crash closes the store without publishing, opens it and replays the journal
// from its position.
func (f *fixture) crash() {
	f.t.Helper()
	f.must(f.engine.Close())
	f.open()
	p := f.engine.Position(0)
	if p.Seq > 0 && p.JournalID != journalID {
		f.t.Fatalf("position %+v has lost its journal", p)
	}
	if p.Seq > 0 && p.Recorders[persistence.Incarnation{1}].N != p.Seq {
		f.t.Fatalf("position %+v has lost its recorders", p)
	}
	for i := int(p.Seq); i < len(f.journal.messages); i++ {
		f.must(f.engine.Apply(0, uint64(i+1), f.journal.messages[i]))
	}
}

func (f *fixture) apply(b *market.Batch) {
	f.t.Helper()
	f.journal.messages = append(f.journal.messages, b)
	err := f.engine.Apply(0, uint64(len(f.journal.messages)), b)
	if errors.Is(err, persistence.ErrBacklog) {
		f.publish(uint64(len(f.journal.messages) - 1))
		err = f.engine.Apply(0, uint64(len(f.journal.messages)), b)
	}
	f.must(err)
	f.model.Apply(b)
}

func (f *fixture) publish(seq uint64) {
	f.t.Helper()
	f.must(f.engine.Seal(position(seq)))
	f.must(f.engine.Publish(f.t.Context(), 0))
	if got := f.engine.Position(0).Seq; got != seq {
		f.t.Fatalf("position is %d after publishing %d", got, seq)
	}
}

func (f *fixture) publishAll() {
	f.t.Helper()
	f.publish(uint64(len(f.journal.messages)))
}

func position(seq uint64) persistence.Position {
	return persistence.Position{
		JournalID: journalID, Seq: seq,
		Recorders: map[persistence.Incarnation]persistence.RecorderBatch{{1}: {N: seq, Seq: seq, Sum: 7}},
	}
}

// Read collects a query's records as texts.
func Read(ctx context.Context, r persistence.Reader, q persistence.Query) (texts []string, cursor string, err error) {
	rows, err := r.Query(ctx, q)
	if err != nil {
		return nil, "", err
	}
	return drain(ctx, rows)
}

func drain(ctx context.Context, rows persistence.Rows) (texts []string, cursor string, err error) {
	texts = []string{}
	var b market.Batch
	for {
		b.Reset()
		n, err := rows.Next(ctx, &b)
		if errors.Is(err, io.EOF) {
			return texts, rows.Cursor(), rows.Close()
		}
		if err != nil {
			return texts, "", errors.Join(err, rows.Close())
		}
		if n != b.Len() {
			return texts, "", fmt.Errorf("a call of Next said %d records and appended %d", n, b.Len())
		}
		for record := range b.All() {
			texts = append(texts, Text(record))
		}
	}
}

func (f *fixture) check(q persistence.Query) {
	f.t.Helper()
	got, _, err := Read(f.t.Context(), f.engine, q)
	f.must(err)
	f.same(fmt.Sprintf("query %s", show(q)), got, f.model.Select(q))
}

func show(q persistence.Query) string {
	s := fmt.Sprintf("%v from %d to %d limit %d newest %v origin %d", q.Kind, q.From, q.To, q.Limit, q.Newest, q.Origin)
	if q.Stream != nil {
		s += " of " + q.Stream.String()
	}
	return s
}

func (f *fixture) same(what string, got, want []string) {
	f.t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			f.t.Fatalf("%s: %d records, want %d; record %d:\n got %s\nwant %s", what, len(got), len(want), i, g, w)
		}
	}
}

// checkAll compares everything that a store answers with the model.
func (f *fixture) checkAll() {
	f.t.Helper()
	stats, err := f.engine.Stats(f.t.Context())
	f.must(err)
	for i, kind := range StoredKinds() {
		for _, newest := range []bool{false, true} {
			f.check(persistence.Query{Kind: kind, Newest: newest})
			for _, instrument := range Instruments() {
				id := instrument.ID()
				f.check(persistence.Query{Kind: kind, Stream: &id, Newest: newest})
			}
		}
		if stats.Tables[i].Kind != kind || stats.Tables[i].Rows != f.model.Count(kind) {
			f.t.Fatalf("stats say %d rows of %v, want %d", stats.Tables[i].Rows, stats.Tables[i].Kind, f.model.Count(kind))
		}
		f.checkLast(kind)
	}
	if len(stats.Quarantined) > 0 {
		f.t.Fatalf("quarantined: %+v", stats.Quarantined)
	}
}

func (f *fixture) checkLast(kind market.Kind) {
	f.t.Helper()
	for _, instrument := range Instruments() {
		id := instrument.ID()
		want := f.model.Select(persistence.Query{Kind: kind, Stream: &id, Newest: true, Limit: 1})
		var b market.Batch
		r, ok, err := f.engine.Last(f.t.Context(), kind, id, persistence.OriginAll, &b)
		f.must(err)
		if ok != (len(want) == 1) || ok && Text(r) != want[0] {
			f.t.Fatalf("Last(%v, %v) = %v, want %v", kind, id, ok, want)
		}
	}
}
