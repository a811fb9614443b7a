package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// moving makes rows leave for the cold store as soon as they can.
func moving() harness.Settings {
	const at = harness.Storage + ".storage."
	return with(quick(), harness.Settings{
		harness.Storage + ".actors.maintain_interval": "100ms",
		at + "lifecycle.interval":                     "1s",
		at + "lifecycle.archive_after":                "0s",
		at + "cold_storage.grace":                     "1s",
	})
}

// resting moves no row by itself.
func resting() harness.Settings {
	const at = harness.Storage + ".storage."
	return with(quick(), harness.Settings{
		harness.Storage + ".actors.maintain_interval": "100ms",
		harness.Storage + ".embedded.unlink_after":    "1s",
		at + "lifecycle.interval":                     "24h",
		at + "cold_storage.grace":                     "1s",
		at + "cold_storage.checkpoint_every":          3,
	})
}

// moved is what an archive or a cleanup answered.
type moved struct {
	Archived  int64            `json:"archived_count"`
	Cleaned   int64            `json:"cleaned_count"`
	Kept      int64            `json:"kept_count"`
	Cutoff    time.Time        `json:"cutoff_time"`
	Operation string           `json:"operation_id"`
	ByTable   map[string]int64 `json:"by_table"`
}

// order POSTs to the storage service.
func order(ctx context.Context, n *harness.Node, path, body string) (*harness.Answer, moved, error) {
	a, err := harness.Post(ctx, n.URL(harness.Storage, "/api/v1/storage/"+path), "application/json", []byte(body))
	if err != nil {
		return nil, moved{}, err
	}
	var m moved
	if a.Status == http.StatusOK {
		err = json.Unmarshal(a.Body, &m)
	}
	return a, m, err
}

func mustOrder(t testing.TB, n *harness.Node, path, body string) moved {
	t.Helper()
	a, m, err := order(t.Context(), n, path, body)
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("POST %s %s: %v %+v", path, body, err, a)
	}
	return m
}

const (
	everything = `{"cutoff_hours":0}`
	allOfIt    = `{"retention_hours":0}`
)

// counts are the trades of each store, and its files.
func counts(t testing.TB, n *harness.Node) (hot, cold int64) {
	t.Helper()
	var st struct {
		Data struct {
			Hot struct {
				Trades int64 `json:"trades_count"`
			} `json:"hot_storage"`
			Cold struct {
				Trades int64 `json:"trades_count"`
			} `json:"cold_storage"`
		}
	}
	harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/stats"), &st)
	return st.Data.Hot.Trades, st.Data.Cold.Trades
}

// watcher reads everything again and again, and keeps what was wrong: a record that
// had been acknowledged before it asked and was not there, or was there twice.
type watcher struct {
	reads atomic.Int64
	wrong atomic.Pointer[string]
	stop  context.CancelFunc
	done  chan struct{}
}

func watch(t testing.TB, n *harness.Node, want func() map[string]bool, exchange, symbol string) *watcher {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			acked := want()
			records, err := n.Query(ctx, "trade", exchange, symbol)
			if ctx.Err() != nil {
				return
			}
			if text := compare(acked, records, err); text != "" {
				w.wrong.Store(&text)
				return
			}
			w.reads.Add(1)
		}
	}()
	t.Cleanup(w.end)
	return w
}

func compare(want map[string]bool, records []harness.Record, err error) string {
	if err != nil {
		return err.Error()
	}
	seen := map[string]int{}
	for _, r := range records {
		if seen[r.Name()]++; seen[r.Name()] > 1 {
			return r.Name() + " is read twice"
		}
	}
	for id := range want {
		if seen[id] == 0 {
			return fmt.Sprintf("%s is not read; %d of %d are", id, len(seen), len(want))
		}
	}
	return ""
}

func (w *watcher) end() {
	w.stop()
	<-w.done
}

func (w *watcher) check(t testing.TB) {
	t.Helper()
	if text := w.wrong.Load(); text != nil {
		t.Fatalf("after %d good reads: %s", w.reads.Load(), *text)
	}
}

