package supervise_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/marketprism/marketprism/actors/supervise"
)

func TestTreeShowsAKillAsItHappens(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		x := spec("x", nil)
		x.Exchange = "binance"
		f.start(supervise.Branch("b", strategy(), spec("a", nil), x))
		f.tell("root/b/x", hello{}, hello{}, crash{"seen"})

		var ids []string
		for _, n := range f.Tree().Snapshot().Actors {
			ids = append(ids, n.ID+" "+n.State.String())
		}
		wantLines(t, ids, "root running", "root/b running", "root/b/a running", "root/b/x backoff")

		body, err := json.Marshal(f.node("root/b/x"))
		must(t, err)
		for _, part := range []string{`"state":"backoff"`, `"kind":"worker"`, `"exchange":"binance"`, `"parent":"root/b"`,
			`"capacity":1024`, `"reason":"seen"`, `"handled_total":4`, `"message":"supervise_test.hello","handled_total":2`} {
			if !bytes.Contains(body, []byte(part)) {
				t.Errorf("the JSON lacks %s: %s", part, body)
			}
		}
		var back supervise.Node
		must(t, json.Unmarshal(body, &back))
		if back.State != supervise.InBackoff {
			t.Errorf("state read back as %s", back.State)
		}
		b := f.node("root/b")
		if !b.Supervisor || !strings.HasPrefix(b.Strategy, "one_for_one, 3 restarts in 1m0s") {
			t.Errorf("branch in the tree: %+v", b)
		}
		if next := b.Budget.NextAt; next == nil || !next.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("the next restart comes back at %v", next)
		}
		f.sleep(time.Second)
		wantLines(t, f.events(),
			"started root", "started root/b",
			"started root/b/a", "ready root/b/a", "started root/b/x", "ready root/b/x",
			"ready root/b", "ready root",
			"failed root/b/x", "backoff root/b/x", "restarted root/b/x", "ready root/b/x")
		f.sleep(time.Minute)
		if left := f.node("root/b").Budget.Left; left != 3 {
			t.Errorf("%d restarts left after the window, want 3", left)
		}
	})
}

func TestRates(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), hooked("x", nil, func(c *supervise.Context) {
			if _, ok := c.Message().(hello); ok {
				pass(10 * time.Millisecond)
			}
		})))
		f.Tree().Snapshot()
		for range 20 {
			must(t, f.Tell(f.pid("root/b/x"), hello{}))
		}
		f.sleep(2 * time.Second)
		n := f.node("root/b/x")
		if n.Rate != 10 || n.BusyRatio != 0.1 || n.BusySeconds != 0.2 {
			t.Errorf("rate %v, busy %v of the time, %v s; want 10, 0.1, 0.2", n.Rate, n.BusyRatio, n.BusySeconds)
		}
		if i := slices.IndexFunc(n.Messages, func(m supervise.MessageStatus) bool { return m.Message == "supervise_test.hello" }); i < 0 ||
			n.Messages[i].Handled != 20 {
			t.Errorf("by message: %+v", n.Messages)
		}
	})
}

func TestHistoryIsBoundedAndSubscribersNeverBlock(t *testing.T) {
	config := supervise.DefaultConfig()
	config.EventHistory = 8
	inBubble(t, supervise.Options{Config: config}, func(f *fixture) {
		fast, stopFast := f.Tree().Subscribe(100)
		slow, stopSlow := f.Tree().Subscribe(1)
		f.start(supervise.Branch("b", strategy(), spec("a", nil), spec("x", nil), spec("y", nil)))
		kept := f.Tree().Events(0, 100)
		if len(kept) != 8 || kept[0].Seq != 3 || kept[7].Seq != 10 {
			t.Errorf("kept %d events, %+v", len(kept), kept)
		}
		if page := f.Tree().Events(8, 1); len(page) != 1 || page[0].Seq != 9 {
			t.Errorf("one event after 8: %+v", page)
		}
		stopFast()
		stopFast()
		stopSlow()
		n := 0
		for e := range fast {
			if n++; e.Seq != uint64(n) {
				t.Errorf("event %d came as %d", e.Seq, n)
			}
		}
		if n != 10 {
			t.Errorf("%d events, want 10", n)
		}
		if e := <-slow; e.Seq != 1 {
			t.Errorf("the slow subscriber got %d first", e.Seq)
		}
		if got := f.Tree().Snapshot().EventsDropped; got != 9 {
			t.Errorf("%d dropped, want 9", got)
		}
	})
}

