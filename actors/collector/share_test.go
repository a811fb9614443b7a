package collector_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/internal/market"
)

// waiting are the streams that were said to be ready.
type waiting struct {
	bell *bell
	mu   sync.Mutex
	ids  map[market.StreamID]bool
}

func (w *waiting) Ready(id market.StreamID) {
	w.mu.Lock()
	w.ids[id] = true
	w.mu.Unlock()
	w.bell.ring()
}

func (w *waiting) has(id market.StreamID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ids[id]
}

// node starts a collector that is one of several, on the exchange and the journal of
// the others.
func (w *world) node() (*world, *waiting) {
	one := *w
	ready := &waiting{bell: w.bell, ids: map[market.StreamID]bool{}}
	one.handoff = ready
	one.start()
	return &one, ready
}

func (w *world) take(revision uint64, epoch int64, ids ...market.StreamID) {
	w.Helper()
	share := collector.Share{Revision: revision, Epoch: epoch, Streams: map[market.StreamID]struct{}{}}
	for _, id := range ids {
		share.Streams[id] = struct{}{}
	}
	if err := w.collector.Take(share); err != nil {
		w.Fatal(err)
	}
}

func (w *world) yield(revision uint64, ids ...market.StreamID) (seamless, refused []market.StreamID) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	seamless, refused, err := w.collector.Yield(ctx, ids, revision)
	if err != nil {
		w.Fatal(err)
	}
	return seamless, refused
}