// tradesOf makes trades of a symbol, a second apart.
func tradesOf(exchange, symbol, prefix string, from time.Time, n int) (body []byte, ids map[string]bool) {
	var b bytes.Buffer
	ids = map[string]bool{}
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		id := fmt.Sprintf("%s%d", prefix, i)
		ids[id] = true
		fmt.Fprintf(&b, `{"timestamp":%q,"symbol":%q,"exchange":%q,"price":"%d.5","amount":"1","side":"sell","trade_id":%q}`,
			from.Add(time.Duration(i)*time.Second).Format(time.RFC3339), symbol, exchange, i+1, id)
	}
	b.WriteByte(']')
	return b.Bytes(), ids
}

func lastJanuary() time.Time {
	now := time.Now().UTC()
	return time.Date(now.Year()-1, time.January, 31, 23, 0, 0, 0, time.UTC)
}

// TestColdReadable: what clients POST of last January, and records of 2021, are read
// once each by readers that never rest: before, during and after archives and
// cleanups by age and at once. All counts are exact.
func TestColdReadable(t *testing.T) {
	t.Parallel()
	coldReadable(t, resting())
}

func coldReadable(t *testing.T, s harness.Settings) {
	n := harness.Start(t, t.TempDir(), s)
	const rows = 5000 // into the next day
	all := map[string]map[string]bool{}
	for symbol, from := range map[string]time.Time{"JAN-USDT": lastJanuary(), "OLD-USDT": time.Date(2021, 5, 19, 12, 0, 0, 0, time.UTC)} {
		body, ids := tradesOf("lab", symbol, strings.ToLower(symbol), from, rows)
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body)
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("%v %+v", err, a)
		}
		all[symbol] = ids
	}
	var watchers []*watcher
	for symbol, ids := range all {
		watchers = append(watchers, watch(t, n, func() map[string]bool { return ids }, "lab", symbol))
	}
	each := func() {
		t.Helper()
		for _, w := range watchers { // two whole reads that began after this
			from := w.reads.Load()
			harness.Await(t, 60*time.Second, "two more reads", func() bool { return w.reads.Load() > from+2 || w.wrong.Load() != nil })
			w.check(t)
		}
	}
	each()
	// By age nothing is due: it has just arrived, whatever time it is of.
	if m := mustOrder(t, n, "cold/archive", `{}`); m.Archived != 0 {
		t.Errorf("%d rows that arrived a moment ago were archived for their age", m.Archived)
	}
	if m := mustOrder(t, n, "lifecycle/cleanup", `{}`); m.Cleaned != 0 {
		t.Errorf("%d rows that arrived a moment ago were removed for their age", m.Cleaned)
	}
	// Nothing leaves before it is archived.
	if m := mustOrder(t, n, "lifecycle/cleanup", allOfIt); m.Cleaned != 0 || m.Kept > 2*rows {
		t.Errorf("a cleanup before the archive: %+v", m)
	}
	each()
	if m := mustOrder(t, n, "cold/archive", `{"cutoff_hours":0,"data_type":"tickers"}`); m.Archived != 0 {
		t.Errorf("%d tickers were archived", m.Archived)
	}
	if m := mustOrder(t, n, "cold/archive", everything); m.Archived != 2*rows || m.ByTable["trades"] != 2*rows {
		t.Errorf("archived %+v, want %d trades", m, 2*rows)
	}
	if hot, cold := counts(t, n); hot != 2*rows || cold != 2*rows {
		t.Errorf("stats after the archive: %d hot, %d cold, want %d each", hot, cold, 2*rows)
	}
	each()
	if m := mustOrder(t, n, "cold/archive", everything); m.Archived != 0 {
		t.Errorf("%d rows were archived twice", m.Archived)
	}
	if m := mustOrder(t, n, "lifecycle/cleanup", allOfIt); m.Cleaned != 2*rows || m.Kept != 0 {
		t.Errorf("the cleanup %+v, want %d rows", m, 2*rows)
	}
	if hot, cold := counts(t, n); hot != 0 || cold != 2*rows {
		t.Errorf("stats after the cleanup: %d hot, %d cold, want 0 and %d", hot, cold, 2*rows)
	}
	each()
	for symbol, dates := range map[string]string{
		"JAN-USDT": fmt.Sprintf("start_date=%s&end_date=%s", lastJanuary().Format(time.DateOnly), lastJanuary().AddDate(0, 0, 1).Format(time.DateOnly)),
		"OLD-USDT": "start_date=2021-01-01&end_date=2021-12-31",
	} {
		var got struct{ Count int }
		harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/cold/trades/lab/"+symbol+"?limit=100000&"+dates), &got)
		if got.Count != rows {
			t.Errorf("cold/trades of %s: %d rows, want %d", symbol, got.Count, rows)
		}
	}
	n.Stop()
	for _, w := range watchers {
		w.end()
	}
	n = harness.Start(t, n.Data, s)
	for symbol, ids := range all {
		records, err := n.Query(t.Context(), "trade", "lab", symbol)
		if text := compare(ids, records, err); text != "" {
			t.Errorf("after a restart: %s", text)
		}
	}
}

