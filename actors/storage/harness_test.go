package storage_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/embedded"
	wal "github.com/marketprism/marketprism/persistence/journal"
	"github.com/marketprism/marketprism/persistence/part"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// settings of a node; its directories outlive it.
type settings struct {
	broker    broker.Config
	journal   wal.Config
	engine    embedded.Config
	storage   storage.Config
	engineDir string
	// wrap puts something between the branch and the engine.
	wrap     func(e persistence.Engine) persistence.Engine
	recorder persistence.Recorder // instead of the real one
	reader   string               // its name; "" is "test"
	beside   *node                // whose broker it uses; nil: its own
	peers    storage.Peers
	owner    func(reader string) (string, bool)
	names    *part.Names // of the engine; nil: its own
}

func defaults(t testing.TB) *settings {
	s := &settings{
		broker: broker.DefaultConfig(), journal: wal.DefaultConfig(), engine: embedded.DefaultConfig(),
		storage: storage.DefaultConfig(), engineDir: t.TempDir(),
	}
	s.broker.Port, s.broker.StoreDir = 0, t.TempDir()
	s.broker.ProbeInterval, s.broker.RestartFreeBytes = 20*time.Millisecond, 0
	s.journal.MaxBytes = 256 << 20
	s.journal.PublishTimeout = 500 * time.Millisecond
	s.journal.RegisterInterval, s.journal.PurgeInterval = 0, time.Second
	s.storage.SealInterval = 5 * time.Millisecond
	s.storage.PublishRetry = 50 * time.Millisecond
	return s
}

// node is a broker, recorders and a store in one tree, all real.
type node struct {
	testing.TB
	broker *broker.Handle
	h      *storage.Handle
	rec    persistence.Recorder
	open   func(ctx context.Context) (*wal.Journal, error)
	engine *embedded.Engine
	sys    *supervise.System
	cut    atomic.Bool // close the connection behind the next batch
	ended  sync.Once
	close  func()
}

func start(t testing.TB, s *settings) *node {
	t.Helper()
	n := &node{TB: t}
	var err error
	if s.beside != nil {
		n.broker = s.beside.broker
	} else if n.broker, err = broker.New(s.broker, broker.Options{}); err != nil {
		t.Fatal(err)
	}
	opener := journal.NewOpener(func(ctx context.Context) (*nats.Conn, error) {
		return n.broker.Connect(ctx, "journal", nats.InProcessServer(n), nats.ReconnectWait(5*time.Millisecond))
	}, s.journal, nil)
	n.open = opener.Journal
	recorders, err := journal.New(journal.Options{Config: journal.DefaultConfig(), Shards: s.journal.Shards, Open: opener.Journal})
	if err != nil {
		t.Fatal(err)
	}
	n.rec = recorders.Recorder(0)
	if s.recorder != nil {
		n.rec = s.recorder
	}
	if n.engine, err = embedded.Open(s.engineDir, s.engine, embedded.Surroundings{Names: s.names}); err != nil {
		t.Fatal(err)
	}
	engine := persistence.Engine(n.engine)
	if s.wrap != nil {
		engine = s.wrap(engine)
	}
	n.h, err = storage.New(storage.Options{
		Config: s.storage, Engine: engine, Journal: opener.Journal, Shards: s.journal.Shards,
		Dir: s.engineDir, ReaderID: cmp.Or(s.reader, "test"), FullCopy: true, Peers: s.peers, Owner: s.owner, Recorder: n.rec, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if n.sys, err = supervise.NewSystem(t.Context(), supervise.Options{}); err != nil {
		t.Fatal(err)
	}
	n.close = opener.Close
	t.Cleanup(n.stop)
	specs := []supervise.Spec{n.broker.Spec(), recorders.Spec(), n.h.Spec()}
	if s.beside != nil {
		specs = specs[1:]
	}
	if err := n.sys.Start(testContext(t), specs...); err != nil {
		t.Fatal(err)
	}
	return n
}

// stop stops the tree in order and closes the store.
func (n *node) stop() {
	n.Helper()
	n.ended.Do(func() {
		if err := n.sys.Stop(testContext(n.TB)); err != nil {
			n.Errorf("stopping: %v", err)
		}
		n.close()
		if err := n.engine.Close(); err != nil {
			n.Errorf("closing the store: %v", err)
		}
	})
}

// InProcessConn implements nats.InProcessConnProvider.
func (n *node) InProcessConn() (net.Conn, error) {
	c, err := n.broker.InProcessConn()
	return &cuttable{Conn: c, node: n}, err
}

// cuttable closes itself once it has sent a batch, before the answer, when told.
type cuttable struct {
	net.Conn
	node *node
}

func (c *cuttable) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if bytes.Contains(b, []byte(wal.Subject(0))) && c.node.cut.CompareAndSwap(true, false) {
		c.Conn.Close()
	}
	return n, err
}

func (n *node) eventually(what string, ok func() bool) {
	n.Helper()
	actorstest.Eventually(n, what, ok)
}

func (n *node) status() storage.Status {
	n.Helper()
	s, err := n.h.Status(testContext(n.TB))
	if err != nil {
		n.Fatal(err)
	}
	return s
}

var instrument = &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

// trades are n external trades, ids from first on, a millisecond apart.
func trades(first, n int) *market.Batch {
	b := &market.Batch{}
	for i := range n {
		tr := market.Add[market.Trade](b)
		tr.Instrument = instrument
		tr.Origin = market.External
		tr.ExchangeTime = 1_700_000_000_000_000_000 + int64(first+i)*1_000_000
		tr.ReceiveTime = tr.ExchangeTime
		tr.ID = market.NumID(int64(first + i))
		tr.Price = market.NewDecimal(int64(6_000_000+i), 2)
		tr.Amount = market.NewDecimal(1, 3)
		market.Stamp(tr)
	}
	return b
}

func (n *node) write(b *market.Batch) storage.Written {
	n.Helper()
	w, err := n.h.Write(testContext(n.TB), b)
	if err != nil {
		n.Fatal(err)
	}
	return w
}

// ids reads all trades back through the router, and counts each id.
func (n *node) ids() map[int64]int {
	n.Helper()
	ctx := testContext(n.TB)
	rows, err := n.h.Query(ctx, persistence.Query{Kind: market.KindTrade})
	if err != nil {
		n.Fatal(err)
	}
	defer rows.Close()
	out := make(map[int64]int)
	var b market.Batch
	for {
		b.Reset()
		_, err := rows.Next(ctx, &b)
		for tr := range market.Rows[market.Trade](&b) {
			id, _ := tr.ID.Num()
			out[id]++
		}
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			n.Fatal(err)
		}
	}
}

