package chaos

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// freePort is one that nobody listens on now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// split are the settings of a node whose services run in several processes.
type split struct {
	data     string
	settings harness.Settings
	truth    map[string]harness.Record
}

func newSplit(t *testing.T, speed string) *split {
	t.Helper()
	capture := harness.Capture(t, captured)
	w := &split{data: t.TempDir(), truth: map[string]harness.Record{}}
	for _, trade := range normalized(t, capture, "trade") {
		w.truth[trade.Name()] = trade
	}
	exchange := harness.Replay(t, capture, "--speed", speed)
	w.settings = with(quick(), exchange.Settings(capturedIn, capturedAs, "trade", "book_delta"))
	w.settings[harness.Broker+".nats.port"] = freePort(t)
	w.settings[harness.Storage+".port"] = freePort(t)
	w.settings[harness.Collector+".streams.resume_timeout"] = "3s"
	w.settings[harness.Collector+".streams.retry_last"] = "2s"
	return w
}

func (w *split) start(t *testing.T, services ...string) *harness.Node {
	t.Helper()
	return harness.Start(t, w.data, w.settings, services...)
}

// check: every trade between the first and the last is stored once, or the ledger
// has the hole, and no entry waits for its beginning.
func (w *split) check(t *testing.T, store *harness.Node) {
	t.Helper()
	if checkTrades(t, store, w.truth) == 0 {
		t.Error("nothing was fetched after a start and nothing is marked as missing: the kill cost no trade, so the test says nothing")
	}
	checkChain(t, store)
	for _, g := range store.MustQuery("gap", capturedOn, capturedAs, "market", capturedIn) {
		if g.Outcome == "open" && g.FromSeq == nil && strings.Contains(g.Line, `"to_time_ns"`) {
			t.Errorf("an entry that still has no beginning: %s", g.Line)
		}
	}
}

func stored(n *harness.Node) int {
	return len(n.MustQuery("trade", capturedOn, capturedAs, "market", capturedIn))
}

func awaitStored(t *testing.T, n *harness.Node, more int) {
	t.Helper()
	from := stored(n)
	harness.Await(t, 60*time.Second, fmt.Sprintf("%d more stored trades", more), func() bool { return stored(n) >= from+more })
}

// down is how long the collector is gone.
const down = 10 * time.Second

// TestSplitCollectorKilled: the collector runs in a process of its own, is killed, and
// is gone for ten seconds.
func TestSplitCollectorKilled(t *testing.T) {
	w := newSplit(t, "4")
	store := w.start(t, harness.Broker, harness.Storage)
	c := w.start(t, harness.Collector)
	awaitStored(t, store, 50)
	c.Kill()
	harness.Pause(t, down)
	c = w.start(t, harness.Collector)
	awaitGrowth(t, c)
	awaitStored(t, store, 50)
	c.Stop()
	w.check(t, store)
	gaps := store.MustQuery("gap", capturedOn, capturedAs, "market", capturedIn)
	if !strings.Contains(listed(gaps), `"cause":"restart"`) {
		t.Errorf("no gap of a restart:\n%s", listed(gaps))
	}
	store.Stop()
}

// TestSplitStorageDown: the same, and the storage service is not there when the
// collector starts again. It goes on, says so, and looks up what it missed when the
// storage service is back.
func TestSplitStorageDown(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("the collector starts twice %v", again), func(t *testing.T) {
			w := newSplit(t, "2")
			bus := w.start(t, harness.Broker)
			store := w.start(t, harness.Storage)
			c := w.start(t, harness.Collector)
			awaitStored(t, store, 30)
			c.Kill()
			store.Kill()
			harness.Pause(t, down)
			c = w.start(t, harness.Collector)
			harness.Await(t, 60*time.Second, "a collector that goes on, and says that it does not know", func() bool {
				return strings.Contains(c.Health(harness.Collector).Complaint(), "storage did not answer")
			})
			awaitGrowth(t, c)
			if again {
				c.Kill() // it never learned
				c = w.start(t, harness.Collector)
				awaitGrowth(t, c)
			}
			store = w.start(t, harness.Storage)
			harness.Await(t, 60*time.Second, "a collector that knows", func() bool {
				return !strings.Contains(c.Health(harness.Collector).Complaint(), "storage did not answer")
			})
			awaitStored(t, store, 30)
			c.Stop()
			w.check(t, store)
			store.Stop()
			bus.Stop()
		})
	}
}
