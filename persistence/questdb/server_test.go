package questdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
)

// fixture is an engine on the shared server, with a proxy before the way of rows.
type fixture struct {
	testing.TB
	server    *questdbtest.Server
	cfg       Config
	with      Surroundings
	engine    *Engine
	seq       uint64
	rejected  map[string][]string // stream -> trade ids
	rejectsMu sync.Mutex
}

func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	server := sharedServer(t)
	f := &fixture{TB: t, server: server, cfg: config(server), rejected: map[string][]string{}}
	for _, c := range change {
		c(&f.cfg)
	}
	f.with = Surroundings{Positions: questdbtest.NewPositions(), Shards: 1, Rejects: f.reject}
	f.open()
	t.Cleanup(func() { f.engine.Close() })
	return f
}

func (f *fixture) open() {
	f.Helper()
	e, err := Open(context.Background(), f.cfg, f.with)
	if err != nil {
		f.Fatal(err)
	}
	f.engine = e
}

func (f *fixture) reject(ctx context.Context, r Rejected) error {
	var filler part.Filler
	for {
		span, err := r.Rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for row := span.Lo; row < span.Hi; row++ {
			var b market.Batch
			rec, err := filler.Fill(span.Block, row, &b)
			if err != nil {
				return err
			}
			f.rejectsMu.Lock()
			f.rejected[r.Stream.String()] = append(f.rejected[r.Stream.String()], rec.(*market.Trade).ID.String())
			f.rejectsMu.Unlock()
		}
	}
}

func instrument(symbol string) *market.Instrument {
	return &market.Instrument{Exchange: "lab", Market: market.Spot, Symbol: symbol, Native: symbol}
}

const epoch2024 = 1_704_067_200_000_000_000

// trades are n trades with ids from first on, a millisecond apart.
func trades(i *market.Instrument, first, n int) *market.Batch {
	b := &market.Batch{}
	for k := range n {
		t := market.Add[market.Trade](b)
		t.Instrument, t.Origin = i, market.External
		t.ExchangeTime = epoch2024 + int64(first+k)*1_000_000
		t.ReceiveTime = t.ExchangeTime
		t.ID = market.TextID(fmt.Sprintf("id-%d", first+k))
		t.Price, t.Amount = market.NewDecimal(int64(6_000_000+k), 2), market.NewDecimal(1, 3)
		market.Stamp(t)
	}
	return b
}

func (f *fixture) apply(b *market.Batch) {
	f.Helper()
	f.seq++
	if err := f.engine.Apply(0, f.seq, b); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) publish() error {
	f.Helper()
	if err := f.engine.Seal(persistence.Position{JournalID: "j", Seq: f.seq}); err != nil {
		f.Fatal(err)
	}
	return f.engine.Publish(context.Background(), 0)
}

func (f *fixture) published() {
	f.Helper()
	if err := f.publish(); err != nil {
		f.Fatal(err)
	}
}

// wantTrades wants ids [0, n) of an instrument once each, from the server alone.
func (f *fixture) wantTrades(i *market.Instrument, n int) {
	f.Helper()
	var count, distinct int64
	db := sql(f, f.server)
	err := db.QueryRow(context.Background(), "SELECT count(), count_distinct(trade_id) FROM trades WHERE symbol = $1", i.Symbol).Scan(&count, &distinct)
	if err != nil {
		f.Fatal(err)
	}
	if count != int64(n) || distinct != int64(n) {
		var have []string
		rows, err := db.Query(context.Background(), "SELECT trade_id FROM trades WHERE symbol = $1", i.Symbol)
		if err != nil {
			f.Fatal(err)
		}
		if have, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			f.Fatal(err)
		}
		for k := range n {
			if id := fmt.Sprintf("id-%d", k); !slices.Contains(have, id) {
				f.Logf("%s is not stored", id)
			}
		}
		f.Errorf("%d rows with %d ids are stored, want %d", count, distinct, n)
	}
}

// proxy stands before the server's HTTP port; answer 0 passes a request on.
func proxy(t testing.TB, to string, answer func(body []byte) int) string {
	t.Helper()
	target, err := url.Parse("http://" + to)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it left
		}
		switch status := answer(body); status {
		case 0:
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			forward.ServeHTTP(w, r)
		case -1: // taken, and the answer is lost
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case -2:
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, fmt.Sprintf(`{"code":"test","message":"answer %d","line":1,"errorId":"x"}`, status), status)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestQuestDBRefusesForAWhile: whatever the answer, or without one, the rows are sent
// again by themselves, and stored once. Nothing goes the way of rejects.
func TestQuestDBRefusesForAWhile(t *testing.T) {
	for _, status := range []int{500, 503, 429, 404, 401, 403, 502, 507, -1, -2} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var left atomic.Int64
			left.Store(2)
			f := newFixture(t)
			f.engine.cfg.HTTP = proxy(t, f.server.HTTP, func(body []byte) int {
				if len(body) > 0 && left.Add(-1) >= 0 {
					return status
				}
				return 0
			})
			f.engine.cfg.RequestRows = 40
			f.apply(trades(instrument("A-USDT"), 0, 100))
			attempts := 1
			for f.publish() != nil {
				if attempts++; attempts > 5 {
					t.Fatal("still not published")
				}
			}
			f.wantTrades(instrument("A-USDT"), 100)
			if len(f.rejected) > 0 {
				t.Errorf("rejected: %v", f.rejected)
			}
		})
	}
}

