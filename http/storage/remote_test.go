package storage_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/remote"
)

func reader(t testing.TB, addresses ...string) *remote.Reader {
	r := remote.New(remote.Options{Find: func(context.Context) ([]string, error) { return addresses, nil }})
	t.Cleanup(r.Close)
	return r
}

// drain reads all rows as lines.
func drain(t testing.TB, rows persistence.Rows) (lines []string, pages int) {
	t.Helper()
	var j market.JSON
	var b market.Batch
	for {
		b.Reset()
		n, err := rows.Next(t.Context(), &b)
		if n != b.Len() {
			t.Fatalf("%d said, %d came", n, b.Len())
		}
		for r := range b.All() {
			lines = append(lines, string(j.Append(nil, r)))
		}
		if errors.Is(err, io.EOF) {
			return lines, pages
		}
		if err != nil {
			t.Fatal(err)
		}
		pages++
	}
}

// TestRemoteReadsTheSame: what another process reads over HTTP is, byte for byte in
// the one JSON form, what the store holds, for every kind, order, range and limit.
func TestRemoteReadsTheSame(t *testing.T) {
	s, m := serve(t)
	r := reader(t, "http://127.0.0.1:1", s.URL())
	random := rand.New(rand.NewPCG(3, 4))
	odd := &market.Instrument{Exchange: "venue", Market: market.Option, Symbol: "BTC/é-USD 1%", Native: "x\"y"}
	for _, k := range market.Kinds() {
		if k.Table() == "" {
			continue
		}
		var b market.Batch
		for i := range 4500 {
			record := b.AddKind(k)
			market.Visit(record, anything{random, &b})
			h := record.Head()
			h.Instrument, h.Origin = odd, market.Collected
			h.ExchangeTime = now.UnixNano() + int64(i)
			h.ReceiveTime = h.ExchangeTime + 5
			if c, ok := record.(*market.Candle); ok {
				c.OpenTime = h.ExchangeTime
			}
			if g, ok := record.(*market.Gap); ok {
				g.FromTime = h.ExchangeTime
			}
			market.Stamp(record)
		}
		m.add(&b)
		id := odd.ID()
		for _, q := range []persistence.Query{
			{Kind: k, Stream: &id},
			{Kind: k, Stream: &id, Newest: true, Origin: persistence.OriginCollected},
			{Kind: k, Stream: &id, Limit: 3},
			{Kind: k, Stream: &id, From: now.UnixNano() + 10, To: now.UnixNano() + 2100},
			{Kind: k, Stream: &id, Origin: persistence.OriginExternal},
		} {
			own, err := m.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := drain(t, own)
			if err := own.Close(); err != nil {
				t.Fatal(err)
			}
			far, err := r.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := drain(t, far)
			if !slices.Equal(got, want) {
				t.Fatalf("%v %+v: %d records, want %d", k, q, len(got), len(want))
			}
		}
		var into market.Batch
		last, ok, err := r.Last(t.Context(), k, id, persistence.OriginCollected, &into)
		if err != nil || !ok || last.Head().TS != now.UnixNano()+4499 {
			t.Errorf("%v: last %v %v", k, ok, err)
		}
	}
	nobody := market.StreamID{Exchange: "venue", Market: market.Spot, Symbol: "NOBODY"}
	if _, ok, err := r.Last(t.Context(), market.KindTrade, nobody, persistence.OriginCollected, &market.Batch{}); ok || err != nil {
		t.Errorf("a stream of which nothing is stored: %v, %v", ok, err)
	}
}

// TestRemoteCursor: a query is continued by another one.
func TestRemoteCursor(t *testing.T) {
	s, m := serve(t)
	r := reader(t, s.URL())
	var b market.Batch
	i := &market.Instrument{Exchange: "venue", Symbol: "A-B", Native: "AB"}
	for n := range 10 {
		tr := market.Add[market.Trade](&b)
		tr.Instrument, tr.ExchangeTime, tr.ID = i, now.UnixNano()+int64(n), market.NumID(int64(n))
		market.Stamp(tr)
	}
	m.add(&b)
	id := i.ID()
	q := persistence.Query{Kind: market.KindTrade, Stream: &id, Limit: 4}
	var all []string
	for range 4 {
		rows, err := r.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		some, _ := drain(t, rows)
		all = append(all, some...)
		q.Cursor = rows.Cursor()
		if q.Cursor == "" {
			break
		}
	}
	if len(all) != 10 || len(slices.Compact(all)) != 10 {
		t.Errorf("%d records", len(all))
	}
}

