package storage_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/storage"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/embedded"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/questdb"
	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/persistence/router"
)

// real is a branch whose rows are those of a real store, hot and cold.
type real struct {
	*memory
	engine *router.Engine
}

func (b real) Query(ctx context.Context, q persistence.Query) (persistence.Rows, error) {
	return b.engine.Query(ctx, q)
}

func (b real) Candles(ctx context.Context, q persistence.CandleQuery) (persistence.Rows, error) {
	return b.engine.Candles(ctx, q)
}

func (b real) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter) (market.Record, bool, error) {
	return b.engine.Last(ctx, kind, stream, origin, &market.Batch{})
}

// store is a real store behind a façade, and its only writer.
type store struct {
	t      testing.TB
	engine *router.Engine
	server *chassis.Server
	seq    uint64
}

func newStore(t testing.TB) *store {
	t.Helper()
	return newStoreOn(t, func(dir string, names *part.Names) (router.Hot, error) {
		cfg := embedded.DefaultConfig()
		cfg.UnlinkAfter = 0
		return embedded.Open(dir, cfg, embedded.Surroundings{Names: names})
	})
}

// newQuestDBStore has its recent rows at a server of its own.
func newQuestDBStore(t testing.TB) *store {
	t.Helper()
	server := questdbtest.Start(t)
	return newStoreOn(t, func(_ string, names *part.Names) (router.Hot, error) {
		cfg := questdb.DefaultConfig()
		cfg.HTTP, cfg.PG, cfg.Password, cfg.Trail = server.HTTP, server.PG, "quest", 0
		return questdb.Open(t.Context(), cfg, questdb.Surroundings{Positions: questdbtest.NewPositions(), Shards: 1, Names: names})
	})
}

