package questdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/persistence/scan"
)

// clock is a time that a test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// onClock is a fixture whose engine follows a clock.
func onClock(t testing.TB) (*fixture, *clock) {
	f := newFixture(t)
	c := &clock{}
	c.ns.Store(epoch2024 + int64(48*time.Hour))
	f.with.Now = c.now
	f.reopen()
	return f, c
}

func (f *fixture) reopen() {
	f.Helper()
	if err := f.engine.Close(); err != nil {
		f.Fatal(err)
	}
	f.open()
}

// oldest is the next unit of trades that arrived before an instant.
func (f *fixture) oldest(before time.Time) scan.Unit {
	f.Helper()
	u, err := f.engine.Oldest(context.Background(), market.KindTrade, 0, before)
	if err != nil {
		f.Fatal(err)
	}
	return u
}

// idsOf reads a unit as an archive does, and counts each trade with its price.
func (f *fixture) idsOf(u scan.Unit) map[string]int {
	f.Helper()
	got := map[string]int{}
	for _, x := range u.Streams() {
		m := u.Merge(x.Stream, x.Min, x.Max+1)
		for {
			span, err := m.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				f.Fatal(err)
			}
			f.count(span, got)
		}
	}
	return got
}

func (f *fixture) count(span part.Span, into map[string]int) {
	f.Helper()
	var filler part.Filler
	for row := span.Lo; row < span.Hi; row++ {
		var b market.Batch
		r, err := filler.Fill(span.Block, row, &b)
		if err != nil {
			f.Fatal(err)
		}
		into[r.(*market.Trade).ID.String()]++
	}
}

// query reads the ids of an instrument's trades, from memory and server.
func (f *fixture) query(i *market.Instrument) map[string]int {
	f.Helper()
	id := i.ID()
	rows, err := f.engine.Query(context.Background(), persistence.Query{Kind: market.KindTrade, Stream: &id})
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	return f.rest(rows)
}

func (f *fixture) rest(rows persistence.Rows) map[string]int {
	f.Helper()
	got := map[string]int{}
	for {
		var b market.Batch
		_, err := rows.Next(context.Background(), &b)
		for r := range b.All() {
			got[r.(*market.Trade).ID.String()]++
		}
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			f.Fatal(err)
		}
	}
}

func ids(first, n int) map[string]int {
	want := map[string]int{}
	for k := range n {
		want[fmt.Sprintf("id-%d", first+k)] = 1
	}
	return want
}

func (f *fixture) want(what string, got, want map[string]int) {
	f.Helper()
	if !maps.Equal(got, want) {
		f.Errorf("%s: %d ids, want %d; got %v", what, len(got), len(want), slices.Sorted(maps.Keys(got))[:min(5, len(got))])
	}
}

func (f *fixture) forget(before time.Time, all bool) int64 {
	f.Helper()
	n, err := f.engine.Forget(context.Background(), market.KindTrade, persistence.ForgetOptions{Before: before, All: all})
	if err != nil {
		f.Fatal(err)
	}
	return n
}

func (f *fixture) waiting(before time.Time) int64 {
	f.Helper()
	n, err := f.engine.Waiting(context.Background(), market.KindTrade, before)
	if err != nil {
		f.Fatal(err)
	}
	return n
}

// archived ends a unit as an archive does.
func (f *fixture) archived(u scan.Unit) {
	f.Helper()
	if err := u.Confirm(context.Background()); err != nil {
		f.Fatal(err)
	}
	m := u.Meta()
	u.Release()
	f.engine.Archived(m.Kind, m.Shard, m.JournalID, m.LastSeq)
}

const archiveYear = 365 * 24 * time.Hour