func TestSnapshotsWhileEverythingMoves(t *testing.T) {
	s := strategy()
	s.Restarts = 1000
	inBubble(t, supervise.Options{Registerer: prometheus.NewRegistry()}, func(f *fixture) {
		f.start(supervise.Branch("b", s, spec("a", nil), spec("x", nil)))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						f.Tree().Snapshot()
						pass(time.Millisecond)
					}
				}
			})
		}
		for range 50 {
			f.tell("root/b/x", hello{}, crash{"again"})
			f.sleep(8 * time.Second / 100)
			must(t, f.RestartChild(f.ctx, "root/b", "x"))
		}
		close(stop)
		wg.Wait()
		if n := f.wantState("root/b/x", supervise.Running); n.Failures != 50 || n.Restarts != 50 {
			t.Errorf("after 50 kills: %+v", n)
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	inBubble(t, supervise.Options{Registerer: reg}, func(f *fixture) {
		x := spec("x", nil)
		x.Exchange, x.Mailbox.Capacity = "okx", 3
		f.start(supervise.Branch("b", strategy(), x))
		f.tell("root/b/x", hello{}, crash{"once"})
		f.tell("root/b/x", hello{}, hello{}, hello{})
		_ = f.Tell(f.pid("root/b/x"), hello{})
		f.Actors().Root.Send(actor.NewPID("nonhost", "nobody"), hello{})
		got := gather(t, reg)
		want := map[string]float64{
			`mp_actor_messages_total exchange=okx kind=worker message=supervise_test.hello`: 1,
			`mp_actor_failures_total exchange=okx kind=worker`:                              1,
			`mp_actor_started_total exchange=okx kind=worker`:                               1,
			`mp_actor_restarted_total exchange=okx kind=worker`:                             0,
			`mp_actor_mailbox_dropped_total exchange=okx kind=worker`:                       1,
			`mp_actor_mailbox_depth_max exchange=okx kind=worker`:                           3,
			`mp_actor_alive exchange= kind=supervisor`:                                      2,
			`mp_actor_dead_letters_total kind=unknown message=supervise_test.hello`:         1,
			`mp_actor_busy_seconds_total exchange=okx kind=worker`:                          0,
			`mp_actor_mailbox_wait_seconds kind=worker`:                                     1,
			`mp_actor_handle_seconds kind=worker message=actor.Started`:                     1,
			`mp_actor_escalated_total exchange= kind=supervisor`:                            0,
		}
		for series, v := range want {
			if g, ok := got[series]; !ok || g != v {
				t.Errorf("%s = %v (there: %t), want %v", series, g, ok, v)
			}
		}
		f.sleep(time.Second)
		if got := gather(t, reg)[`mp_actor_restarted_total exchange=okx kind=worker`]; got != 1 {
			t.Errorf("restarted_total = %v after the restart", got)
		}
		must(t, f.Stop(f.ctx))
		got = gather(t, reg)
		if got[`mp_actor_alive exchange=okx kind=worker`] != 0 || got[`mp_actor_stopped_total exchange=okx kind=worker`] != 1 {
			t.Errorf("after the stop %v", got)
		}
	})
}

// gather is every series of reg with its value, of a histogram its count.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	out := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, l := range m.Label {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func TestFailuresAreLoggedWithTheirStack(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	inBubble(t, supervise.Options{Logger: zap.New(core)}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("x", nil)))
		f.tell("root/b/x", crash{"logged"})
		entries := logs.FilterMessage("actor failed, will restart").All()
		if len(entries) != 1 || logs.Len() != 1 {
			t.Fatalf("logged %v, want the one failure alone", logs.All())
		}
		fields := entries[0].ContextMap()
		stack, _ := fields["stack"].(string)
		if fields["actor"] != "root/b/x" || fields["message"] != "supervise_test.crash" || !strings.Contains(stack, "(*worker).Receive") {
			t.Errorf("fields %v", fields)
		}
	})
}

func TestStopIsIdempotentAndConcurrent(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		must(t, f.Stop(f.ctx)) // never started
		if err := f.Start(f.ctx, spec("x", nil)); err == nil {
			t.Error("started after Stop")
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("x", nil)))
		var wg sync.WaitGroup
		pid := f.pid("root/b/x")
		for range 8 {
			wg.Go(func() {
				_ = f.Tell(pid, hello{})
				must(t, f.Stop(f.ctx))
			})
		}
		wg.Wait()
		if !f.Actors().IsStopped() || f.Ready() {
			t.Error("the system runs on")
		}
		if err := f.Err(); err != nil {
			t.Errorf("a stop is not a failure: %v", err)
		}
	})
}

func TestStopWhileFailingAndInBackoff(t *testing.T) {
	for _, crashes := range []int{1, 2, 3} {
		s := strategy()
		s.Restarts = 1
		d := &diary{}
		inBubble(t, supervise.Options{}, func(f *fixture) {
			f.start(supervise.Branch("b", s, spec("a", d), spec("x", d)))
			for range crashes {
				if pid, ok := f.Lookup("root/b/x"); ok {
					_ = f.Tell(pid, crash{"while stopping"})
				}
				pass(time.Second)
			}
			must(t, f.Stop(f.ctx))
			synctest.Wait()
			for _, n := range f.Tree().Snapshot().Actors {
				if n.State != supervise.Stopped {
					t.Errorf("after %d crashes and Stop, %s is %s", crashes, n.ID, n.State)
				}
			}
		})
	}
}
