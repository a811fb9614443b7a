package journal_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

// natsServer is a real server that the test stops and starts at will, and whose
// next acknowledgement it can lose.
type natsServer struct {
	t   testing.TB
	dir string
	cut atomic.Bool // close the connection behind the next batch

	mu  sync.Mutex
	srv *server.Server
}

func startServer(t testing.TB) *natsServer {
	s := &natsServer{t: t, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *natsServer) start() {
	s.t.Helper()
	srv, err := server.NewServer(&server.Options{
		ServerName: "test", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: s.dir, SyncAlways: true,
		JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 64 << 20, MaxPayload: wal.MaxMessage,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		s.t.Fatal("the server did not start")
	}
	s.mu.Lock()
	s.srv = srv
	s.mu.Unlock()
}

func (s *natsServer) stop() {
	s.mu.Lock()
	srv := s.srv
	s.srv = nil
	s.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *natsServer) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil, errors.New("the server is stopped")
	}
	c, err := s.srv.InProcessConn()
	return &cuttable{Conn: c, server: s}, err
}

// cuttable closes itself once it has sent a batch, before the answer.
type cuttable struct {
	net.Conn
	server *natsServer
}

func (c *cuttable) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if bytes.Contains(b, []byte(wal.Subject(0))) && c.server.cut.CompareAndSwap(true, false) {
		c.Conn.Close()
	}
	return n, err
}

func (s *natsServer) connect(ctx context.Context) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(s), nats.MaxReconnects(-1),
		nats.ReconnectWait(5*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // the outcomes tell
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// fixture is a tree with recorders over a real server.
type fixture struct {
	*testing.T
	server *natsServer
	sys    *supervise.System
	h      *journal.Handle
	opener *journal.Opener
}

type settings struct {
	journal  wal.Config
	recorder journal.Config
	guard    wal.DiskGuard
	verify   func(ctx context.Context, j *wal.Journal, shard int) error
}

func defaults() *settings {
	s := &settings{journal: wal.DefaultConfig(), recorder: journal.DefaultConfig()}
	s.journal.MaxBytes = 256 << 20
	s.journal.PublishTimeout = 500 * time.Millisecond
	s.recorder.ProbeInterval = 20 * time.Millisecond
	return s
}

func run(t *testing.T, s *settings) *fixture {
	t.Helper()
	f := &fixture{T: t, server: startServer(t)}
	f.opener = journal.NewOpener(f.server.connect, s.journal, nil)
	t.Cleanup(f.opener.Close)
	var err error
	f.h, err = journal.New(journal.Options{
		Config: s.recorder, Shards: s.journal.Shards, Open: f.opener.Journal, Guard: s.guard, Verify: s.verify,
		Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.sys, err = supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	if err := f.sys.Start(testContext(t), f.h.Spec()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) stop() {
	f.Helper()
	if err := f.sys.Stop(testContext(f.T)); err != nil {
		f.Errorf("stopping: %v", err)
	}
}

func (f *fixture) status() journal.Status {
	f.Helper()
	all, err := f.h.Status(testContext(f.T))
	if err != nil {
		f.Fatal(err)
	}
	return all[0]
}

// noCreditLeft checks that all credit came back.
func (f *fixture) wantCreditBack() {
	f.Helper()
	if st := f.status(); st.Bytes != 0 || st.Entries != 0 {
		f.Errorf("%d entries, %d bytes are still on their way", st.Entries, st.Bytes)
	}
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	actorstest.Eventually(f, what, ok)
}

var instrument = &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

// trades makes an entry of n trades, ids from first on.
func trades(first, n int) *persistence.Entry {
	e := &persistence.Entry{}
	for i := range n {
		tr := market.Add[market.Trade](&e.Batch)
		tr.Instrument = instrument
		tr.ExchangeTime = int64(1_700_000_000_000_000_000 + first + i)
		tr.ID = market.NumID(int64(first + i))
		tr.Price = market.NewDecimal(int64(6_000_000+i), 2)
		tr.Amount = market.NewDecimal(1, 3)
		market.Stamp(tr)
	}
	return e
}

// watcher collects outcomes.
type watcher struct {
	t    *testing.T
	mu   sync.Mutex
	got  map[*persistence.Entry]persistence.Outcome
	more chan struct{} // has a token after each outcome
}

func watch(t *testing.T) *watcher {
	return &watcher{t: t, got: make(map[*persistence.Entry]persistence.Outcome), more: make(chan struct{}, 1)}
}

func (w *watcher) done(e *persistence.Entry, o persistence.Outcome) {
	w.mu.Lock()
	if _, twice := w.got[e]; twice {
		w.t.Errorf("Done was called twice for an entry: %v", o.Err)
	}
	w.got[e] = o
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// record hands an entry over, and fails the test if it is not taken.
func (w *watcher) record(r persistence.Recorder, e *persistence.Entry) *persistence.Entry {
	w.t.Helper()
	e.Done = w.done
	if err := r.Record(e); err != nil {
		w.t.Fatalf("Record: %v", err)
	}
	return e
}

// wait waits for an entry's outcome.
func (w *watcher) wait(e *persistence.Entry) persistence.Outcome {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		w.mu.Lock()
		o, ok := w.got[e]
		w.mu.Unlock()
		if ok {
			return o
		}
		select {
		case <-w.more:
		case <-deadline:
			w.t.Fatal("no outcome within 30 s")
		}
	}
}

func (w *watcher) want(e *persistence.Entry, sentinel error) persistence.Outcome {
	w.t.Helper()
	o := w.wait(e)
	if sentinel == nil && o.Err != nil || !errors.Is(o.Err, sentinel) {
		w.t.Fatalf("outcome is %v, want %v", o.Err, sentinel)
	}
	return o
}

// stored reads the journal from its beginning to its end, and returns how often
// each trade id is there and which message holds it last.
func (f *fixture) stored() (ids map[int64]int, at map[int64]uint64, repeats uint64) {
	f.Helper()
	ctx := testContext(f.T)
	nc, err := f.server.connect(ctx)
	if err != nil {
		f.Fatal(err)
	}
	defer nc.Close()
	own, err := f.opener.Journal(ctx)
	if err != nil {
		f.Fatal(err)
	}
	st, err := own.State(ctx, 0)
	if err != nil {
		f.Fatal(err)
	}
	from, err := own.Start(ctx, 0)
	if err != nil {
		f.Fatal(err)
	}
	r, err := own.NewReader(from, wal.ReaderOptions{})
	if err != nil {
		f.Fatal(err)
	}
	defer r.Close(ctx)
	ids, at = make(map[int64]int), make(map[int64]uint64)
	decoder := wal.NewDecoder()
	for r.Seq() < st.Last {
		// A repeat at the end brings no message: do not wait for one.
		one, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		m, err := r.Next(one)
		cancel()
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) && r.Seq() == st.Last {
				break
			}
			f.Fatal(err)
		}
		var b market.Batch
		if _, err := decoder.Decode(m.Payload, &b); err != nil {
			f.Fatal(err)
		}
		for tr := range market.Rows[market.Trade](&b) {
			id, _ := tr.ID.Num()
			ids[id]++
			at[id] = m.Seq
		}
	}
	return ids, at, r.Repeats()
}