// TestKillArchive: clients write while rows are archived and removed all the time;
// the process is killed at random moments. Every acknowledged record is read once.
func TestKillArchive(t *testing.T) {
	rounds, r := harness.Rounds(t), seeded(t)
	s := moving()
	n := harness.Start(t, t.TempDir(), s)
	c := newClient("cold")
	c.node.Store(n)
	c.write(t, 2, 7)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var archives, cleanups, removed atomic.Int64
	ended := make(chan struct{})
	go func() { // somebody orders archives and cleanups without end
		defer close(ended)
		for ctx.Err() == nil {
			if _, m, err := order(ctx, c.node.Load(), "cold/archive", everything); err == nil && m.Operation != "" {
				archives.Add(1)
			}
			if _, m, err := order(ctx, c.node.Load(), "lifecycle/cleanup", allOfIt); err == nil && m.Operation != "" {
				cleanups.Add(1)
				removed.Add(m.Cleaned)
			}
		}
	}()
	for i := range rounds {
		before := archives.Load()
		harness.AwaitMoving(t, stuckFor, "an archive", rowsMoved(t, n), func() bool { return archives.Load() > before })
		n = round(t, i, r, n, s)
		c.node.Store(n)
		c.verify(t, n)
	}
	c.end()
	cancel()
	<-ended
	c.verify(t, n)
	mustOrder(t, n, "cold/archive", everything)
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	records, err := n.Query(t.Context(), "trade", "lab", c.symbol, "tier", "cold")
	if text := compare(c.acknowledged(), records, err); text != "" {
		t.Errorf("in the cold store alone: %s", text)
	}
	if hot, _ := counts(t, n); hot != 0 {
		t.Errorf("%d trades are in the hot store after everything was archived and removed", hot)
	}
	n.Stop()
	n = harness.Start(t, n.Data, s)
	c.verify(t, n)
	t.Logf("%d records acknowledged, %d archives and %d cleanups answered, %d rows removed", len(c.acknowledged()), archives.Load(), cleanups.Load(), removed.Load())
	if removed.Load() == 0 {
		t.Error("nothing was removed while clients wrote")
	}
}

// TestFaultColdDiskFull: the disk of the cold store has no room. The archive says so
// and takes nothing away; with room it goes on.
func TestFaultColdDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 16)
	s := with(resting(), harness.Settings{harness.Storage + ".storage.cold_storage.path": filepath.Join(disk, "cold")})
	n := harness.Start(t, t.TempDir(), s)
	body, ids := tradesOf("lab", "FULL-USDT", "f", time.Date(2021, 5, 19, 0, 0, 0, 0, time.UTC), 20_000)
	if a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%v %+v", err, a)
	}
	w := watch(t, n, func() map[string]bool { return ids }, "lab", "FULL-USDT")
	release := ballast(t, disk, 0)
	a, _, err := order(t.Context(), n, "cold/archive", everything)
	if err != nil || a.Status != http.StatusServiceUnavailable {
		t.Fatalf("an archive without room: %v %+v", err, a)
	}
	if p, err := a.Problem(); err != nil || p.Code != "cold_unavailable" {
		t.Errorf("%v %s", err, a.Body)
	}
	if m := mustOrder(t, n, "lifecycle/cleanup", allOfIt); m.Cleaned != 0 {
		t.Errorf("%d rows were removed that are not archived", m.Cleaned)
	}
	harness.Await(t, 10*time.Second, "a health that says that there is no room", func() bool {
		h := n.Health(harness.Storage)
		return h.Status == "degraded" && strings.Contains(h.Complaint(), "no space left")
	})
	release()
	if m := mustOrder(t, n, "cold/archive", everything); m.Archived != 20_000 {
		t.Errorf("archived %d rows with room, want 20000", m.Archived)
	}
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	harness.Await(t, 30*time.Second, "a health without complaint", func() bool { return n.Health(harness.Storage).Status == "healthy" })
	w.end()
	w.check(t)
	records, err := n.Query(t.Context(), "trade", "lab", "FULL-USDT")
	if text := compare(ids, records, err); text != "" {
		t.Error(text)
	}
}

