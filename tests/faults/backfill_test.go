package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// backfilled is what the command says of an operation.
type backfilled struct {
	ID       string `json:"operation_id"`
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	State    string `json:"state"`
	Records  int64  `json:"records"`
	Stored   int64  `json:"stored"`
	Missing  int64  `json:"missing"`
	Calls    int64  `json:"calls"`
	Found    int    `json:"gaps_found"`
	Healed   int    `json:"gaps_healed"`
	Left     int    `json:"gaps_left"`
	Resumed  int    `json:"resumed"`
}

// backfill runs the command on a node's configuration, to its end.
func backfill(t *testing.T, n *harness.Node, args ...string) (all []backfilled) {
	t.Helper()
	out := harness.Must(t, 3*time.Minute, append([]string{"backfill", "-c", n.Config(), "-o", "json"}, args...)...)
	var answer struct {
		Operations []backfilled `json:"operations"`
	}
	if err := json.Unmarshal([]byte(out.Out), &answer); err != nil {
		t.Fatalf("%v in %s", err, out.Out)
	}
	return answer.Operations
}

// few makes a stream fetch by itself no more than a few of the trades that it missed,
// and give the others up.
func few(streams []*stream) harness.Settings {
	return settings(streams, harness.Settings{harness.Collector + ".streams.backfill_trades": 5})
}

// given waits until an outage has left trades in the ledger that nobody fetches, and
// nothing that somebody does.
func given(t *testing.T, n *harness.Node, s *stream) {
	t.Helper()
	harness.Await(t, time.Minute, s.String()+" to give trades up", func() bool {
		marked := 0
		for _, g := range s.gaps(n, "trade") {
			if g.Outcome == "open" {
				return false
			}
			if g.Outcome == "marked" && g.bounded {
				marked++
			}
		}
		return marked > 0
	})
}

// TestBackfillGaps: what an outage has left in the ledger, on every exchange, is
// fetched by the command, from a running node and by a process of its own on a stopped
// one; no call is one too many.
func TestBackfillGaps(t *testing.T) {
	t.Parallel()
	_, streams := simulate(t, "--symbols", "1", "--rate", "100")
	w := &watched{streams: streams, settings: few(streams)}
	n := harness.Start(t, t.TempDir(), w.settings)
	awaitRecovery(t, n, streams, "start")
	out := func() {
		w.each((*wire).down)
		harness.Pause(t, 2*time.Second)
		w.each((*wire).up)
		awaitRecovery(t, n, streams, "outage")
		for _, s := range streams {
			given(t, n, s)
		}
	}
	out()
	whole := func(all []backfilled, by string) {
		t.Helper()
		healed := 0
		for _, o := range all {
			if healed += o.Healed; o.State != "succeeded" || o.Healed != o.Found || o.Left != 0 || o.Missing != 0 || o.Records == 0 {
				t.Errorf("%s: %+v", by, o)
			}
		}
		if len(all) != len(streams) || healed < len(streams) {
			t.Errorf("%s: %d gaps of %d streams healed, want one of each of %d at least", by, healed, len(all), len(streams))
		}
	}
	whole(backfill(t, n, "--gaps"), "a running node")
	for _, s := range streams {
		if sum := s.checkTrades(t, n); sum.missing != 0 || sum.marked != 0 || sum.late == 0 {
			t.Errorf("%v: %+v", s, sum)
		}
		if refused, _ := s.wire.gate.calls(); refused != 0 {
			t.Errorf("%v: %d calls were refused", s, refused)
		}
	}
	for _, o := range backfill(t, n, "--gaps") {
		if o.Found != 0 || o.Calls != 0 {
			t.Errorf("again: %+v", o)
		}
	}
	out()
	n.Stop()
	whole(backfill(t, n, "--gaps"), "a stopped node")
	reader := harness.Start(t, n.Data, nil)
	for _, s := range streams {
		sum := s.checkTrades(t, reader)
		if sum.missing != 0 || sum.marked != 0 {
			t.Errorf("%v: %+v", s, sum)
		}
		t.Logf("%v: %d trades, %d of them fetched later, %d gaps, all healed", s, sum.trades, sum.late, sum.gaps)
	}
	reader.Stop()
}

