package storage_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

const tradesWriter = "root/storage/reader/0/writer/trades"

func (n *node) actor(id string) supervise.Node {
	n.Helper()
	a, ok := n.sys.Tree().Node(id)
	if !ok {
		n.Fatalf("there is no actor %s", id)
	}
	return a
}

func (n *node) tradesStatus() storage.WriterStatus {
	n.Helper()
	for _, w := range n.status().Shards[0].Writers {
		if w.Table == "trades" {
			return w
		}
	}
	return storage.WriterStatus{}
}

func eager(t *testing.T) *settings {
	s := defaults(t)
	s.engine.PublishRows = 50
	return s
}

// TestAWriterThatCrashesIsRestarted: before and after it has written, alone, with
// nothing lost and nothing twice.
func TestAWriterThatCrashesIsRestarted(t *testing.T) {
	s := eager(t)
	var before, after atomic.Int64
	s.wrap = hook(&engineHook{
		onWrite: func(_ context.Context, kind market.Kind) error {
			if n := before.Add(1); kind == market.KindTrade && (n == 1 || n == 4) {
				panic("before the write")
			}
			return nil
		},
		onWritten: func(market.Kind) {
			if n := after.Add(1); n == 1 || n == 3 {
				panic("after the write")
			}
		},
	})
	n := start(t, s)
	reader := n.actor("root/storage/reader/0")
	for i := range 10 {
		n.write(trades(i*50, 50))
	}
	n.eventually("everything is published", func() bool { return n.engine.Published(0) == n.engine.Applied(0) })
	n.wantIDs(500)
	w := n.actor(tradesWriter)
	if w.Restarts < 3 || w.LastFailure == nil || !strings.Contains(w.LastFailure.Reason, "the write") {
		t.Errorf("the tree shows %d restarts, the last because of %+v", w.Restarts, w.LastFailure)
	}
	if now := n.actor("root/storage/reader/0"); now.Incarnation != reader.Incarnation {
		t.Error("the reader was restarted with its writer")
	}
}

// TestATableThatIsNotWrittenIsSeen: it is repeated with growing pauses, in the tree,
// the status, the health and the metrics; when it is written again, nobody says so
// any more.
func TestATableThatIsNotWrittenIsSeen(t *testing.T) {
	s := eager(t)
	var away atomic.Bool
	away.Store(true)
	s.wrap = hook(&engineHook{onWrite: func(context.Context, market.Kind) error {
		if away.Load() {
			return &persistence.IOError{Op: "reach", Path: "the server", Err: errors.New("it is away")}
		}
		return nil
	}})
	n := start(t, s)
	n.write(trades(0, 60))
	n.eventually("failures are counted", func() bool { return n.tradesStatus().FailuresInRow >= 3 })
	if w := n.tradesStatus(); w.State == "idle" || !strings.Contains(w.Error, "it is away") {
		t.Errorf("the status says %+v", w)
	}
	n.eventually("the tree says it", func() bool { return strings.Contains(n.actor(tradesWriter).Note, "it is away") })
	if failures, warnings := n.h.Health(); len(failures) > 0 || len(warnings) == 0 || !strings.Contains(errors.Join(warnings...).Error(), "table trades") {
		t.Errorf("the health says %v, %v", failures, warnings)
	}
	if st := n.status().Shards[0]; st.Behind <= 0 || st.PublishedTo >= st.Applied {
		t.Errorf("the shard says %+v", st)
	}
	n.wantIDs(60) // from memory
	away.Store(false)
	n.eventually("everything is published", func() bool { return n.engine.Published(0) == n.engine.Applied(0) })
	n.eventually("nobody says so any more", func() bool {
		failures, warnings := n.h.Health()
		return len(failures)+len(warnings) == 0 && n.actor(tradesWriter).Note == "" && n.tradesStatus().State == "idle"
	})
	n.wantIDs(60)
}

// rewinding is an engine whose server can be set back.
type rewinding struct {
	persistence.Engine
	lost    atomic.Bool
	rewound atomic.Int64
}

func (e *rewinding) Write(ctx context.Context, shard int, kind market.Kind) error {
	if e.lost.Load() {
		return persistence.ErrRewind
	}
	return e.Engine.Write(ctx, shard, kind)
}

func (e *rewinding) Rewind(shard int) {
	e.Engine.Rewind(shard)
	if e.lost.CompareAndSwap(true, false) {
		e.rewound.Add(1)
	}
}

// TestAStoreThatLostRecordsIsReadAgain: the reader begins again, in place.
func TestAStoreThatLostRecordsIsReadAgain(t *testing.T) {
	s := eager(t)
	e := &rewinding{}
	s.wrap = func(under persistence.Engine) persistence.Engine {
		e.Engine = under
		return e
	}
	n := start(t, s)
	n.write(trades(0, 60))
	n.eventually("the first are published", func() bool { return n.engine.Published(0) == n.engine.Applied(0) })
	e.lost.Store(true)
	n.write(trades(60, 60))
	n.eventually("the store was rewound", func() bool { return e.rewound.Load() == 1 })
	n.eventually("everything is published", func() bool { return n.engine.Published(0) == n.engine.Applied(0) })
	n.wantIDs(120)
	if a := n.actor("root/storage/reader/0"); a.Failures > 0 {
		t.Errorf("the reader failed: %+v", a.LastFailure)
	}
}
