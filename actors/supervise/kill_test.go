package supervise_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
)

// TestKill: an actor that is killed by hand is one that panicked: what waits is kept, its
// supervisor spends a restart and starts it again after the backoff.
func TestKill(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("x", nil), spec("y", nil)))
		f.tell("root/b/x", hello{})
		kill := func(id, why string, want error) {
			t.Helper()
			if err := f.Kill(id, why); !errors.Is(err, want) {
				t.Errorf("killing %s: %v, want %v", id, err, want)
			}
		}
		kill("root/b/x", "a rehearsal", nil)
		n := f.wantState("root/b/x", supervise.InBackoff)
		if n.LastFailure == nil || n.LastFailure.Reason != supervise.KilledReason+": a rehearsal" || n.LastFailure.Message != "kill" || f.node("root/b").Budget.Left != 2 {
			t.Errorf("after the kill %+v, budget %+v", n.LastFailure, f.node("root/b").Budget)
		}
		f.tell("root/b/x", hello{}, hello{})
		kill("root/b/x", "", nil) // it is down: the next life is not meant
		f.sleep(time.Second)
		f.wantState("root/b/x", supervise.Running)
		if got, want := f.count("root/b/x"), (count{hellos: 2, incarnation: 2}); got != want {
			t.Errorf("after the restart %+v, want %+v", got, want)
		}
		if got := f.count("root/b/y").incarnation; got != 1 {
			t.Errorf("its sibling is incarnation %d", got)
		}
		kill("root/b", "", nil) // a branch too
		f.sleep(2 * time.Second)
		f.wantState("root/b/x", supervise.Running)
		if f.node("root").Budget.Left == f.node("root").Budget.Restarts {
			t.Error("the branch cost nothing")
		}
		kill("root", "", supervise.ErrNoChild)
		kill("root/b/z", "", supervise.ErrStopped)
	})
}

func TestFind(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("okx-spot", strategy(), spec("BTC-USDT", nil), spec("ETH-USDT", nil)), supervise.Branch("okx-perpetual", strategy(), spec("BTC-USDT", nil)))
		for _, tc := range []struct {
			words string
			limit int
			want  string
			of    int
		}{
			{"btc okx", 10, "root/okx-spot/BTC-USDT root/okx-perpetual/BTC-USDT", 2},
			{"Worker", 2, "root/okx-spot/BTC-USDT root/okx-spot/ETH-USDT", 3},
			{"", 1, "root", 6},
			{"nobody", 10, "", 0},
			{"btc", 0, "", 2},
		} {
			found, of := f.Tree().Find(strings.Fields(tc.words), tc.limit)
			var ids []string
			for _, one := range found {
				ids = append(ids, one.ID)
				if one.State != supervise.Running || one.Kind == "" {
					t.Errorf("%+v", one)
				}
			}
			if got := strings.Join(ids, " "); got != tc.want || of != tc.of {
				t.Errorf("%q: %q of %d, want %q of %d", tc.words, got, of, tc.want, tc.of)
			}
		}
	})
}
