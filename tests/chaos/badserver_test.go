package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/tests/harness"
)

// impatient makes a node notice soon what its QuestDB server does.
func impatient(server *questdbtest.Server) harness.Settings {
	return with(onQuestDB(server, "1s"), harness.Settings{
		harness.Storage + ".questdb.request_timeout":  "1s",
		harness.Storage + ".questdb.visible_within":   "1s",
		harness.Storage + ".actors.maintain_interval": "500ms",
	})
}

// metric is the sum of a metric of the store over its labels.
func metric(t testing.TB, n *harness.Node, name string) (sum float64) {
	t.Helper()
	a, err := harness.Get(t.Context(), n.URL(harness.Storage, "/metrics"))
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("metrics: %v %v", a, err)
	}
	for line := range strings.Lines(string(a.Body)) {
		if rest, ok := strings.CutPrefix(line, name); !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		words := strings.Fields(line)
		v, err := strconv.ParseFloat(words[len(words)-1], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sum += v
	}
	return sum
}

// resident is the memory of a process, in bytes.
func resident(t testing.TB, n *harness.Node) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// writtenStatus is what GET status says of how the one shard is written.
type writtenStatus struct {
	Applied     uint64  `json:"applied"`
	PublishedTo uint64  `json:"published_to"`
	Behind      float64 `json:"behind_seconds"`
	Waiting     bool    `json:"waiting"`
	Journal     struct {
		Last uint64 `json:"last"`
	} `json:"journal"`
}

func writtenOf(t testing.TB, n *harness.Node) writtenStatus {
	t.Helper()
	var answer struct {
		Data struct {
			Shards []writtenStatus `json:"shards"`
		} `json:"data"`
	}
	harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/status"), &answer)
	return answer.Data.Shards[0]
}

// awaitWell waits until nothing ails the store any more.
func awaitWell(t *testing.T, n *harness.Node) {
	t.Helper()
	var h harness.Health
	if !harness.Eventually(t, 60*time.Second, func() bool {
		h = n.Health(harness.Storage)
		if strings.Contains(h.Complaint(), "reading has stopped") { // for good
			t.Fatal(h.Complaint())
		}
		return h.Status == "healthy"
	}) {
		t.Fatalf("/health still complains: %s", h.Complaint())
	}
}

// TestQuestDBThatBehavesBadly: one after the other, the server is frozen, refuses
// connections, is silent, answers with every sort of error, drips, and resets
// connections in the middle of its answers, for as many seconds as there are rounds.
// Meanwhile every write is acknowledged and the health, the status and the metrics
// say what ails the store; afterwards it catches up, and everything is there once.
func TestQuestDBThatBehavesBadly(t *testing.T) {
	lasts := time.Duration(harness.Rounds(t)) * time.Second
	server := questdbtest.Start(t)
	rows, queries := newGate(t, server.HTTP), newGate(t, server.PG)
	n := harness.Start(t, t.TempDir(), with(impatient(server), harness.Settings{
		harness.Storage + ".questdb.http": rows.address,
		harness.Storage + ".questdb.pg":   queries.address,
	}))
	c := newClient("bad")
	c.remote = true
	c.at = func(id string) int64 { // in the long form there are more of one moment than can be read again and again
		n, err := strconv.ParseInt(strings.TrimPrefix(id, "bad-"), 10, 64)
		if err != nil {
			t.Error(err)
		}
		return moment + n/500*int64(time.Millisecond)
	}
	c.node.Store(n)
	c.write(t, 2, 7)
	harness.Await(t, 30*time.Second, "acknowledged writes", func() bool { return len(c.acknowledged()) > 100 })
	c.verify(t, n)
	memory := resident(t, n)

	both := func(w treatment) func() { return func() { rows.set(w); queries.set(w) } }
	answering := func(status int) func() { return func() { rows.set(treatment{status: status}) } }
	well := both(treatment{})
	for _, fault := range []struct {
		name       string
		begin, end func()
	}{
		{"frozen", server.Freeze, server.Thaw},
		{"connections are refused", both(treatment{refuse: true}), well},
		{"connections are taken and silent", both(treatment{silent: true}), well},
		{"answers 500", answering(500), well},
		{"answers 503", answering(503), well},
		{"answers 429", answering(429), well},
		{"answers 400, whatever it is sent", answering(400), well},
		{"one byte in 100 ms", both(treatment{drip: 100 * time.Millisecond}), well},
		{"reset in the middle of an answer", both(treatment{cut: true}), well},
	} {
		t.Logf("%s", fault.name)
		before := len(c.acknowledged())
		fault.begin()
		var h harness.Health
		if !harness.Eventually(t, 20*time.Second, func() bool {
			h = n.Health(harness.Storage)
			return strings.Contains(h.Complaint(), "table trades") && writtenOf(t, n).Behind > 0 && metric(t, n, "mp_reader_behind_seconds") > 0
		}) {
			t.Errorf("%s: /health complains of %q; the status: %+v", fault.name, h.Complaint(), writtenOf(t, n))
		}
		harness.Pause(t, lasts)
		if got := len(c.acknowledged()) - before; got < 100 {
			t.Errorf("%s: %d records were acknowledged meanwhile", fault.name, got)
		}
		fault.end()
		awaitWell(t, n)
		c.verify(t, n)
	}
	c.end()
	c.verify(t, n)
	if c.refused() > 0 {
		t.Errorf("writes were refused: %v", c.refusals)
	}
	if why := n.Crashed(); why != "" {
		t.Error(why)
	}
	t.Logf("%d records acknowledged; resident %d MB before, %d MB after", len(c.acknowledged()), memory>>20, resident(t, n)>>20)
}

