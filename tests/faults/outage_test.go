package faults

import (
	"net/http"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// outage is something that happens to the lines, or to the process.
type outage struct {
	name string
	// strike returns the process that goes on afterwards.
	strike func(t *testing.T, w *watched) *harness.Node
}

// watched is a process that collects, with everything around it.
type watched struct {
	node     *harness.Node
	settings harness.Settings
	streams  []*stream
	watcher  *watcher
	long     bool // times as in the sentence, not shortened
}

func (w *watched) each(do func(*wire)) {
	for _, s := range w.streams {
		do(s.wire)
	}
}

// pause is a time of the sentence, or a shorter one.
func (w *watched) pause(t *testing.T, long, short time.Duration) {
	t.Helper()
	if w.long {
		short = long
	}
	harness.Pause(t, short)
}

var outages = []outage{
	{"cut in the middle of a frame", func(_ *testing.T, w *watched) *harness.Node {
		w.each((*wire).cut)
		return w.node
	}},
	{"half open", func(t *testing.T, w *watched) *harness.Node {
		before := w.gaps(t)
		w.each((*wire).freeze)
		// Nothing ends these connections but the collector's own watchdog.
		w.awaitGaps(t, before)
		return w.node
	}},
	{"down", func(t *testing.T, w *watched) *harness.Node {
		w.each((*wire).down)
		w.pause(t, time.Minute, 2*time.Second)
		w.each((*wire).up)
		return w.node
	}},
	{"429", func(t *testing.T, w *watched) *harness.Node {
		return w.throttled(t, http.StatusTooManyRequests, 2*time.Second)
	}},
	{"418", func(t *testing.T, w *watched) *harness.Node { return w.throttled(t, http.StatusTeapot, 3*time.Second) }},
	{"killed", func(t *testing.T, w *watched) *harness.Node {
		w.node.Kill()
		w.pause(t, 10*time.Second, time.Second)
		return harness.Start(t, w.node.Data, w.settings)
	}},
}

// gaps are how many gaps each stream has had.
func (w *watched) gaps(t *testing.T) map[*stream]int64 {
	t.Helper()
	all := map[*stream]int64{}
	for _, s := range w.streams {
		f, err := s.figures(w.node)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range f.Channels {
			all[s] += c.Gaps
		}
	}
	return all
}

// awaitGaps waits until each stream has had another.
func (w *watched) awaitGaps(t *testing.T, before map[*stream]int64) {
	t.Helper()
	for _, s := range w.streams {
		harness.Await(t, 30*time.Second, s.String()+" to be found dead", func() bool { return w.gaps(t)[s] > before[s] })
	}
}

// throttled cuts the lines and refuses the calls that mend what was lost.
func (w *watched) throttled(t *testing.T, status int, d time.Duration) *harness.Node {
	t.Helper()
	w.each(func(l *wire) {
		l.gate.throttle(status, d)
		l.cut()
	})
	for _, s := range w.streams {
		const each = 3 * time.Second
		again := time.Now().Add(each)
		harness.Await(t, d+30*time.Second, s.String()+" to be refused", func() bool {
			refused, _ := s.wire.gate.calls()
			if refused == 0 && time.Now().After(again) { // nothing was lost by the cut: no call was needed
				again = time.Now().Add(each)
				s.wire.gate.throttle(status, d)
				s.wire.cut()
			}
			return refused > 0
		})
	}
	harness.Pause(t, d)
	for _, s := range w.streams {
		if refused, early := s.wire.gate.calls(); early > 0 {
			t.Errorf("%v: %d calls, %d of them before Retry-After had passed", s, refused, early)
		}
	}
	return w.node
}

// TestOutages: whatever happens to the lines, to the exchange, or to the process, the
// trades in the store are those that were, or the ledger has the exact hole; and no
// book was ever called live that was not right.
func TestOutages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"as they are", nil},
		{"checksums", []string{"--exchange", legacyOKX}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, streams := simulate(t, append(tc.args, "--symbols", "1", "--rate", "200")...)
			suffer(t, streams)
		})
	}
}

// suffer puts a node through every outage, and checks it.
func suffer(t *testing.T, streams []*stream) {
	t.Helper()
	w := &watched{streams: streams, settings: settings(streams, nil), long: harness.Rounds(t) > 3}
	begin := time.Now()
	w.node = harness.Start(t, t.TempDir(), w.settings)
	w.watcher = watch(t, w.node, streams)
	awaitRecovery(t, w.node, streams, "start")
	t.Logf("everything arrives after %.1f s", time.Since(begin).Seconds())
	for _, o := range outages {
		begin := time.Now()
		w.node = o.strike(t, w)
		w.watcher.follow(w.node)
		awaitRecovery(t, w.node, streams, o.name)
		t.Logf("%s: recovered after %.1f s", o.name, time.Since(begin).Seconds())
	}
	w.watcher.end()
	w.node.Stop()
	if why := w.node.Crashed(); why != "" {
		t.Fatal(why)
	}

	// Read by a process that collects nothing.
	reader := harness.Start(t, w.node.Data, nil)
	for _, s := range streams {
		w.watcher.check(t, s, 50)
		sum := s.checkTrades(t, reader)
		s.checkBooks(t, reader, 1, &sum)
		t.Logf("%v: trades %d to %d: %d stored, %d of them fetched later, %d missing; %d gaps, %d healed, %d marked; %d book changes in %d chains, %d book gaps",
			s, sum.from, sum.to, sum.trades, sum.late, sum.missing, sum.gaps, sum.healed, sum.marked, sum.changes, sum.chains, sum.bookGaps)
		if sum.late == 0 && sum.missing == 0 {
			t.Errorf("%v: nothing was ever missed: the outages did not happen", s)
		}
	}
	reader.Stop()
}