// TestBackfillKilled: a node that is killed in the middle of a range, twice, goes on
// when it is asked again, and has each trade once in the end.
func TestBackfillKilled(t *testing.T) {
	t.Parallel()
	_, streams := simulate(t, "--symbols", "1", "--rate", "100", "--exchange", "okx/spot,binance/perpetual")
	const before = 5 * time.Minute
	from := time.Now().Add(-before).UTC()
	set := settings(streams, nil)
	n := harness.Start(t, t.TempDir(), set)
	awaitRecovery(t, n, streams, "start")
	ask := func(s *stream, more ...string) []string {
		return append([]string{"--exchange", s.exchange, "--market", s.market, "--symbols", s.symbol, "--kinds", "trade", "--from", from.Format(time.RFC3339)}, more...)
	}
	slow := streams[0]
	for _, s := range streams {
		if s.exchange == "okx" { // which gives 100 trades a call
			slow = s
		}
	}
	var ids []string
	for round := range 2 {
		id := harness.Must(t, time.Minute, append([]string{"backfill", "-c", n.Config(), "--detach"}, ask(slow)...)...).Out
		id = strings.TrimSpace(id)
		ids = append(ids, id)
		least := int64(500)
		harness.Await(t, time.Minute, fmt.Sprintf("round %d: some trades of %s", round, id), func() bool {
			var o backfilled
			harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/backfills/"+id), &o)
			return o.Records >= least || o.State != "running" && o.State != "queued"
		})
		n.Kill()
		n = harness.Start(t, n.Data, set)
		awaitRecovery(t, n, streams, "killed")
	}
	for i, id := range ids { // the node goes on with both by itself
		var o backfilled
		harness.Await(t, time.Minute, id+" to be over", func() bool {
			a, err := harness.Get(t.Context(), n.URL(harness.Collector, "/api/v1/backfills/"+id))
			if err != nil || a.Status == http.StatusServiceUnavailable { // it is not known yet what there was
				return false
			}
			if err := json.Unmarshal(a.Body, &o); err != nil || a.Status != http.StatusOK {
				t.Fatalf("%s: %v %+v", id, err, a)
			}
			return o.State != "running" && o.State != "queued"
		})
		if o.State != "succeeded" || o.Missing != 0 || o.Stored == 0 || i == 0 && o.Resumed == 0 {
			t.Errorf("%s after the kills: %+v", id, o)
		}
	}
	for _, s := range streams {
		all := backfill(t, n, ask(s)...)
		if len(all) != 1 || all[0].State != "succeeded" || all[0].Missing != 0 || s != slow && all[0].Records == 0 {
			t.Errorf("%v: %+v", s, all)
		}
		if s == slow && all[0].Stored < 1000 {
			t.Errorf("%v: only %d of the two rounds before were there", s, all[0].Stored)
		}
		again := backfill(t, n, ask(s, "--to", time.Now().Add(-20*time.Second).UTC().Format(time.RFC3339))...)
		if again[0].Records != 0 || again[0].Stored == 0 {
			t.Errorf("%v: again: %+v", s, again)
		}
		sum := s.checkTrades(t, n)
		if want := int(before.Seconds()) * 20; sum.missing != 0 || sum.marked != 0 || sum.trades < want {
			t.Errorf("%v: %+v, want %d trades at least", s, sum, want)
		}
		if refused, _ := s.wire.gate.calls(); refused != 0 {
			t.Errorf("%v: %d calls were refused", s, refused)
		}
		t.Logf("%v: trades %d to %d, %d of %d fetched later; the last operation fetched %d in %d calls", s, sum.from, sum.to, sum.late, sum.trades, all[0].Records, all[0].Calls)
	}
	n.Stop()
}
