package journal

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// broker is a real nats-server in this process, which can be stopped and
// started over the same, or another, directory.
type broker struct {
	t   testing.TB
	dir string

	mu  sync.Mutex
	srv *server.Server
}

func startBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{t: t, dir: t.TempDir()}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.t.Helper()
	srv, err := server.NewServer(&server.Options{
		ServerName: "test", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: b.dir, SyncAlways: true,
		JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 64 << 20, MaxPayload: MaxMessage,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		b.t.Fatal("the broker did not start")
	}
	b.mu.Lock()
	b.srv = srv
	b.mu.Unlock()
}

func (b *broker) stop() {
	b.mu.Lock()
	srv := b.srv
	b.srv = nil
	b.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// copyStore copies the store as it is on disk now, the server running or not.
func (b *broker) copyStore() string {
	b.t.Helper()
	dir := b.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		b.t.Fatal(err)
	}
	return dir
}

// InProcessConn implements nats.InProcessConnProvider over whichever server runs.
func (b *broker) InProcessConn() (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.srv == nil {
		return nil, errors.New("the broker is stopped")
	}
	return b.srv.InProcessConn()
}

func (b *broker) connect() *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(b), nats.MaxReconnects(-1),
		nats.ReconnectWait(5*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

func testConfig() Config {
	c := DefaultConfig()
	c.MaxBytes = 128 << 20
	c.PublishTimeout = time.Second
	c.RegisterInterval = 0
	return c
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// openJournal opens it over a connection of its own.
func (b *broker) openJournal(cfg Config) *Journal {
	b.t.Helper()
	j, err := Open(testContext(b.t), b.connect(), cfg, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func newRecorder(t testing.TB, j *Journal) *Recorder {
	t.Helper()
	r, err := j.NewRecorder(0, DiskGuard{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// record seals and delivers one payload.
func record(t testing.TB, r *Recorder, payload []byte) Ack {
	t.Helper()
	if _, err := r.Seal(payload, 1); err != nil {
		t.Fatal(err)
	}
	ack, err := r.Deliver(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return ack
}
