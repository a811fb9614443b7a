package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// lie is a fault of the simulator, and the share of frames, or of calls, that have it.
type lie struct {
	word, rates string
	quick       string // rates in place of those, where there is no time to wait; "" for the same
}

// Those that end connections are rarer: one of them costs a second and more. Calls are
// made where something is missing only.
var lies = []lie{
	{"drop", "drop=0.01", ""}, {"dup", "dup=0.01", ""}, {"reorder", "reorder=0.01", ""}, {"gap", "gap=0.01", ""}, {"malformed", "malformed=0.01", ""},
	{"crossed", "crossed=0.01", "crossed=0.05"}, {"bad-checksum", "bad-checksum=0.01", "bad-checksum=0.05"},
	{"disconnect", "disconnect=0.002", ""}, {"half-open", "half-open=0.002", ""}, {"stale", "stale=0.002", ""}, {"rate-limit", "rate-limit=0.2,drop=0.005", ""},
}

// fewest is how many faults of a kind are waited for.
const fewest = 3

// told is a fault as the simulator says that it has injected it.
type told struct {
	N        int64  `json:"n"`
	Fault    string `json:"fault"`
	Time     int64  `json:"time_ns"`
	Until    int64  `json:"until_ns"`
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	Channel  string `json:"channel"`
	Frames   int64  `json:"frames"`
	First    int64  `json:"first_seq"`
	Last     int64  `json:"last_seq"`
	Snapshot bool   `json:"snapshot"`
	Must     string `json:"must"`
}

// injected are all faults so far.
func injected(t *testing.T, sim *harness.Simulator) []told {
	t.Helper()
	var all []told
	for after := int64(0); ; {
		var answer struct {
			Faults []told `json:"faults"`
		}
		sim.Ask(t, &answer, "faults", "after", fmt.Sprint(after))
		if len(answer.Faults) == 0 {
			return all
		}
		all = append(all, answer.Faults...)
		after = answer.Faults[len(answer.Faults)-1].N
	}
}

// TestFaults: the exchanges lie in every way that the simulator knows, one after the
// other. What is missing is found, every trade is fetched again, no book is called
// live that is not right, and what stays missing is in the ledger with its bounds.
func TestFaults(t *testing.T) {
	t.Parallel()
	args, messages := []string{"--symbols", "1", "--stale-for", "4s"}, int64(250)
	// Without numbers a book is known by its millisecond: no two events in one.
	rate, slow := "200", "200"
	if harness.Rounds(t) > 3 {
		args[1], rate, messages = "2", "1000", 10_000
	}
	for _, tc := range []struct {
		name      string
		checksums bool
		args      []string
	}{
		{"as they are", false, []string{"--rate", rate}},
		{"checksums", true, []string{"--exchange", legacyOKX, "--rate", slow}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sim, streams := simulate(t, append(tc.args, args...)...)
			lying(t, sim, streams, tc.checksums, messages)
		})
	}
}

// lying lets the exchanges lie to a node in every way that they can, and checks it.
func lying(t *testing.T, sim *harness.Simulator, streams []*stream, checksums bool, messages int64) {
	t.Helper()
	n := harness.Start(t, t.TempDir(), settings(streams, nil))
	w := watch(t, n, streams)
	awaitRecovery(t, n, streams, "start")
	sum := tally{}
	for _, l := range lies {
		if l.word == "bad-checksum" && !checksums {
			continue
		}
		before := takeCounts(t, n, streams)
		begin := time.Now()
		rates := l.rates
		if messages < 1000 && l.quick != "" {
			rates = l.quick
		}
		sim.Order(t, "faults", "rates", "none,"+rates)
		awaitMessages(t, n, streams, before, messages)
		awaitFaults(t, sim, l.word)
		sim.Order(t, "faults", "rates", "none")
		awaitRecovery(t, n, streams, l.word)
		after := takeCounts(t, n, streams)
		for _, s := range streams {
			for rate := range strings.SplitSeq(l.rates, ",") {
				word, _, _ := strings.Cut(rate, "=")
				sum.row(s, word).messages += after[s].messages - before[s].messages
			}
			at := sum.row(s, l.word)
			at.repeats += after[s].repeats - before[s].repeats
		}
		t.Logf("%s: over after %.1f s", l.word, time.Since(begin).Seconds())
	}
	w.end()
	n.Stop()
	if why := n.Crashed(); why != "" {
		t.Fatal(why)
	}

	reader := harness.Start(t, n.Data, nil)
	all := injected(t, sim)
	for _, s := range streams {
		w.check(t, s, 50)
		sums := s.checkTrades(t, reader)
		every := 4
		if s.truth.legacy {
			every = 1 // what left no trace has done no harm
		}
		s.checkBooks(t, reader, every, &sums)
		if sums.missing > 0 {
			t.Errorf("%v: %d trades are missing for good, though the exchange has them all", s, sums.missing)
		}
		s.judge(t, s.found(t, reader), all, sum)
	}
	sum.throttled(t, streams, all)
	t.Logf("\n%s", sum)
	sum.check(t)
	reader.Stop()
}