// TestTakeover: a stream goes from one node to another while trades and changes come.
// It is recorded by the first until the second has asked for it, nothing is missing,
// and the ledger says so.
func TestTakeover(t *testing.T) {
	w := newWorld(t)
	w.types = []string{"trade", "book_delta"}
	a, readyA := w.node()
	a.take(1, 10, btc)
	w.await(t, "the first to be ready", func() bool { return readyA.has(btc) })
	first := w.exchange.trade("BTCUSDT", false)
	if n, _ := a.collector.Streams(); n != 0 || len(a.collector.Waiting()) != 1 {
		t.Fatalf("%d streams record before anybody said so, waiting: %v", n, a.collector.Waiting())
	}
	a.collector.Begin([]market.StreamID{btc}, nil)
	a.settled("BTCUSDT")
	if a.collector.Waiting() != nil {
		t.Error("what records still waits")
	}

	b, readyB := w.node()
	b.take(2, 20, btc)
	a.take(2, 10)
	w.await(t, "the second to be ready", func() bool {
		w.exchange.trade("BTCUSDT", false)
		w.exchange.change("BTCUSDT", false)
		return readyB.has(btc)
	})
	a.settled("BTCUSDT") // although it is not its own any more
	if w.recorded(20) {
		t.Fatal("the second records before the first has let go")
	}
	if seamless, refused := b.yield(1, btc); len(seamless) != 0 || !slices.Equal(refused, []market.StreamID{btc}) {
		t.Errorf("asked by an older plan, the owner let go of %v and refused %v", seamless, refused)
	}
	seamless, refused := a.yield(2, btc)
	if !slices.Equal(seamless, []market.StreamID{btc}) || len(refused) != 0 {
		t.Fatalf("the first left without a hole %v and refused %v, want BTC-USDT alone", seamless, refused)
	}
	if n, m := a.collector.Streams(); n+m != 0 {
		t.Errorf("%d streams are left where all have gone", n+m)
	}
	b.collector.Begin([]market.StreamID{btc}, seamless)
	b.settled("BTCUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "the last trade", func() bool { return w.has(btc, last) })
	if !w.complete(btc, first, last) {
		t.Error("trades are missing")
	}
	healed := map[string]string{}
	for _, r := range w.ledger.all(btc, market.KindGap) {
		g := r.(*market.Gap)
		healed[g.Channel] = g.Outcome // the last word
	}
	for channel, outcome := range healed {
		if outcome != market.OutcomeHealed {
			t.Errorf("%s: a hole that is %s, where nothing is missing", channel, outcome)
		}
	}
	begun := false
	for _, r := range w.ledger.all(btc, market.KindBookDelta) {
		if d := r.(*market.BookDelta); d.Epoch == 20 && !begun {
			if begun = true; !d.IsSnapshot {
				t.Errorf("the second's book begins with a change: %+v", d.Header)
			}
		}
	}
}

// recorded reports whether the journal has anything of an epoch.
func (w *world) recorded(epoch int64) bool {
	for _, k := range []market.Kind{market.KindTrade, market.KindBookDelta, market.KindGap} {
		if slices.ContainsFunc(w.ledger.all(btc, k), func(r market.Record) bool { return r.Head().Epoch == epoch }) {
			return true
		}
	}
	return false
}

// TestTakeoverOfTheDead: nobody lets go, and the new owner begins after what is stored.
func TestTakeoverOfTheDead(t *testing.T) {
	w := newWorld(t)
	w.types = []string{"trade", "book_delta"}
	a, readyA := w.node()
	a.take(1, 10, btc)
	w.await(t, "the first to be ready", func() bool { return readyA.has(btc) })
	a.collector.Begin([]market.StreamID{btc}, nil)
	a.settled("BTCUSDT")
	first := w.exchange.trade("BTCUSDT", false)
	w.await(t, "a trade", func() bool { return w.has(btc, first) })
	a.stop()
	for range 5 {
		w.exchange.trade("BTCUSDT", false) // nobody hears of them
	}
	b, readyB := w.node()
	b.take(2, 20, btc)
	w.await(t, "the second to be ready", func() bool { return readyB.has(btc) })
	b.collector.Begin([]market.StreamID{btc}, nil)
	b.settled("BTCUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "all trades", func() bool { return w.has(btc, last) && w.complete(btc, first, last) })
}

// TestDemands: what is wanted is known to a node that has nothing of it.
func TestDemands(t *testing.T) {
	w := newWorld(t)
	a, ready := w.node()
	a.take(1, 10, eth)
	w.await(t, "a stream to be ready", func() bool { return ready.has(eth) })
	all := a.collector.Demands()
	if len(all) != 1 || !all[0].Known {
		t.Fatalf("%+v", all)
	}
	if d := all[0]; len(d.Streams) != 2 || d.Streams[0].ID != btc || d.Streams[0].Subscriptions != 3 || d.MaxSubscriptions == 0 {
		t.Errorf("%+v", d)
	}
	if n, m := a.collector.Streams(); n != 0 || m != 1 {
		t.Errorf("%d streams record and %d wait, want the one of the share to wait", n, m)
	}
}

// TestSubscribeElsewhere: what one node is told to collect the others know, and neither
// of two changes that are made at once is lost.
func TestSubscribeElsewhere(t *testing.T) {
	w := newWorld(t)
	w.types = []string{"trade"}
	a, ready := w.node()
	b, _ := w.node()
	a.take(1, 10, btc, eth, sol)
	w.await(t, "the first to be ready", func() bool { return ready.has(btc) })
	b.take(1, 10)
	var both sync.WaitGroup
	for node, symbol := range map[*world]string{a: "ETH-USDT", b: "SOL-USDT"} {
		both.Go(func() {
			ctx, cancel := context.WithTimeout(w.Context(), patience)
			defer cancel()
			c := collector.Subscription{Exchange: "binance", Market: "spot", Symbols: []string{symbol}, DataTypes: []string{"trade"}}
			for ctx.Err() == nil {
				_, err := node.collector.Subscribe(ctx, c)
				if err == nil {
					return
				}
				if !errors.Is(err, collector.ErrNotStarted) {
					t.Error(err)
					return
				}
			}
		})
	}
	both.Wait()
	w.await(t, "what the other was told", func() bool { return ready.has(sol) })
}

// TestTakeoverWithoutStorage: whoever had a stream is gone, and storage does not answer,
// as while the journal has no leader. The stream is live soon, and what is stored is known
// once storage answers: nothing is missing.
func TestTakeoverWithoutStorage(t *testing.T) {
	w := newWorld(t)
	w.types = []string{"trade", "book_delta"}
	a, _ := w.node()
	a.take(1, 10, btc)
	a.await(t, "the first to wait", func() bool { return a.collector.Waiting() != nil })
	a.collector.Begin([]market.StreamID{btc}, nil)
	a.settled("BTCUSDT")
	first := w.exchange.trade("BTCUSDT", false)
	w.await(t, "the first trade", func() bool { return w.has(btc, first) })
	a.take(2, 10)
	a.yield(2, btc)
	between := w.exchange.trade("BTCUSDT", false) // while nobody listens

	answers := make(chan struct{})
	w.applied = func(ctx context.Context, _ market.StreamID) error {
		select {
		case <-answers:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b, _ := w.node()
	b.take(2, 20, btc)
	b.await(t, "the second to wait", func() bool { return b.collector.Waiting() != nil })
	b.collector.Begin([]market.StreamID{btc}, nil)
	b.settled("BTCUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "a trade while storage does not answer", func() bool { return w.has(btc, last) })
	close(answers)
	w.await(t, "what came in between", func() bool { return w.has(btc, between) && w.complete(btc, first, last) })
}

// TestTakeoverStorm: what a node has changes faster than streams begin and end. In the end
// it has what the last plan gives to it.
func TestTakeoverStorm(t *testing.T) {
	w := newWorld(t)
	w.types = []string{"trade", "book_delta"}
	a, _ := w.node()
	revision := uint64(1)
	for i := range 200 {
		revision++
		a.take(revision, int64(revision), btc)
		if i%3 == 0 {
			a.collector.Begin(a.collector.Waiting(), nil)
		}
		if i%7 == 0 {
			a.yield(revision+1, btc)
		}
		revision++
		a.take(revision, int64(revision))
	}
	revision++
	a.take(revision, int64(revision), btc)
	w.await(t, "the stream to wait or to record", func() bool {
		return slices.Contains(a.collector.Waiting(), btc) || slices.Contains(a.collector.Recording(), btc)
	})
	a.collector.Begin([]market.StreamID{btc}, nil)
	a.settled("BTCUSDT")
}

// TestAskedByMistake: a node that is asked for a stream by a plan which it does not know
// yet, and which gives the stream to itself, has it nevertheless once it knows the plan.
func TestAskedByMistake(t *testing.T) {
	w := newWorld(t)
	a, ready := w.node()
	a.take(5, 10, eth)
	w.await(t, "another stream to be ready", func() bool { return ready.has(eth) })
	if _, refused := a.yield(6, btc); len(refused) > 0 {
		t.Fatalf("it refuses %v before it knows that it has it", refused)
	}
	a.take(6, 11, btc, eth)
	w.await(t, "the stream to be ready", func() bool { return ready.has(btc) })
}
