package storage_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

func TestWriteIsReadAtOnce(t *testing.T) {
	n := start(t, defaults(t))
	ctx := testContext(t)
	w := n.write(trades(0, 3))
	if w != (storage.Written{Stored: 3, Visible: true, Shard: 0, Seq: 1}) {
		t.Errorf("written: %+v", w)
	}
	n.wantIDs(3)
	r, ok, err := n.h.Last(ctx, market.KindTrade, instrument.ID(), persistence.OriginAll)
	if err != nil || !ok || r.(*market.Trade).ID != market.NumID(2) {
		t.Errorf("last is %v, %v, %v", r, ok, err)
	}
	if _, ok, err := n.h.Last(ctx, market.KindTicker, instrument.ID(), persistence.OriginAll); ok || err != nil {
		t.Errorf("last of nothing: %v, %v", ok, err)
	}
	streams, err := n.h.Streams(ctx, market.KindTrade)
	if err != nil || len(streams) != 1 || streams[0] != instrument.ID() {
		t.Errorf("streams: %v, %v", streams, err)
	}
	st, err := n.h.Stats(ctx)
	if err != nil || st.Tables[0].Rows != 3 {
		t.Errorf("stats: %+v, %v", st, err)
	}
	if p, err := n.h.Parts(ctx); err != nil || len(p) != 0 {
		t.Errorf("parts: %v, %v", p, err)
	}
	rows, err := n.h.Candles(ctx, persistence.CandleQuery{Stream: instrument.ID(), Interval: "1m"})
	if err != nil {
		t.Fatal(err)
	}
	var b market.Batch
	if _, err := rows.Next(ctx, &b); err != nil && !errors.Is(err, io.EOF) || b.Len() != 1 {
		t.Errorf("%d candles, %v", b.Len(), err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	s := n.status()
	shard := s.Shards[0]
	if shard.State != "reading" || shard.Applied != 1 || shard.Journal == nil || shard.Journal.Lag != 0 || shard.Journal.Last != 1 ||
		len(s.Failures)+len(s.Warnings) != 0 || !s.Writable || s.Leases != 0 {
		t.Errorf("status: %+v", s)
	}
	if err := n.h.CaughtUp(ctx, 0); err != nil {
		t.Error(err)
	}
}

func TestWhatClientsCannotWrite(t *testing.T) {
	n := start(t, defaults(t))
	ours := trades(0, 1)
	ours.At(0).Head().Origin = market.Collected
	homeless := trades(0, 1)
	homeless.At(0).Head().Instrument = nil
	for name, b := range map[string]*market.Batch{"nothing": {}, "collected": ours, "no instrument": homeless} {
		if _, err := n.h.Write(testContext(t), b); !errors.Is(err, storage.ErrInvalidWrite) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// recorder is one that always answers the same.
type recorder struct{ record, outcome error }

func (r recorder) Record(e *persistence.Entry) error {
	if r.record == nil {
		e.Done(e, persistence.Outcome{Err: r.outcome})
	}
	return r.record
}

func (r recorder) Accepting() bool { return r.record == nil }

func TestRefusedWrites(t *testing.T) {
	cases := map[string]struct {
		recorder  recorder
		retryable bool
	}{
		"no credit": {recorder{record: persistence.ErrNoCredit}, true},
		"refusing":  {recorder{record: persistence.ErrRefusing}, true},
		"stopped":   {recorder{record: persistence.ErrStopped}, true},
		"full":      {recorder{outcome: persistence.ErrJournalFull}, true},
		"disk":      {recorder{outcome: persistence.ErrDiskFull}, true},
		"doubt":     {recorder{outcome: persistence.ErrDoubt}, true},
		"large":     {recorder{outcome: persistence.ErrTooLarge}, false},
	}
	s := defaults(t)
	swap := &swapped{}
	s.recorder = swap
	n := start(t, s)
	for name, tc := range cases {
		swap.Recorder = tc.recorder
		_, err := n.h.Write(testContext(t), trades(0, 1))
		var u *storage.UnavailableError
		if errors.As(err, &u) != tc.retryable || tc.retryable && u.RetryAfter <= 0 {
			t.Errorf("%s: got %v, want retryable %v", name, err, tc.retryable)
		}
		cause := tc.recorder.record
		if cause == nil {
			cause = tc.recorder.outcome
		}
		if !errors.Is(err, cause) {
			t.Errorf("%s: got %v, want %v inside", name, err, cause)
		}
	}
}

type swapped struct{ persistence.Recorder }

// A reader that crashes reads on where the store is: every message is applied once.
func TestReaderCrashes(t *testing.T) {
	s := defaults(t)
	s.engine.PublishRows = 500
	var crash atomic.Int64
	applied := make(map[uint64]int)
	s.wrap = hook(&engineHook{
		onApply: func(uint64) {
			if crash.Add(-1) == 0 {
				panic("the engine fails once")
			}
		},
		applied: func(seq uint64) { applied[seq]++ }, // one goroutine at a time
	})
	n := start(t, s)
	l := n.load()
	for round := range 3 {
		crash.Store(5)
		n.eventually("a crash", func() bool {
			node, _ := n.sys.Tree().Node("root/storage/reader/0")
			return node.Failures == uint64(round+1) && node.State == supervise.Running
		})
	}
	if err := n.sys.RestartChild(testContext(t), "root/storage/reader", "0"); err != nil {
		t.Fatal(err)
	}
	count := l.end()
	if err := n.h.CaughtUp(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	n.wantIDs(count)
	n.stop()
	for seq, times := range applied {
		if times != 1 {
			t.Errorf("message %d was applied %d times", seq, times)
		}
	}
	t.Logf("%d trades in %d messages over 3 crashes and a restart", count, len(applied))
}

// After a graceful stop nothing is read again; what was written is there.
func TestStopPublishes(t *testing.T) {
	s := defaults(t)
	n := start(t, s)
	l := n.load()
	n.eventually("some load", func() bool { return n.engine.Applied(0) > 20 })
	count := l.end()
	if err := n.h.CaughtUp(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	n.stop()
	var again atomic.Int64
	s.wrap = hook(&engineHook{onApply: func(uint64) { again.Add(1) }})
	n = start(t, s)
	if err := n.h.CaughtUp(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	n.wantIDs(count)
	if again.Load() != 0 {
		t.Errorf("%d messages were read again", again.Load())
	}
	if st := n.status().Shards[0]; st.Position != st.Applied || st.Registered != st.Position {
		t.Errorf("applied %d, durable %d, registered %d", st.Applied, st.Position, st.Registered)
	}
}

// A store that was lost before it published is filled from the journal.
func TestUnpublishedIsReplayed(t *testing.T) {
	s := defaults(t)
	s.storage.StopTimeout = 200 * time.Millisecond
	broken := &engineHook{onPublish: func(context.Context) error {
		return &persistence.IOError{Op: "write part", Path: "x", Err: errors.New("no space left")}
	}}
	s.wrap = hook(broken)
	n := start(t, s)
	n.write(trades(0, 100))
	n.write(trades(100, 100))
	n.stop()
	s.wrap = nil
	n = start(t, s)
	if err := n.h.CaughtUp(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	n.wantIDs(200)
	if w := n.write(trades(200, 1)); !w.Visible || w.Seq != 3 {
		t.Errorf("written: %+v", w)
	}
}

// A batch that cannot be read stops the reader for good, loudly; queries go on.
func TestFaultIsFinalAndLoud(t *testing.T) {
	s := defaults(t)
	s.storage.VisibleTimeout = 10 * time.Second
	n := start(t, s)
	ctx := testContext(t)
	n.write(trades(0, 5))
	nc, err := n.broker.Connect(ctx, "vandal")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request(wal.Subject(0), []byte("not a batch"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	n.eventually("the fault", func() bool {
		node, _ := n.sys.Tree().Node("root/storage/reader/0")
		return n.status().Shards[0].State == "faulted" && node.Incarnation == 2 && node.State == supervise.Running
	})
	node, _ := n.sys.Tree().Node("root/storage/reader/0")
	if node.Failures != 1 || node.LastFailure == nil || !strings.Contains(node.LastFailure.Reason, "shard 0 at sequence 2") {
		t.Errorf("the tree shows %d failures, last %+v", node.Failures, node.LastFailure)
	}
	failures, _ := n.h.Health()
	if len(failures) != 1 || !errors.Is(failures[0], wal.ErrCorrupt) {
		t.Errorf("health: %v", failures)
	}
	n.wantIDs(5)
	if w := n.write(trades(5, 1)); w.Visible || w.Stored != 1 { // stored, and not waited for
		t.Errorf("written behind the fault: %+v", w)
	}
	if err := n.h.CaughtUp(ctx, 0); !errors.Is(err, wal.ErrCorrupt) {
		t.Errorf("CaughtUp: %v", err)
	}
	// By hand it tries again, and finds the same.
	if err := n.sys.RestartChild(ctx, "root/storage/reader", "0"); err != nil {
		t.Fatal(err)
	}
	n.eventually("the second fault", func() bool {
		node, _ := n.sys.Tree().Node("root/storage/reader/0")
		return node.Failures == 2 && node.State == supervise.Running
	})
	n.wantIDs(5)
}

// A store that cannot publish makes the reader wait; nothing else does.
func TestBacklogStopsTheReaderOnly(t *testing.T) {
	s := defaults(t)
	s.engine.PublishRows = 100
	gate := make(chan struct{})
	s.wrap = hook(&engineHook{onPublish: func(ctx context.Context) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	n := start(t, s)
	l := n.load()
	n.eventually("the backlog", func() bool { return n.status().Shards[0].Waiting })
	stuck := n.engine.Applied(0)
	more := l.next.Load()
	n.eventually("recording on", func() bool {
		st := n.status().Shards[0]
		return st.Journal != nil && st.Journal.Lag > 10
	})
	if n.engine.Applied(0) != stuck {
		t.Errorf("applied from %d to %d without room", stuck, n.engine.Applied(0))
	}
	close(gate)
	count := l.end()
	if err := n.h.CaughtUp(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	n.wantIDs(count)
	t.Logf("stuck after %d trades, %d in the end", more, count)
}

func TestPublishIsRepeated(t *testing.T) {
	s := defaults(t)
	s.engine.PublishRows = 10
	var fail atomic.Bool
	fail.Store(true)
	s.wrap = hook(&engineHook{onPublish: func(context.Context) error {
		if fail.Load() {
			return &persistence.IOError{Op: "write part", Path: "x", Err: errors.New("no space left")}
		}
		return nil
	}})
	n := start(t, s)
	n.write(trades(0, 10))
	n.eventually("a warning", func() bool { _, w := n.h.Health(); return len(w) == 1 })
	fail.Store(false)
	n.eventually("health", func() bool { f, w := n.h.Health(); return len(f)+len(w) == 0 })
	n.eventually("a part", func() bool { return n.engine.Position(0).Seq == 1 })
	n.wantIDs(10)
}

// What is durable leaves the journal, and the store starts without it.
func TestPurge(t *testing.T) {
	s := defaults(t)
	s.engine.PublishRows = 10
	n := start(t, s)
	for i := range 5 {
		n.write(trades(i*10, 10))
	}
	n.eventually("the purge", func() bool {
		j := n.status().Shards[0].Journal
		return j != nil && j.First == 5
	})
	if r := n.status().Shards[0].Journal.Readers; len(r) != 1 || r[0].Reader != "test" || r[0].Position != 5 || !r[0].FullCopy {
		t.Errorf("registered are %+v", r)
	}
	n.stop()
	n = start(t, s)
	n.write(trades(50, 1))
	n.wantIDs(51)
}

// A repeated batch at the end of the journal counts as read, so that the write that
// was answered with it is visible.
func TestRepeatedWriteIsVisible(t *testing.T) {
	n := start(t, defaults(t))
	n.write(trades(0, 1))
	repeated := false
	for i := 1; i < 20 && !repeated; i++ {
		n.cut.Store(true)
		w := n.write(trades(i, 1))
		if !w.Visible {
			t.Fatalf("written, and not visible: %+v", w)
		}
		repeated = w.Seq > uint64(i+1)
	}
	if !repeated {
		t.Fatal("no batch was repeated")
	}
	if lag := n.status().Shards[0].Journal.Lag; lag != 0 {
		t.Errorf("lag is %d", lag)
	}
}

// The broker is restarted over and over under load: what was acknowledged is read
// once.
func TestBrokerRestarts(t *testing.T) {
	s := defaults(t)
	s.engine.PublishRows = 500
	n := start(t, s)
	l := n.load()
	for range 3 {
		before := n.engine.Applied(0)
		if err := n.sys.RestartChild(testContext(t), "root/broker", "server"); err != nil {
			t.Fatal(err)
		}
		n.eventually("reading on", func() bool { return n.engine.Applied(0) > before+5 })
	}
	count := l.end()
	if err := n.h.CaughtUp(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	n.wantIDs(count)
	if node, _ := n.sys.Tree().Node("root/storage/reader/0"); node.Failures != 0 {
		t.Errorf("the reader failed: %+v", node.LastFailure)
	}
	t.Logf("%d trades over 3 restarts of the broker", count)
}

func TestLeases(t *testing.T) {
	s := defaults(t)
	s.storage.MaxLeases = 2
	block := &engineHook{}
	s.wrap = hook(block)
	n := start(t, s)
	n.write(trades(0, 3))
	ctx := testContext(t)
	q := persistence.Query{Kind: market.KindTrade}
	var open []persistence.Rows
	for range 2 {
		rows, err := n.h.Query(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, rows)
	}
	if _, err := n.h.Query(ctx, q); !errors.Is(err, storage.ErrBusy) {
		t.Errorf("a third: %v, want ErrBusy", err)
	}
	// A restart of the router costs no rows.
	if err := n.sys.RestartChild(ctx, "root/storage", "router"); err != nil {
		t.Fatal(err)
	}
	for _, rows := range open {
		var b market.Batch
		if c, err := rows.Next(ctx, &b); c != 3 {
			t.Errorf("%d rows, %v", c, err)
		}
		if err := errors.Join(rows.Close(), rows.Close()); err != nil {
			t.Error(err)
		}
	}
	if left := n.status().Leases; left != 0 {
		t.Errorf("%d leases are left", left)
	}
	if _, err := n.h.Query(ctx, persistence.Query{Kind: market.KindBookTop}); !errors.Is(err, persistence.ErrQuery) {
		t.Errorf("a query that cannot be: %v", err)
	}
}

// Who leaves before his rows come leaves no lease behind.
func TestAskerLeaves(t *testing.T) {
	s := defaults(t)
	entered, gate := make(chan struct{}), make(chan struct{})
	s.wrap = hook(&engineHook{onQuery: func(context.Context) {
		entered <- struct{}{}
		<-gate
	}})
	n := start(t, s)
	ctx, leave := context.WithCancel(testContext(t))
	answer := make(chan error, 1)
	go func() {
		_, err := n.h.Query(ctx, persistence.Query{Kind: market.KindTrade})
		answer <- err
	}()
	<-entered
	leave()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if left := n.status().Leases; left != 1 {
		t.Errorf("%d leases while it is opened", left)
	}
	close(gate)
	n.eventually("the lease", func() bool { return n.status().Leases == 0 })
}

func TestHandleBeforeAndAfter(t *testing.T) {
	n := start(t, defaults(t))
	n.stop()
	if _, err := n.h.Stats(testContext(t)); !errors.Is(err, supervise.ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
	h, err := storage.New(storage.Options{Config: storage.DefaultConfig(), Engine: n.engine, Journal: n.open, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Write(testContext(t), trades(0, 1)); !errors.Is(err, supervise.ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
}

func TestConfig(t *testing.T) {
	if err := storage.DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for key, change := range map[string]func(c *storage.Config){
		"seal_interval":     func(c *storage.Config) { c.SealInterval = 0 },
		"publish_retry":     func(c *storage.Config) { c.PublishRetry = 0 },
		"stop_timeout":      func(c *storage.Config) { c.StopTimeout = 0 },
		"maintain_interval": func(c *storage.Config) { c.MaintainInterval = 0 },
		"visible_timeout":   func(c *storage.Config) { c.VisibleTimeout = -1 },
		"max_leases":        func(c *storage.Config) { c.MaxLeases = 0 },
		"max_requests":      func(c *storage.Config) { c.MaxRequests = 0 },
		"max_writes":        func(c *storage.Config) { c.MaxWrites = 0 },
	} {
		c := storage.DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v", key, err)
		}
	}
}