// counts are what the collector has counted on a stream.
type counts struct{ messages, repeats int64 }

func takeCounts(t *testing.T, n *harness.Node, streams []*stream) map[*stream]counts {
	t.Helper()
	all := map[*stream]counts{}
	for _, s := range streams {
		f, err := s.figures(n)
		if err != nil {
			t.Fatal(err)
		}
		var c counts
		for _, ch := range f.Channels {
			if ch.Kind == "trade" || ch.Kind == "book_delta" {
				c.messages += ch.Records
				c.repeats += ch.Duplicates
			}
		}
		all[s] = c
	}
	return all
}

// awaitMessages waits until every stream has so many more.
func awaitMessages(t *testing.T, n *harness.Node, streams []*stream, before map[*stream]counts, messages int64) {
	t.Helper()
	for _, s := range streams {
		var have counts
		if !harness.Eventually(t, 10*time.Minute, func() bool {
			have = takeCounts(t, n, []*stream{s})[s]
			return have.messages-before[s].messages >= messages
		}) {
			t.Fatalf("%v: %d messages of %d", s, have.messages-before[s].messages, messages)
		}
	}
}

// awaitFaults waits until there have been some of a kind.
func awaitFaults(t *testing.T, sim *harness.Simulator, word string) {
	t.Helper()
	harness.Await(t, 2*time.Minute, word, func() bool {
		var answer struct {
			Injected map[string]int `json:"injected"`
		}
		sim.Ask(t, &answer, "faults", "limit", "1")
		return answer.Injected[word] >= fewest
	})
}

// row is what became of the faults of a kind on a market.
type row struct {
	messages, repeats                            int64
	injected, detected, healed, marked, unproven int
	missed                                       []string
}

// tally is the table: by market, then fault.
type tally map[[2]string]*row

func (y tally) row(s *stream, fault string) *row {
	at := [2]string{s.exchange + " " + s.market, fault}
	if y[at] == nil {
		y[at] = &row{}
	}
	return y[at]
}

// String is the table.
func (y tally) String() string {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "exchange\tfault\tmessages\tinjected\tunverifiable\tdetected\thealed\tmarked")
	for _, at := range y.order() {
		r := y[at]
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", at[0], at[1], r.messages, r.injected, r.unproven, r.detected, r.healed, r.marked)
	}
	_ = t.Flush() // into a string
	return text.String()
}

func (y tally) order() [][2]string {
	var all [][2]string
	for at := range y {
		all = append(all, at)
	}
	rank := func(word string) int { return slices.IndexFunc(lies, func(l lie) bool { return l.word == word }) }
	slices.SortFunc(all, func(a, b [2]string) int {
		if a[0] != b[0] {
			return strings.Compare(a[0], b[0])
		}
		return rank(a[1]) - rank(b[1])
	})
	return all
}

// check wants every fault that can be detected to have been.
func (y tally) check(t *testing.T) {
	t.Helper()
	for _, at := range y.order() {
		r := y[at]
		if r.detected+r.unproven < r.injected {
			t.Errorf("%s: %s: %d injected, %d detected", at[0], at[1], r.injected, r.detected)
			for _, m := range r.missed[:min(5, len(r.missed))] {
				t.Log(m)
			}
		}
	}
}

// throttled judges the refused calls: of each line, nobody came back before the time.
func (y tally) throttled(t *testing.T, streams []*stream, all []told) {
	t.Helper()
	seen := map[*wire]bool{}
	for _, s := range streams {
		if seen[s.wire] {
			continue
		}
		seen[s.wire] = true
		at := y.row(s, "rate-limit")
		refused, early := s.wire.gate.heard()
		for _, f := range all {
			if f.Fault == "rate-limit" && f.Exchange == s.exchange && s.wire.gate.wasRefused(f.Time) {
				at.injected++
				at.detected++
			}
		}
		if early > 0 {
			t.Errorf("%v: %d calls were refused, and %d came before Retry-After had passed", s, refused, early)
		}
	}
}