// TestQuestDBFrozenUnderLoad: the server is frozen while far more is written than may
// wait in memory. Reading the journal waits, and says so; memory stays bounded;
// afterwards, while the store catches up, writes are answered in time.
func TestQuestDBFrozenUnderLoad(t *testing.T) {
	const (
		messages = 150
		backlog  = 20_000
		most     = 120 << 20 // bytes beyond those of before
	)
	server := questdbtest.Start(t)
	n := harness.Start(t, t.TempDir(), with(impatient(server), harness.Settings{
		harness.Storage + ".questdb.flush_rows":     2000,
		harness.Storage + ".questdb.backlog_rows":   backlog,
		harness.Storage + ".actors.visible_timeout": "50ms",
	}))
	post := func(first, rows int) time.Duration {
		began := time.Now()
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", flood(first, rows))
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("a write: %v %+v", err, a)
		}
		return time.Since(began)
	}
	sent := 0
	for range 5 {
		post(sent, 1000)
		sent += 1000
	}
	awaitWell(t, n)
	before := resident(t, n)
	server.Freeze()
	var peak int64
	for range messages {
		post(sent, 1000)
		sent += 1000
		peak = max(peak, resident(t, n))
		if queue := metric(t, n, "mp_writer_queue_rows"); queue > 3*(backlog+1000) {
			t.Fatalf("%v records are in memory", queue)
		}
	}
	harness.Await(t, 20*time.Second, "a reader that waits, and a health that fails", func() bool {
		h := n.Health(harness.Storage)
		return h.Code == http.StatusServiceUnavailable && strings.Contains(h.Complaint(), "table trades") && writtenOf(t, n).Waiting
	})
	if peak-before > most {
		t.Errorf("resident memory grew from %d to %d MB", before>>20, peak>>20)
	}
	server.Thaw()
	began, slowest := time.Now(), time.Duration(0)
	harness.Await(t, 3*time.Minute, "everything on the server", func() bool {
		slowest = max(slowest, post(sent, 1))
		sent++
		s := writtenOf(t, n)
		return s.PublishedTo+20 >= s.Journal.Last && metric(t, n, "mp_writer_queue_rows") < 100
	})
	if slowest > 5*time.Second {
		t.Errorf("while it caught up a write took %v", slowest)
	}
	t.Logf("%d records in memory at most; resident %d MB before, %d at most; %d records caught up in %v, a write took %v at most",
		3*backlog, before>>20, peak>>20, messages*1000, time.Since(began).Round(time.Millisecond), slowest.Round(time.Millisecond))
	awaitWell(t, n)
	onServer(t, server, sent)
}

// flood is an array of trades with ids from first on.
func flood(first, rows int) []byte {
	var b bytes.Buffer
	for i := first; i < first+rows; i++ {
		b.WriteByte("[,"[min(i-first, 1)])
		fmt.Fprintf(&b, `{"timestamp":%d,"symbol":"FLOOD-USDT","exchange":"lab","price":"%d.5","amount":"1","side":"buy","trade_id":"%d"}`, int64(moment)+int64(i)*1_000_000, 1+i%1000, i)
	}
	return append(b.Bytes(), ']')
}