func newStoreOn(t testing.TB, open func(dir string, names *part.Names) (router.Hot, error)) *store {
	t.Helper()
	dir, names := t.TempDir(), part.NewNames()
	hot, err := open(filepath.Join(dir, "hot"), names)
	if err != nil {
		t.Fatal(err)
	}
	config := cold.DefaultConfig()
	config.Grace = 0
	tier, err := cold.NewTier(config, filepath.Join(dir, "cold"), hot, cold.Surroundings{Names: names, Scratch: filepath.Join(dir, "scratch")})
	if err == nil {
		err = tier.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &store{t: t, engine: router.New(hot, tier, 1)}
	t.Cleanup(func() {
		if err := s.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	m := newMemory(t)
	s.server = chassistest.Serve(t, "data-storage-service", func(server *chassis.Server) error {
		return storage.Register(server, storage.Options{Branch: real{m, s.engine}, Catalogue: binance(), Files: files})
	})
	return s
}

func (s *store) apply(b *market.Batch) {
	s.t.Helper()
	s.seq++
	s.must(s.engine.Apply(0, s.seq, b))
}

func (s *store) publish() {
	s.t.Helper()
	s.must(s.engine.Seal(persistence.Position{JournalID: "j", Seq: s.seq}))
	s.must(s.engine.Publish(s.t.Context(), 0))
}

func (s *store) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) archive() int64 {
	s.t.Helper()
	report, err := s.engine.Archive(s.t.Context(), persistence.ArchiveOptions{Before: time.Now().Add(time.Hour)})
	s.must(err)
	return report.Rows
}

func (s *store) forget() int64 {
	s.t.Helper()
	rows, err := s.engine.Forget(s.t.Context(), persistence.ForgetOptions{Before: time.Now().Add(time.Hour)})
	s.must(err)
	return rows
}

var streamOfAll = &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

// mintTrade adds a trade at a place of the range.
func mintTrade(b *market.Batch, at, id int64) {
	t := market.Add[market.Trade](b)
	t.Instrument, t.ExchangeTime, t.ReceiveTime, t.ID, t.Epoch = streamOfAll, at, at+1, market.NumID(id), 1
	t.Price, t.Amount, t.Side = market.NewDecimal(100+id%1000, 2), market.NewDecimal(1+id%7919, 8), market.Buy
	market.Stamp(t)
}

// minted are the keys that were written, in the order of writing.
type minted struct {
	mu   sync.Mutex
	keys []tradeKey
}

type tradeKey struct {
	at, id int64
}

func (m *minted) snapshot() []tradeKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys[:len(m.keys):len(m.keys)]
}

// TestPagesWhileRowsMove: while records arrive all over the range, are published,
// merged, archived, joined and forgotten, each list that is read page by page has
// every key that was there when it began exactly once, in order, and nothing that
// never was.
func TestPagesWhileRowsMove(t *testing.T) { pagesWhileRowsMove(t, newStore(t), 120) }

// TestQuestDBPagesWhileRowsMove is the same where a server has the recent rows.
func TestQuestDBPagesWhileRowsMove(t *testing.T) { pagesWhileRowsMove(t, newQuestDBStore(t), 24) }

func pagesWhileRowsMove(t *testing.T, s *store, steps int) {
	const start, span = int64(1_723_118_400_000_000_000), int64(6 * time.Hour)
	r := rand.New(rand.NewPCG(11, 12))
	var all minted
	write := func(n int) {
		var b market.Batch
		var keys []tradeKey
		for range n {
			k := tradeKey{start + r.Int64N(span/1e6)*1e6, int64(len(all.keys) + len(keys))}
			if r.IntN(10) == 0 && len(all.keys) > 0 { // one that is there already, once more
				k = all.keys[r.IntN(len(all.keys))]
			} else {
				keys = append(keys, k)
			}
			mintTrade(&b, k.at, k.id)
		}
		s.apply(&b)
		all.mu.Lock()
		all.keys = append(all.keys, keys...)
		all.mu.Unlock()
	}
	write(3000)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var readers sync.WaitGroup
	var lists [4]int
	for i := range lists {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 77))
			for ctx.Err() == nil && !t.Failed() {
				readList(t, s.server, &all, r)
				lists[i]++
			}
		})
	}
	var moved, forgotten int64
	for step := range steps {
		write(1 + r.IntN(60))
		switch r.IntN(6) {
		case 0, 1, 2:
			s.publish()
		case 3:
			s.publish()
			moved += s.archive()
		case 4:
			forgotten += s.forget()
		case 5:
			_, err := s.engine.Upkeep(t.Context(), func(persistence.UpkeepReport) {})
			s.must(err)
		}
		s.must(s.engine.Maintain(t.Context()))
		if step%10 == 0 {
			s.must(s.engine.Tend(t.Context()))
		}
		if t.Failed() {
			break
		}
	}
	s.publish() // now nothing holds an hour of the server's back
	moved += s.archive()
	forgotten += s.forget()
	end()
	readers.Wait()
	readList(t, s.server, &all, r)
	t.Logf("%d keys; %d rows archived, %d forgotten; lists read: %v", len(all.keys), moved, forgotten, lists)
	if slices.Contains(lists[:], 0) || moved == 0 || forgotten == 0 {
		t.Error("nothing was proven")
	}
}

// readList reads all pages of one list, of some size, order and format.
func readList(t *testing.T, s *chassis.Server, all *minted, r *rand.Rand) {
	before := all.snapshot()
	desc, lines := r.IntN(2) == 0, r.IntN(2) == 0
	path := fmt.Sprintf("query/trade/binance/BTCUSDT?fields=id,exchange_time_ns&limit=%d", 100+r.IntN(2000))
	if desc {
		path += "&order=desc"
	}
	if lines {
		path += "&format=ndjson"
	}
	seen := map[tradeKey]bool{}
	var last tradeKey
	next := ""
	for page := 0; ; page++ {
		keys, cursor, err := readPage(t.Context(), s.URL()+"/api/v1/storage/"+path+"&cursor="+url.QueryEscape(next))
		if err != nil {
			t.Errorf("%s, page %d: %v", path, page, err)
			return
		}
		for _, k := range keys {
			follows := k.at > last.at || k.at == last.at && k.id > last.id
			if desc {
				follows = k.at < last.at || k.at == last.at && k.id < last.id
			}
			if len(seen) > 0 && !follows || seen[k] {
				t.Errorf("%s, page %d: %v follows %v", path, page, k, last)
				return
			}
			seen[k], last = true, k
		}
		if next = cursor; next == "" {
			break
		}
	}
	for _, k := range before {
		if !seen[k] {
			t.Errorf("%s: %v was there when it began, and is missing", path, k)
			return
		}
	}
	after := map[tradeKey]bool{}
	for _, k := range all.snapshot() {
		after[k] = true
	}
	for k := range seen {
		if !after[k] {
			// What a write has applied is there before the test has noted it.
			if k.id < int64(len(before)) {
				t.Errorf("%s: %v was never written", path, k)
				return
			}
		}
	}
}