// TestTwoArchivers: two nodes fill one cold store at the same time. Neither overwrites
// the other, and both read what both have archived.
func TestTwoArchivers(t *testing.T) {
	t.Parallel()
	s := with(resting(), harness.Settings{harness.Storage + ".storage.cold_storage.path": filepath.Join(t.TempDir(), "cold")})
	nodes := []*harness.Node{harness.Start(t, t.TempDir(), s), harness.Start(t, t.TempDir(), s)}
	all := map[string]bool{}
	const turns, rows = 4, 300
	for turn := range turns {
		answers := make(chan error, len(nodes))
		for i, n := range nodes {
			body, ids := tradesOf("lab", "TWO-USDT", fmt.Sprintf("n%d-%d-", i, turn), time.Date(2024, 1, 1+turn, 0, 0, 0, 0, time.UTC), rows)
			for id := range ids {
				all[id] = true
			}
			if a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body); err != nil || a.Status != http.StatusOK {
				t.Fatalf("%v %+v", err, a)
			}
		}
		for _, n := range nodes {
			go func() {
				a, m, err := order(t.Context(), n, "cold/archive", everything)
				if err == nil && (a.Status != http.StatusOK || m.Archived != rows) {
					err = fmt.Errorf("%d %s", a.Status, a.Body)
				}
				answers <- err
			}()
		}
		for range nodes {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	}
	for _, n := range nodes {
		mustOrder(t, n, "lifecycle/cleanup", allOfIt)
		n.Stop()
		n = harness.Start(t, n.Data, s)
		records, err := n.Query(t.Context(), "trade", "lab", "TWO-USDT")
		if text := compare(all, records, err); text != "" {
			t.Error(text)
		}
	}
}

// TestArchiveCommand: the command has the service archive, and says what came of it.
func TestArchiveCommand(t *testing.T) {
	t.Parallel()
	n := harness.Start(t, t.TempDir(), resting())
	body, _ := tradesOf("lab", "CMD-USDT", "c", time.Date(2021, 5, 19, 0, 0, 0, 0, time.UTC), 100)
	if a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%v %+v", err, a)
	}
	o := harness.Must(t, time.Minute, "archive", "-c", n.Config(), "--before", "0s", "--kinds", "trade,candle")
	if !strings.Contains(o.Out, "archived 100 rows in 1 files") || !strings.Contains(o.Out, "trades") || strings.Contains(o.Errors, "\r") {
		t.Errorf("it printed %q and %q", o.Out, o.Errors)
	}
	o = harness.Must(t, time.Minute, "archive", "--url", n.URL(harness.Storage, ""), "--before", "7d", "-o", "json")
	var op struct{ State string }
	if err := json.Unmarshal([]byte(o.Out), &op); err != nil || op.State != "succeeded" {
		t.Errorf("%v in %q", err, o.Out)
	}
	for _, wrong := range [][]string{{"--before", "soon"}, {"--before", "-1h"}, {"--before", "2999-01-01"}, {"--kinds", "spoons"}} {
		if o := harness.Run(t, time.Minute, append([]string{"archive", "-c", n.Config()}, wrong...)...); o.Code != 2 {
			t.Errorf("%v ends with %d: %s", wrong, o.Code, o.Errors)
		}
	}
}
