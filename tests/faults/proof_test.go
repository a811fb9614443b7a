package faults

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// slowKinds come by chance, or too seldom to wait for.
var slowKinds = []string{"liquidation", "long_short_ratio"}

// TestUnverifiableIsSaid: every record of a channel that has neither a sequence nor a
// checksum says so, and no other does. It prints which channels have what.
func TestUnverifiableIsSaid(t *testing.T) {
	t.Parallel()
	_, streams := simulate(t, "--symbols", "1", "--rate", "50")
	s := settings(streams, nil)
	for _, st := range streams {
		at := "exchanges." + st.exchange + ".markets." + st.market + "."
		s[at+"data_types"], s[at+"poll"] = st.kinds, "1s"
	}
	n := harness.Start(t, t.TempDir(), s)
	awaitRecovery(t, n, streams, "start")
	awaitKinds(t, n, streams)
	proofs := map[*stream]map[string]string{}
	for _, st := range streams {
		f, err := st.figures(n)
		if err != nil {
			t.Fatal(err)
		}
		proofs[st] = map[string]string{}
		for _, c := range f.Channels {
			proofs[st][c.Kind] = c.Proof
		}
	}
	n.Stop()
	reader := harness.Start(t, n.Data, nil)
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, st := range streams {
		for _, kind := range slices.Sorted(maps.Keys(proofs[st])) {
			fmt.Fprintf(table, "%s %s\t%s\t%s\t%d records\n", st.exchange, st.market, kind, proofs[st][kind], st.flagged(t, reader, kind, proofs[st][kind]))
		}
	}
	_ = table.Flush() // into a string
	t.Logf("\n%s", &text)
	reader.Stop()
}

// awaitKinds waits until each stream has some of each of its kinds.
func awaitKinds(t *testing.T, n *harness.Node, streams []*stream) {
	t.Helper()
	for _, st := range streams {
		for _, kind := range st.kinds {
			if slices.Contains(slowKinds, kind) || kind == "volatility_index" { // of an index, not of an instrument
				continue
			}
			harness.Await(t, time.Minute, fmt.Sprintf("%v: %s", st, kind), func() bool {
				f, err := st.figures(n)
				return err == nil && f.records(kind) > 2
			})
		}
	}
}

// flagged checks every stored record of a kind, and says how many there are.
func (s *stream) flagged(t *testing.T, n *harness.Node, kind, proof string) int {
	t.Helper()
	stored := n.MustQuery(kind, s.exchange, s.symbol, "market", s.market)
	want := proof != "contiguous" && proof != "chained"
	for i := range stored {
		r := parse(t, stored[i].Line)
		// A view of a proven book is unverifiable beyond the snapshot's reach alone.
		if got := slices.Contains(r.Flags, "unverifiable"); got != want && kind != "book_snapshot" {
			t.Errorf("%v: %s is %s, and a record says unverifiable: %v\n%s", s, kind, cmp.Or(proof, "?"), got, stored[i].Line)
			break
		}
	}
	return len(stored)
}