// readPage reads one page in either format.
func readPage(ctx context.Context, at string) (keys []tradeKey, cursor string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	type row struct {
		ID   int64 `json:"id,string"`
		Time int64 `json:"exchange_time_ns"`
	}
	if res.StatusCode != http.StatusOK {
		text, err := io.ReadAll(res.Body)
		return nil, "", fmt.Errorf("%d %s %w", res.StatusCode, text, err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		var l struct {
			Data []row
			Next string `json:"next_cursor"`
		}
		err := json.NewDecoder(res.Body).Decode(&l)
		for _, r := range l.Data {
			keys = append(keys, tradeKey{r.Time, r.ID})
		}
		return keys, l.Next, err
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, "", err
		}
		keys = append(keys, tradeKey{r.Time, r.ID})
	}
	return keys, res.Trailer.Get("X-Next-Cursor"), lines.Err()
}

// TestAllocHugeRange: whatever a range holds, and whatever the format, an answer takes
// a bounded part of memory: far less than its rows.
func TestAllocHugeRange(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million rows")
	}
	hugeRange(t, newStore(t), 600_000, "ndjson", "json", "csv", "parquet")
}

// TestQuestDBHugeRange is the same where a server has the recent rows.
func TestQuestDBHugeRange(t *testing.T) {
	hugeRange(t, newQuestDBStore(t), 300_000, "ndjson", "parquet")
}

func hugeRange(t *testing.T, s *store, rows int, formats ...string) {
	for first := 0; first < rows; first += 20_000 {
		var b market.Batch
		for i := first; i < first+20_000; i++ {
			mintTrade(&b, 1_723_118_400_000_000_000+int64(i)*1e6, int64(i))
		}
		s.apply(&b)
		s.publish()
	}
	s.must(s.engine.Maintain(t.Context()))
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, format := range formats {
		runtime.GC()
		base, most := heap(), uint64(0)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.server.URL()+"/api/v1/storage/query/trade/binance/BTCUSDT?format="+format, nil)
		s.must(err)
		res, err := http.DefaultClient.Do(req)
		s.must(err)
		buf, total := make([]byte, 1<<20), 0
		for n := 0; ; n++ {
			k, err := io.ReadFull(res.Body, buf)
			total += k
			if n%4 == 0 {
				runtime.GC() // what is alive counts, not what waits to be collected
				most = max(most, heap())
			}
			if err != nil {
				break
			}
		}
		_ = res.Body.Close() // read to its end
		if got := res.Trailer.Get("X-Row-Count"); format != "json" && got != fmt.Sprint(rows) {
			t.Errorf("%s: %s rows of %d", format, got, rows)
		}
		grown := float64(int64(most)-int64(base)) / 1e6
		t.Logf("%s: %.1f MB of answer, at most %.1f MB more in memory", format, float64(total)/1e6, grown)
		if grown > 40 {
			t.Errorf("%s: %.1f MB more in memory", format, grown)
		}
	}
}

// TestTimingOfFiles: the answer of a small range says that it has read little of what
// there is.
func TestTimingOfFiles(t *testing.T) {
	s := newStore(t)
	const day = int64(24 * time.Hour)
	for d := range int64(5) {
		var b market.Batch
		for i := range int64(10_000) {
			mintTrade(&b, 1_723_075_200_000_000_000+d*day+i*1e9, d*10_000+i)
		}
		s.apply(&b)
		s.publish()
	}
	s.archive()
	s.forget()
	a := chassistest.Call(t, s.server, http.MethodGet, "/api/v1/storage/query/trade/binance/BTCUSDT?from=2024-08-10T00:00:00Z&to=2024-08-10T00:01:00Z", "", "")
	want := `cold;desc="files 1 of 5, row groups 1 of 1, pages 1 of 3, `
	if v := a.Header.Get("Server-Timing"); a.Status != 200 || !strings.Contains(v, `desc="60 rows"`) || !strings.Contains(v, want) {
		t.Errorf("%d, Server-Timing %s, want %s", a.Status, v, want)
	}
}