func (n *node) wantIDs(count int) {
	n.Helper()
	got := n.ids()
	for id := range int64(count) {
		if got[id] != 1 {
			n.Fatalf("trade %d is read %d times; %d are read, want %d", id, got[id], len(got), count)
		}
	}
	if len(got) != count {
		n.Fatalf("%d trades are read, want %d", len(got), count)
	}
}

// engineHook is an engine whose steps a test watches or spoils.
type engineHook struct {
	persistence.Engine
	onApply   func(seq uint64)
	applied   func(seq uint64)                // without error
	onPublish func(ctx context.Context) error // before a commit
	onWrite   func(ctx context.Context, kind market.Kind) error
	onWritten func(kind market.Kind) // without error
	onQuery   func(ctx context.Context)
}

func (e *engineHook) Apply(shard int, seq uint64, b *market.Batch) error {
	if e.onApply != nil {
		e.onApply(seq)
	}
	err := e.Engine.Apply(shard, seq, b)
	if err == nil && e.applied != nil {
		e.applied(seq)
	}
	return err
}

func (e *engineHook) Commit(ctx context.Context, shard int) error {
	if e.onPublish != nil {
		if err := e.onPublish(ctx); err != nil {
			return err
		}
	}
	return e.Engine.Commit(ctx, shard)
}

func (e *engineHook) Write(ctx context.Context, shard int, kind market.Kind) error {
	if e.onWrite != nil {
		if err := e.onWrite(ctx, kind); err != nil {
			return err
		}
	}
	err := e.Engine.Write(ctx, shard, kind)
	if err == nil && e.onWritten != nil {
		e.onWritten(kind)
	}
	return err
}

func (e *engineHook) Query(ctx context.Context, q persistence.Query) (persistence.Rows, error) {
	if e.onQuery != nil {
		e.onQuery(ctx)
	}
	return e.Engine.Query(ctx, q)
}

func hook(h *engineHook) func(persistence.Engine) persistence.Engine {
	return func(e persistence.Engine) persistence.Engine {
		h.Engine = e
		return h
	}
}

// load records entries of ten trades until it is ended, and keeps how many were
// acknowledged. What is refused is recorded again.
type load struct {
	n    *node
	stop chan struct{}
	wg   sync.WaitGroup
	next atomic.Int64
}

func (n *node) load() *load {
	l := &load{n: n, stop: make(chan struct{})}
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			if l.record(int(l.next.Load())) {
				l.next.Add(10)
			}
		}
	}()
	return l
}

// record stores one entry and says whether it was acknowledged. An entry in doubt
// is recorded again: its keys are the same.
func (l *load) record(first int) bool {
	done := make(chan persistence.Outcome, 1)
	e := &persistence.Entry{Batch: *trades(first, 10), Done: func(_ *persistence.Entry, o persistence.Outcome) { done <- o }}
	if err := l.n.rec.Record(e); err != nil {
		return false
	}
	return (<-done).Err == nil
}

// end returns how many trades were acknowledged: all ids below it.
func (l *load) end() int {
	close(l.stop)
	l.wg.Wait()
	return int(l.next.Load())
}