// TestQuestDBArchivesAPrefix: what is archived is what came up to a message; a row
// that is replaced meanwhile comes with the message that replaced it. What is
// archived is not read, and leaves once nothing of its hour is needed.
func TestQuestDBArchivesAPrefix(t *testing.T) {
	f, c := onClock(t)
	a := instrument("A-USDT")
	later := c.now().Add(archiveYear)
	f.apply(trades(a, 0, 10))
	f.apply(trades(a, 10, 10))
	f.published()
	f.apply(trades(a, 20, 5)) // in memory
	if n := f.waiting(later); n != 20 {
		t.Errorf("%d rows wait, want 20", n)
	}
	u := f.oldest(later)
	if m := u.Meta(); u.Rows() != 20 || m.FirstSeq != 1 || m.LastSeq != 2 || m.JournalID != "j" || m.Created != c.now().UnixNano() {
		t.Errorf("%d rows, %+v", u.Rows(), m)
	}
	// Three are replaced before they are read.
	f.apply(trades(a, 3, 3))
	f.published()
	got := f.idsOf(u)
	want := ids(0, 20)
	for id := range ids(3, 3) {
		delete(want, id)
	}
	f.want("the first unit", got, want)
	f.archived(u)
	want = ids(20, 5)
	maps.Copy(want, ids(3, 3))
	f.want("what is read hot", f.query(a), want)
	if n := f.forget(later, false); n != 0 {
		t.Errorf("%d rows of an hour left, others of which are needed", n)
	}
	f.want("what is read hot after that", f.query(a), want)
	u = f.oldest(later)
	f.want("the second unit", f.idsOf(u), want)
	f.archived(u)
	if f.oldest(later) != nil || f.waiting(later) != 0 {
		t.Error("more waits to be archived")
	}
	if rows, since := f.engine.Behind(market.KindTrade); rows != 0 || !since.IsZero() {
		t.Errorf("since %v %d rows wait", since, rows)
	}
	f.want("what is read hot", f.query(a), nil)
	if n := f.forget(later, false); n != 25 {
		t.Errorf("%d rows left, want 25", n)
	}
	f.wantTrades(a, 0)
	f.apply(trades(a, 0, 1)) // into the hour that was dropped
	f.published()
	f.want("a row that comes again", f.query(a), ids(0, 1))
}

// TestQuestDBAgesFromArrival: whatever time rows are of, and over a restart.
func TestQuestDBAgesFromArrival(t *testing.T) {
	f, c := onClock(t)
	old, young := instrument("OLD-USDT"), instrument("YOUNG-USDT")
	began := c.now()
	f.apply(trades(old, 0, 10))
	f.published()
	if f.oldest(began) != nil || f.waiting(began) != 0 || f.forget(began, true) != 0 {
		t.Error("rows of 2024 that arrived just now are old")
	}
	c.advance(2 * time.Hour)
	f.apply(trades(young, 0, 7))
	f.published()
	for _, state := range []string{"running", "restarted"} {
		hour := began.Add(time.Hour)
		if n := f.waiting(hour); n != 10 {
			t.Errorf("%s: %d rows are older than an hour, want 10", state, n)
		}
		u := f.oldest(hour)
		if u == nil || u.Rows() != 10 || u.Meta().LastSeq != 1 {
			t.Fatalf("%s: %+v", state, u)
		}
		if rows, at := f.engine.Behind(market.KindTrade); rows != 17 || at.Before(began) || at.After(began.Add(arrivalStep)) {
			t.Errorf("%s: %d rows wait, the oldest since %v, not %v", state, rows, at, began)
		}
		u.Release()
		if err := f.engine.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state == "running" {
			f.reopen()
		}
	}
	// Without a cold store what is old is deleted, by the hour of its time.
	if n := f.forget(began.Add(time.Hour), true); n != 0 {
		t.Errorf("%d rows left; the hour has young ones", n)
	}
	f.want("the old ones", f.query(old), nil)
	f.want("the young ones", f.query(young), ids(0, 7))
	if n := f.forget(c.now().Add(time.Hour), true); n != 17 {
		t.Errorf("%d rows left, want 17", n)
	}
}