// TestRemoteColumns: a reader of some columns gets those, the key and the time, as a
// reader of the store itself does, and no more travels.
func TestRemoteColumns(t *testing.T) {
	s, m := serve(t)
	var asked atomic.Pointer[string]
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fields := r.URL.Query().Get("fields")
		asked.Store(&fields)
		http.Redirect(w, r, s.URL()+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	defer proxy.Close()
	r := reader(t, proxy.URL)
	random := rand.New(rand.NewPCG(5, 6))
	i := &market.Instrument{Exchange: "venue", Symbol: "A-B", Native: "AB"}
	id := i.ID()
	for _, k := range market.Kinds() {
		if k.Table() == "" {
			continue
		}
		var b market.Batch
		var want []market.Header
		for n := range 50 {
			record := b.AddKind(k)
			market.Visit(record, anything{random, &b})
			h := record.Head()
			h.Instrument, h.Origin, h.Flags = i, market.Collected, market.FlagBackfilled
			h.ExchangeTime, h.ReceiveTime = now.UnixNano()+int64(n), now.UnixNano()+int64(n)+5
			switch r := record.(type) {
			case *market.Candle:
				r.OpenTime = h.ExchangeTime
			case *market.Gap:
				r.FromTime = h.ExchangeTime
			}
			market.Stamp(record)
			want = append(want, *h)
		}
		m.add(&b)
		rows, err := r.Query(t.Context(), persistence.Query{Kind: k, Stream: &id, Columns: []string{market.FieldFlags.Column}})
		if err != nil {
			t.Fatal(err)
		}
		var got market.Batch
		n, err := rows.Next(t.Context(), &got)
		if err != nil || n != len(want) {
			t.Fatalf("%s: %d records: %v", k, n, err)
		}
		for n, h := range want {
			g := got.At(n).Head()
			if g.TS != h.TS || g.Flags != h.Flags || g.ReceiveTime != h.ReceiveTime || g.Epoch != h.Epoch || g.Origin != h.Origin || g.PrevSeq.OK {
				t.Fatalf("%s: got %+v, want %+v without prev_seq", k, *g, h)
			}
		}
		if fields := *asked.Load(); !strings.Contains(fields, "flags") || strings.Contains(fields, "price_") || strings.Contains(fields, "prev_seq") {
			t.Errorf("%s: asked for %s", k, fields)
		}
	}
	if _, err := r.Query(t.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id, Columns: []string{"colour"}}); !errors.Is(err, persistence.ErrQuery) {
		t.Errorf("a column that there is not: %v", err)
	}
}

func TestRemoteReached(t *testing.T) {
	s, _ := serve(t)
	r := reader(t, s.URL())
	if err := r.Reached(t.Context(), "j", 0, 7); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Reached(ctx, "j", 0, 8); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a position that is not reached: %v", err)
	}
	var answer *remote.AnswerError
	if err := r.Reached(t.Context(), "other", 0, 7); !errors.As(err, &answer) || answer.Code != "journal_fault" {
		t.Errorf("another journal: %v", err)
	}
}

// TestRemoteFails: whatever is no whole answer is an error, never fewer records.
func TestRemoteFails(t *testing.T) {
	id := market.StreamID{Exchange: "venue", Symbol: "A-B"}
	ask := func(r *remote.Reader) error {
		var b market.Batch
		_, _, err := r.Last(t.Context(), market.KindTrade, id, persistence.OriginCollected, &b)
		if b.Len() != 0 && err != nil {
			t.Error("half an answer stays in the batch")
		}
		return err
	}
	good := `{"kind":"trade","exchange":"venue","market":"spot","symbol":"A-B","native_symbol":"AB","exchange_time_ns":5,"receive_time_ns":6,"side":"buy"}`
	for name, body := range map[string]string{
		"no line end": good, "no record": "hello\n", "another kind": `{"kind":"gap","exchange":"venue","market":"spot","symbol":"A-B","native_symbol":"AB"}` + "\n",
		"an unknown member": strings.Replace(good, `"side"`, `"sides"`, 1) + "\n", "too many": good + "\n" + good + "\n",
		"no instrument": `{"kind":"trade","side":"buy"}` + "\n", "a line without end": strings.Repeat("x", market.MaxJSONRecord+1<<20),
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		if ask(reader(t, srv.URL)) == nil {
			t.Errorf("%s: no error", name)
		}
		srv.Close()
	}
	if err := ask(reader(t)); !errors.Is(err, remote.ErrNowhere) {
		t.Errorf("no address: %v", err)
	}
	if err := ask(reader(t, "http://127.0.0.1:1")); err == nil {
		t.Error("nobody listens, and no error")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chassis.WriteError(w, r, chassis.Unavailable(time.Second, "not now"))
	}))
	defer srv.Close()
	var answer *remote.AnswerError
	if err := ask(reader(t, srv.URL)); !errors.As(err, &answer) || answer.Status != 503 {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := reader(t).Query(t.Context(), persistence.Query{Kind: market.KindTrade}); !errors.Is(err, persistence.ErrQuery) {
		t.Errorf("all streams: %v", err)
	}
}