// TestQuestDBRefusesARow: 400 and 413 find the row; the others are stored. A record
// of before 1970 is found without asking.
func TestQuestDBRefusesARow(t *testing.T) {
	for _, status := range []int{400, 413} {
		f := newFixture(t)
		f.engine.cfg.HTTP = proxy(t, f.server.HTTP, func(body []byte) int {
			if bytes.Contains(body, []byte(`"id-37"`)) || bytes.Contains(body, []byte(`"id-38"`)) {
				return status
			}
			return 0
		})
		b := trades(instrument("A-USDT"), 0, 100)
		old := market.Add[market.Trade](b)
		old.Instrument, old.Origin, old.ExchangeTime, old.ID = instrument("A-USDT"), market.External, -5, market.TextID("old")
		market.Stamp(old)
		f.apply(b)
		f.published()
		f.wantTrades(instrument("A-USDT"), 98)
		got := f.rejected[instrument("A-USDT").ID().String()]
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, []string{"id-37", "id-38", "old"}) {
			t.Errorf("%d: rejected %v", status, got)
		}
	}
}

// TestQuestDBWithAnotherSchema: a column that was dropped by hand, a table that was
// dropped, and columns of a program before.
func TestQuestDBWithAnotherSchema(t *testing.T) {
	f := newFixture(t)
	db := sql(t, f.server)
	f.apply(trades(instrument("A-USDT"), 0, 10))
	f.published()
	for _, column := range []string{"quote_amount", "amount"} {
		if _, err := db.Exec(t.Context(), "ALTER TABLE trades DROP COLUMN "+column); err != nil {
			t.Fatal(err)
		}
	}
	applied(t.Context(), t, db, "trades")
	f.apply(trades(instrument("A-USDT"), 10, 10))
	f.published() // while it runs
	f.wantTrades(instrument("A-USDT"), 20)
	if len(f.rejected) > 0 {
		t.Errorf("rejected: %v", f.rejected)
	}
	if _, err := db.Exec(t.Context(), "ALTER TABLE trades DROP COLUMN seq"); err != nil {
		t.Fatal(err)
	}
	applied(t.Context(), t, db, "trades")
	if err := f.engine.Close(); err != nil {
		t.Fatal(err)
	}
	f.open() // at the start
	applied(t.Context(), t, db, "trades")
	var columns int64
	if err := db.QueryRow(t.Context(), `SELECT count() FROM table_columns('trades') WHERE "column" IN ('seq', 'amount', 'quote_amount')`).Scan(&columns); err != nil || columns != 3 {
		t.Errorf("%d of the columns are back: %v", columns, err)
	}
	var changes int64
	if err := db.QueryRow(t.Context(), "SELECT count() FROM "+schemaTable+" WHERE change LIKE 'trades.%'").Scan(&changes); err != nil || changes < 1 {
		t.Errorf("%d changes are recorded: %v", changes, err)
	}
}

