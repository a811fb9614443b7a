package chaos

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestFaultOlderJournalCollecting: an older copy of the journal is put in the place
// of the broker's store under a collector. Nothing is written to it, the book stays
// live, everybody is told; one command joins the two again, and every trade is stored
// as the exchange sent it, or the ledger has the hole.
func TestFaultOlderJournalCollecting(t *testing.T) {
	capture := harness.Capture(t, captured)
	truth := map[string]harness.Record{}
	for _, trade := range normalized(t, capture, "trade") {
		truth[trade.Name()] = trade
	}
	exchange := harness.Replay(t, capture, "--speed", "4")
	s := with(slow(), exchange.Settings(capturedIn, capturedAs, "trade", "book_delta"))
	n := harness.Start(t, t.TempDir(), s)
	awaitGrowth(t, n)
	n.Stop()
	saved := t.TempDir()
	harness.CopyTree(t, broker(n), saved)
	n = harness.Start(t, n.Data, s)
	c := newClient("external")
	fill(t, n, c, 3)
	awaitGrowth(t, n)
	n.Stop()
	harness.CopyTree(t, saved, broker(n))

	n = harness.Start(t, n.Data, s)
	loud(t, n, "journal ends before the position")
	before := shardOf(t, n).Journal.Last
	awaitGrowth(t, n) // the stream goes on
	harness.Await(t, 30*time.Second, "a live book", func() bool { q, err := qualityOf(n); return err == nil && q.BookState == "live" })
	if after := shardOf(t, n).Journal.Last; after != before {
		t.Errorf("the journal went from %d to %d: somebody writes to it", before, after)
	}
	harness.Await(t, 20*time.Second, "a collector that complains", func() bool {
		return strings.Contains(n.Health(harness.Collector).Complaint(), "journal_foreign")
	})
	status := harness.Run(t, time.Minute, "journal", "status", "-c", n.Config())
	if status.Code != 1 || !strings.Contains(status.Out, "rolled_back") || !strings.Contains(status.Errors, "adopt") {
		t.Errorf("journal status: %d\n%s\n%s", status.Code, status.Out, status.Errors)
	}
	if r := harness.Run(t, time.Minute, "journal", "adopt", "-c", n.Config()); r.Code != 2 {
		t.Errorf("adopt without consent: %d\n%s", r.Code, r.Errors)
	}
	adopted := harness.Run(t, time.Minute, "journal", "adopt", "-c", n.Config(), "--accept-loss")
	t.Logf("%s", adopted.Out)
	if adopted.Code != 0 || !strings.Contains(adopted.Out, "joined again") || !strings.Contains(adopted.Out, "lost, if anything, between") {
		t.Fatalf("journal adopt: %d\n%s\n%s", adopted.Code, adopted.Out, adopted.Errors)
	}
	harness.Await(t, 30*time.Second, "health", func() bool { return n.Health(harness.Storage).Code == http.StatusOK })
	harness.Await(t, 30*time.Second, "a collector that is well", func() bool {
		return !strings.Contains(n.Health(harness.Collector).Complaint(), "journal_foreign")
	})
	fill(t, n, c, 2)
	c.verify(t, n)
	awaitGrowth(t, n)
	n.Stop()
	n = harness.Start(t, n.Data, slow())
	c.verify(t, n)
	checkTrades(t, n, truth)
	causes := map[string]int{}
	for _, g := range n.MustQuery("gap", capturedOn, capturedAs, "market", capturedIn) {
		causes[g.Cause]++
	}
	if causes["journal_foreign"] == 0 {
		t.Errorf("the ledger has the causes %v", causes)
	}
	var standing struct {
		Data struct {
			Shards []struct {
				Verdict string `json:"verdict"`
			} `json:"shards"`
		} `json:"data"`
	}
	a, err := harness.Get(t.Context(), n.URL(harness.Storage, "/api/v1/storage/journal"))
	if err != nil || json.Unmarshal(a.Body, &standing) != nil || standing.Data.Shards[0].Verdict != "joined" {
		t.Errorf("afterwards: %v %s", err, a.Body)
	}
	n.Stop()
}
