package chaos

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// The exchange that is replayed for the collector.
const (
	captured      = "binance-usdm/btcusdt_20240808"
	capturedOn    = "binance"
	capturedAs    = "BTC-USDT"
	capturedIn    = "perpetual"
	replayedSpeed = "8"
	// aReplay is how many rounds a replay at that speed has time for.
	aReplay = 6
)

// TestKillCollector: the collector follows a replayed exchange, the process is
// killed again and again. Afterwards every trade between the first and the last is
// stored once, as the exchange sent it, or a gap of the ledger says that it is
// missing; and no book change follows another one than the one before it.
func TestKillCollector(t *testing.T) {
	capture := harness.Capture(t, captured)
	r := seeded(t)
	truth := map[string]harness.Record{}
	for _, trade := range normalized(t, capture, "trade") {
		truth[trade.Name()] = trade
	}
	for done, left := 0, harness.Rounds(t); left > 0; {
		n := min(left, aReplay)
		killCollector(t, capture, truth, func(i int, node *harness.Node, s harness.Settings) *harness.Node {
			return round(t, done+i, r, node, s)
		}, n)
		done, left = done+n, left-n
	}
}

func killCollector(t *testing.T, capture string, truth map[string]harness.Record, next func(int, *harness.Node, harness.Settings) *harness.Node, rounds int) {
	t.Helper()
	exchange := harness.Replay(t, capture, "--speed", replayedSpeed)
	s := with(quick(), exchange.Settings(capturedIn, capturedAs, "trade", "book_delta"))
	n := harness.Start(t, t.TempDir(), s)
	c := newClient("beside")
	c.node.Store(n)
	c.write(t, 1, 3)
	awaitGrowth(t, n)
	for i := range rounds {
		n = next(i, n, s)
		c.node.Store(n)
		c.verify(t, n)
		if i+1 < rounds {
			awaitGrowth(t, n)
		}
	}
	harness.Await(t, 30*time.Second, "trades after the last start", func() bool { return liveTrades(n) > 50 })
	c.end()
	n.Stop()

	// Read by a process that collects nothing.
	n = harness.Start(t, n.Data, quick())
	c.verify(t, n)
	missed := checkTrades(t, n, truth)
	checkChain(t, n)
	if missed == 0 {
		t.Error("nothing was fetched after a start and nothing is marked as missing: the kills cost no trade, so the test says nothing")
	}
	n.Stop()
}

func normalized(t *testing.T, capture, kind string) []harness.Record {
	t.Helper()
	records, err := harness.ParseRecords(harness.Must(t, time.Minute, "normalize", capture, "--kinds", kind).Out)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// liveTrades is how many trades the collector's stream has taken since it started.
func liveTrades(n *harness.Node) int64 {
	all, err := qualityOf(n)
	if err != nil {
		return 0
	}
	for _, c := range all.Channels {
		if c.Kind == "trade" {
			return c.Records
		}
	}
	return 0
}

type quality struct {
	Live      bool   `json:"live"`
	BookState string `json:"book_state"`
	Channels  []struct {
		Kind    string `json:"kind"`
		Records int64  `json:"records"`
	} `json:"channels"`
}

func qualityOf(n *harness.Node) (quality, error) {
	var q quality
	a, err := harness.Get(n.Context(), n.URL(harness.Collector, "/api/v1/quality/"+capturedOn+"/"+capturedAs+"?market="+capturedIn))
	if err == nil {
		err = json.Unmarshal(a.Body, &q)
	}
	return q, err
}

func awaitGrowth(t *testing.T, n *harness.Node) {
	t.Helper()
	harness.Await(t, 30*time.Second, "collected trades", func() bool { return liveTrades(n) > 20 })
}

// span is a range of ids or sequence numbers, both ends included.
type span struct{ from, to int64 }

// ledger returns what the gaps of a channel say is missing.
func ledger(n *harness.Node, channel string) (all []span, gaps []harness.Record) {
	for _, g := range n.MustQuery("gap", capturedOn, capturedAs, "market", capturedIn) {
		if g.Channel != channel {
			continue
		}
		gaps = append(gaps, g)
		if g.FromSeq != nil && g.ToSeq != nil && g.Outcome != "healed" {
			all = append(all, span{*g.FromSeq, *g.ToSeq})
		}
	}
	return all, gaps
}

// checkTrades returns how many trades were fetched later, or are marked as missing.
func checkTrades(t *testing.T, n *harness.Node, truth map[string]harness.Record) (missed int) {
	t.Helper()
	stored := n.MustQuery("trade", capturedOn, capturedAs, "market", capturedIn)
	var ids []int64
	for i := range stored {
		trade := &stored[i]
		want, ok := truth[trade.Name()]
		if !ok || trade.Price != want.Price || trade.Amount != want.Amount || trade.TradedAt != want.TradedAt {
			t.Fatalf("stored\n%s\nthe exchange sent\n%s", trade.Line, want.Line)
		}
		id, err := strconv.ParseInt(trade.Name(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if strings.Contains(trade.Line, `"backfilled"`) {
			missed++
		}
	}
	if len(ids) == 0 {
		t.Fatal("no trade is stored")
	}
	absent, gaps := ledger(n, "trade")
	for i := 1; i < len(ids); i++ {
		switch {
		case ids[i] <= ids[i-1]:
			t.Fatalf("trade %d is read after %d", ids[i], ids[i-1])
		case ids[i] > ids[i-1]+1:
			hole := span{ids[i-1] + 1, ids[i] - 1}
			missed += int(hole.to - hole.from + 1)
			if !covered(hole, absent) {
				t.Errorf("trades %d to %d are not stored and no gap says so; the ledger:\n%s", hole.from, hole.to, listed(gaps))
			}
		}
	}
	t.Logf("%d trades from %d to %d, %d of them late or marked, %d gaps", len(ids), ids[0], ids[len(ids)-1], missed, len(gaps))
	for _, g := range gaps {
		if g.Outcome == "open" {
			t.Logf("still open: %s", g.Line)
		}
	}
	return missed
}

func covered(hole span, absent []span) bool {
	slices.SortFunc(absent, func(a, b span) int { return int(a.from - b.from) })
	at := hole.from
	for _, a := range absent {
		if a.from <= at && a.to >= at {
			at = a.to + 1
		}
	}
	return at > hole.to
}

func listed(records []harness.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Line)
	}
	return strings.Join(all, "\n")
}

// checkChain: every stored book change follows the one before it, or begins anew
// with a snapshot.
func checkChain(t *testing.T, n *harness.Node) {
	t.Helper()
	var last int64
	var before string
	snapshots, changes := 0, 0
	for _, r := range n.MustQuery("book_delta", capturedOn, capturedAs, "market", capturedIn) {
		var d struct {
			Seq      int64  `json:"seq"`
			Prev     *int64 `json:"prev_seq"`
			Snapshot bool   `json:"is_snapshot"`
		}
		if err := json.Unmarshal([]byte(r.Line), &d); err != nil {
			t.Fatal(err)
		}
		changes++
		switch {
		case d.Snapshot:
			snapshots++
		case changes == 1:
			t.Errorf("the first book change is no snapshot: %.200s", r.Line)
		case d.Prev == nil || *d.Prev != last && !strings.Contains(before, `"is_snapshot":true`):
			t.Errorf("a book change follows another than the one before it:\n%.300s\n%.300s", before, r.Line)
		}
		last, before = d.Seq, r.Line
	}
	if changes < 50 {
		t.Errorf("%d book changes are stored: too few to say anything", changes)
	}
	t.Logf("%d book changes in %d chains", changes, snapshots)
}