// onServer waits until the server has trades with ids [0, n), each once.
func onServer(t *testing.T, server *questdbtest.Server, n int) {
	t.Helper()
	db := database(t, server)
	var count, distinct int64
	if !harness.Eventually(t, 30*time.Second, func() bool {
		err := db.QueryRow(t.Context(), "SELECT count(), count_distinct(trade_id) FROM trades WHERE symbol LIKE 'FLOOD%'").Scan(&count, &distinct)
		if err != nil {
			t.Fatal(err)
		}
		return count == int64(n) && distinct == int64(n)
	}) {
		t.Errorf("the server has %d rows with %d ids, want %d", count, distinct, n)
	}
}

func database(t testing.TB, server *questdbtest.Server) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(t.Context(), "postgres://admin:quest@"+server.PG+"/qdb?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(t.Context()) }) // only to be gone
	return db
}

// TestQuestDBSuspendedTable: a suspended table is named in the health, the metrics
// and the log, goes on by an order, and loses nothing.
func TestQuestDBSuspendedTable(t *testing.T) {
	server := questdbtest.Start(t)
	n := harness.Start(t, t.TempDir(), with(impatient(server), harness.Settings{harness.Storage + ".actors.maintain_interval": "1h"}))
	c := newClient("suspended")
	c.node.Store(n)
	c.write(t, 2, 7)
	harness.Await(t, 30*time.Second, "acknowledged writes", func() bool { return len(c.acknowledged()) > 100 })
	if _, err := database(t, server).Exec(t.Context(), "ALTER TABLE trades SUSPEND WAL"); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 20*time.Second, "a health that names the table", func() bool {
		return strings.Contains(n.Health(harness.Storage).Complaint(), "suspended table trades") && metric(t, n, "mp_writer_suspended_tables") == 1
	})
	before := len(c.acknowledged())
	harness.Await(t, 30*time.Second, "acknowledged writes meanwhile", func() bool { return len(c.acknowledged()) > before+100 })
	c.verify(t, n) // from memory
	if !strings.Contains(n.Log(), "the server has suspended a table") {
		t.Error("the log does not say so")
	}
	for _, was := range []bool{true, false} {
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/tables/trades/resume"), "application/json", nil)
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("resume: %v %+v", err, a)
		}
		var answer struct {
			Was bool `json:"was_suspended"`
		}
		if err := json.Unmarshal(a.Body, &answer); err != nil || answer.Was != was {
			t.Errorf("resume answers %s, want was_suspended %v", a.Body, was)
		}
	}
	awaitWell(t, n)
	if got := metric(t, n, "mp_writer_suspended_tables"); got != 0 {
		t.Errorf("%v tables are said to be suspended", got)
	}
	c.end()
	c.verify(t, n)
}

// TestQuestDBDiskFull: the disk of the server is full. The health says so, writes are
// acknowledged, and all goes on by itself when there is space.
func TestQuestDBDiskFull(t *testing.T) {
	disk := mountedDisk(t, 1024)
	root := filepath.Join(disk, "questdb")
	server := questdbtest.StartIn(t, root)
	n := harness.Start(t, t.TempDir(), impatient(server))
	c := newClient("full")
	c.node.Store(n)
	c.write(t, 2, 20)
	harness.Await(t, 30*time.Second, "acknowledged writes", func() bool { return len(c.acknowledged()) > 500 })
	c.verify(t, n)
	release := ballast(t, disk, 0)
	var complaint string
	if !harness.Eventually(t, 90*time.Second, func() bool {
		complaint = n.Health(harness.Storage).Complaint()
		return strings.Contains(complaint, "trades")
	}) {
		t.Errorf("/health complains of %q, and %d MiB are free", complaint, free(t, disk)>>20)
	}
	t.Logf("/health: %s", complaint)
	before := len(c.acknowledged())
	harness.Await(t, 30*time.Second, "acknowledged writes meanwhile", func() bool { return len(c.acknowledged()) > before+100 })
	release()
	if server.Ended() { // it may not survive a full disk
		t.Log("the server had ended")
		run(t, server)
	}
	awaitWell(t, n)
	c.end()
	c.verify(t, n)
	t.Logf("%d records acknowledged, refusals %v", len(c.acknowledged()), c.refusals)
}