// TestQuestDBSuspendsATable: it goes on taking rows; they do not count until they are
// seen, and maintenance makes it go on.
func TestQuestDBSuspendsATable(t *testing.T) {
	f := newFixture(t)
	f.apply(trades(instrument("A-USDT"), 0, 10))
	f.published()
	db := sql(t, f.server)
	if _, err := db.Exec(t.Context(), "ALTER TABLE trades SUSPEND WAL"); err != nil {
		t.Fatal(err)
	}
	f.apply(trades(instrument("A-USDT"), 10, 10))
	if err := f.publish(); !errors.Is(err, errInvisible) {
		t.Fatalf("rows that nobody sees count as published: %v", err)
	}
	if f.engine.Published(0) != 1 {
		t.Errorf("published up to %d", f.engine.Published(0))
	}
	if list := f.engine.Ailments(); len(list) != 1 || !strings.Contains(list[0].Error(), "suspended table trades") {
		t.Errorf("ailments: %v", list)
	}
	if err := f.engine.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.engine.Publish(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	f.wantTrades(instrument("A-USDT"), 20)
	if err := f.engine.Maintain(t.Context()); err != nil || len(f.engine.Ailments()) > 0 {
		t.Errorf("afterwards: %v, %v", err, f.engine.Ailments())
	}
}

// TestQuestDBTakesMoreThanABuffer: a batch beyond the client's limit is cut, and what
// follows is not spoilt by it.
func TestQuestDBTakesMoreThanABuffer(t *testing.T) {
	f := newFixture(t)
	f.engine.maxBuffer = 64 << 10
	f.engine.writers[market.KindTrade].close()
	for i := range 3 {
		f.apply(trades(instrument("A-USDT"), i*2000, 2000))
		f.published()
	}
	f.wantTrades(instrument("A-USDT"), 6000)
	if len(f.rejected) > 0 {
		t.Errorf("%d rejected", len(f.rejected[instrument("A-USDT").ID().String()]))
	}
}

// TestQuestDBWithHostileNames: names of instruments and of streams are values,
// never text of a statement.
func TestQuestDBWithHostileNames(t *testing.T) {
	f := newFixture(t)
	names := []string{`'; DROP TABLE trades; --`, `a"b\c`, "BTC/USDT:USDT", "比特币", "line\nbreak", "a,b=c d", "$1", "%s"}
	for _, name := range names {
		f.apply(trades(instrument(name), 0, 3))
	}
	f.published()
	for _, name := range names {
		id := instrument(name).ID()
		rows, err := f.engine.Query(t.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id})
		if err != nil {
			t.Fatal(err)
		}
		var b market.Batch
		n, err := rows.Next(t.Context(), &b)
		if err != nil || n != 3 || b.At(0).Head().Instrument.Symbol != name {
			t.Errorf("%q: %d rows, %v", name, n, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		f.wantTrades(instrument(name), 3)
	}
}

// TestQuestDBWithFewConnections: more queries than connections wait for each other,
// and one that cannot wait says so.
func TestQuestDBWithFewConnections(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Readers = 1 })
	id := instrument("A-USDT").ID()
	f.apply(trades(instrument("A-USDT"), 0, 500))
	f.published()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			_, ok, err := f.engine.Last(t.Context(), market.KindTrade, id, persistence.OriginAll, &market.Batch{})
			if err != nil || !ok {
				t.Errorf("Last: %v, %v", ok, err)
			}
		})
	}
	all.Wait()
	held, err := f.engine.reads.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := f.engine.Last(ctx, market.KindTrade, id, persistence.OriginAll, &market.Batch{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a connection: %v", err)
	}
}

// TestQuestDBKilledUnderWrites: the server is killed while rows are sent, and the
// engine is dropped and made again from its saved position; every row is there once.
func TestQuestDBKilledUnderWrites(t *testing.T) {
	f := newFixture(t)
	f.engine.Close()
	f.server = questdbtest.Start(t)
	cfg := config(f.server)
	cfg.RequestRows = 100
	cfg.RequestTimeout = 2 * time.Second
	f.cfg = cfg
	f.with.Positions = questdbtest.NewPositions()
	f.open()
	i := instrument("A-USDT")
	var journal []*market.Batch
	for round := range 3 {
		for range 5 {
			journal = append(journal, trades(i, len(journal)*400, 400))
			f.apply(journal[len(journal)-1])
		}
		killed := make(chan struct{})
		go func() {
			<-time.After(time.Duration(1+round*7) * time.Millisecond) // the moment is any
			f.server.Kill()
			close(killed)
		}()
		err := f.publish()
		<-killed
		if round == 1 { // and we too: what was not saved is read again
			f.engine.Close()
			f.open()
			if err == nil && f.engine.Position(0).Seq != f.seq {
				t.Errorf("position %d after publishing %d", f.engine.Position(0).Seq, f.seq)
			}
			f.seq = f.engine.Position(0).Seq
			for _, b := range journal[f.seq:] {
				f.apply(b)
			}
		}
		if err := f.server.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for attempts := 0; f.publish() != nil; attempts++ {
			if attempts == 20 {
				t.Fatal("still not published")
			}
		}
	}
	f.wantTrades(i, len(journal)*400)
}

// TestQuestDBThatIsAwayAtTheStart: an engine opens without it, answers that it is
// away, and goes on when it is there.
func TestQuestDBThatIsAwayAtTheStart(t *testing.T) {
	f := newFixture(t)
	f.engine.Close()
	ports, pg := f.cfg.HTTP, f.cfg.PG
	f.cfg.HTTP, f.cfg.PG = "127.0.0.1:1", "127.0.0.1:1"
	f.open()
	f.apply(trades(instrument("A-USDT"), 0, 10))
	if err := f.publish(); !errors.Is(err, persistence.ErrUnavailable) {
		t.Fatalf("publishing without a server: %v", err)
	}
	id := instrument("A-USDT").ID()
	if _, _, err := f.engine.Last(t.Context(), market.KindTrade, id, persistence.OriginAll, &market.Batch{}); !errors.Is(err, persistence.ErrUnavailable) {
		t.Errorf("a query without a server: %v", err)
	}
	if len(f.engine.Ailments()) == 0 {
		t.Error("nothing ails an engine without a server")
	}
	f.engine.Close()
	f.cfg.HTTP, f.cfg.PG = ports, pg
	f.open()
	f.seq = f.engine.Position(0).Seq
	f.apply(trades(instrument("A-USDT"), 0, 10))
	f.published()
	f.wantTrades(instrument("A-USDT"), 10)
}