// TestQuestDBForgetsBehindReaders: a query that began before rows were archived reads
// them to the end.
func TestQuestDBForgetsBehindReaders(t *testing.T) {
	f, c := onClock(t)
	a := instrument("A-USDT")
	later := c.now().Add(archiveYear)
	for k := range 3 {
		f.apply(trades(a, 5000*k, 5000))
	}
	f.published()
	id := a.ID()
	rows, err := f.engine.Query(t.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b market.Batch
	if _, err := rows.Next(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	u := f.oldest(later)
	if got := f.idsOf(u); len(got) != 15_000 {
		t.Errorf("the unit has %d rows", len(got))
	}
	f.archived(u)
	if n := f.forget(later, false); n != 0 {
		t.Errorf("%d rows left under a reader", n)
	}
	f.want("a query that begins now", f.query(a), nil)
	got := f.rest(rows)
	for r := range b.All() {
		got[r.(*market.Trade).ID.String()]++
	}
	f.want("the query that had begun", got, ids(0, 15_000))
	rows.Close()
	if n := f.forget(later, false); n != 15_000 {
		t.Errorf("%d rows left, want all", n)
	}
}

// TestQuestDBReadsTheJournalAgain: rows that are archived already come again, as
// after a crash; they are not read twice, not archived twice, and leave again.
func TestQuestDBReadsTheJournalAgain(t *testing.T) {
	f, c := onClock(t)
	a := instrument("A-USDT")
	later := c.now().Add(archiveYear)
	messages := []*market.Batch{trades(a, 0, 10), trades(a, 10, 10), trades(a, 20, 10)}
	f.apply(messages[0])
	f.apply(messages[1])
	f.published()
	u := f.oldest(later)
	f.idsOf(u)
	f.archived(u)
	if n := f.forget(later, false); n != 20 {
		t.Errorf("%d rows left, want 20", n)
	}
	// The position before the first message is what was saved last.
	f.with.Positions = questdbtest.NewPositions()
	f.reopen()
	f.engine.Archived(market.KindTrade, 0, "j", 2) // as the cold store tells
	f.seq = 0
	f.apply(messages[0])
	if err := f.engine.Seal(persistence.Position{JournalID: "j", Seq: 1}); err != nil {
		t.Fatal(err)
	}
	if err := f.engine.Publish(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if f.oldest(later) != nil {
		t.Error("something is to be archived before the journal is read so far")
	}
	f.apply(messages[1])
	f.apply(messages[2])
	f.published() // cut at another message than before
	f.want("what is read hot", f.query(a), ids(20, 10))
	u = f.oldest(later)
	f.want("the next unit", f.idsOf(u), ids(20, 10))
	f.archived(u)
	if n := f.forget(later, false); n != 10 {
		t.Errorf("%d rows left, want the 10 that had not left before", n)
	}
}

// TestQuestDBRemovalIsKnown: whether a removal took place can be told by a process that
// has only its description: by whether a crash came before it, or after.
func TestQuestDBRemovalIsKnown(t *testing.T) {
	f, c := onClock(t)
	a := instrument("A-USDT")
	later := c.now().Add(archiveYear)
	f.apply(trades(a, 0, 10))
	f.published()
	u := f.oldest(later)
	f.idsOf(u)
	f.archived(u)
	crash := errors.New("the process is killed")
	for _, at := range []struct {
		name    string
		removes bool
	}{{"before", false}, {"after", true}} {
		var noted persistence.Removal
		_, err := f.engine.Forget(t.Context(), market.KindTrade, persistence.ForgetOptions{Before: later, Step: func(r persistence.Removal, remove func() error) error {
			noted = r
			if at.removes {
				if err := remove(); err != nil {
					t.Fatal(err)
				}
			}
			return crash
		}})
		if !errors.Is(err, crash) || noted.Rows != 10 {
			t.Fatalf("%s: %+v, %v", at.name, noted, err)
		}
		f.reopen()
		f.engine.Archived(market.KindTrade, 0, "j", 1)
		if done, err := f.engine.Removed(t.Context(), noted); err != nil || done != at.removes {
			t.Errorf("killed %s it was removed: %v, %v", at.name, done, err)
		}
	}
}

// TestQuestDBUnitIsConfirmed: an archive whose rows went away, or were set back under
// it, does not count.
func TestQuestDBUnitIsConfirmed(t *testing.T) {
	f, c := onClock(t)
	a := instrument("A-USDT")
	f.apply(trades(a, 0, 10))
	f.published()
	u := f.oldest(c.now().Add(archiveYear))
	if err := u.Confirm(t.Context()); err == nil {
		t.Error("a unit of which nothing was read is confirmed")
	}
	f.idsOf(u)
	if err := u.Confirm(t.Context()); err != nil {
		t.Error(err)
	}
	db := sql(t, f.server)
	if _, err := db.Exec(t.Context(), "DROP TABLE trades"); err != nil {
		t.Fatal(err)
	}
	if err := u.Confirm(t.Context()); !errors.Is(err, persistence.ErrRewind) {
		t.Errorf("a unit of a table that is gone: %v", err)
	}
}

// TestQuestDBUnitsAreBounded: a unit ends within a day of its first arrival.
func TestQuestDBUnitsAreBounded(t *testing.T) {
	f, c := onClock(t)
	a := instrument("A-USDT")
	for k := range 4 {
		f.apply(trades(a, 10*k, 10))
		f.published()
		c.advance(20 * time.Hour)
	}
	var sizes []string
	for {
		u := f.oldest(c.now())
		if u == nil {
			break
		}
		f.idsOf(u)
		sizes = append(sizes, fmt.Sprint(u.Rows()))
		f.archived(u)
	}
	if got := strings.Join(sizes, " "); got != "20 20" {
		t.Errorf("units of %s rows", got)
	}
	sizesOnDisk, err := f.engine.Sizes(t.Context(), market.KindTrade)
	if err != nil || len(sizesOnDisk) != 1 || sizesOnDisk[0].Bytes == 0 || sizesOnDisk[0].Arrived.Before(epochDay(3)) {
		t.Errorf("%+v, %v", sizesOnDisk, err)
	}
}

func epochDay(n int) time.Time { return time.Unix(0, epoch2024).Add(time.Duration(n) * 24 * time.Hour) }
