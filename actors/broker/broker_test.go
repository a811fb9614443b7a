package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
)

func testConfig(t *testing.T) broker.Config {
	c := broker.DefaultConfig()
	c.Port = 0
	c.StoreDir = t.TempDir()
	c.ProbeInterval = 20 * time.Millisecond
	c.RestartFreeBytes = 0
	return c
}

// testPatience bounds whatever a test waits for.
const testPatience = time.Minute

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	t.Cleanup(cancel)
	return ctx
}

// start runs a broker in a tree of its own.
func start(t *testing.T, c broker.Config) (*broker.Handle, *supervise.System) {
	t.Helper()
	h, err := broker.New(c, broker.Options{Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	sys := newSystem(t)
	if err := sys.Start(testContext(t), h.Spec()); err != nil {
		t.Fatal(err)
	}
	return h, sys
}

func newSystem(t *testing.T) *supervise.System {
	t.Helper()
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(testContext(t)); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return sys
}

func connect(t *testing.T, h *broker.Handle) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	return connected(t, h.Connect)
}

// connectClients is connect in the account of the clients.
func connectClients(t *testing.T, h *broker.Handle) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	return connected(t, h.ConnectClients)
}

func connected(t *testing.T, connect func(context.Context, string, ...nats.Option) (*nats.Conn, error)) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := connect(testContext(t), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// checkConfig changes the default settings and wants an error with a text; "" for none.
func checkConfig(t *testing.T, change func(*broker.Config), want string) {
	t.Helper()
	c := broker.DefaultConfig()
	change(&c)
	err := c.Validate()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want one with %q", err, want)
	}
}

// load publishes numbered messages until stopped and keeps the acknowledged ones.
type load struct {
	acked  []string
	count  atomic.Int64 // of acked
	failed atomic.Int64
	stop   chan struct{}
	wg     sync.WaitGroup
}

func publishUntilStopped(t *testing.T, js jetstream.JetStream, subject string) *load {
	l := &load{stop: make(chan struct{})}
	ctx := testContext(t)
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		for n := 0; ; n++ {
			select {
			case <-l.stop:
				return
			default:
			}
			one, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			body := fmt.Sprint(n)
			if _, err := js.Publish(one, subject, []byte(body), jetstream.WithRetryAttempts(0)); err != nil {
				l.failed.Add(1)
			} else {
				l.acked = append(l.acked, body)
				l.count.Add(1)
			}
			cancel()
		}
	}()
	return l
}

// flows waits until one more message was acknowledged.
func (l *load) flows(t *testing.T) {
	t.Helper()
	before := l.count.Load()
	actorstest.Eventually(t, "an acknowledgement", func() bool { return l.count.Load() > before })
}

func (l *load) end() []string {
	close(l.stop)
	l.wg.Wait()
	return l.acked
}

// wantStored checks that a stream holds all of bodies, and returns how many it holds.
func wantStored(t *testing.T, js jetstream.JetStream, stream string, bodies []string) {
	t.Helper()
	ctx := testContext(t)
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	info := s.CachedInfo().State
	stored := make(map[string]bool, info.Msgs)
	for seq := info.FirstSeq; seq <= info.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			t.Fatalf("message %d: %v", seq, err)
		}
		stored[string(m.Data)] = true
	}
	for _, b := range bodies {
		if !stored[b] {
			t.Fatalf("message %s was acknowledged and is not stored (%d acknowledged, %d stored)", b, len(bodies), len(stored))
		}
	}
}

func TestServerThatSwitchesJetStreamOffIsRestartedUnderLoad(t *testing.T) {
	h, _ := start(t, testConfig(t))
	_, js := connectClients(t, h)
	l := publishUntilStopped(t, js, "system.load")
	for round := range 3 {
		l.flows(t)
		first := h.Running()
		if err := first.ShutdownJetStream(); err != nil { // what it does itself when the disk is full
			t.Fatal(err)
		}
		actorstest.Eventually(t, fmt.Sprint("restart ", round), func() bool {
			now := h.Running()
			return now != nil && now != first && h.Up() == nil
		})
	}
	// The same connection reaches the new server.
	actorstest.Eventually(t, "publishing again", func() bool {
		_, err := js.Publish(testContext(t), "system.after", []byte("after"))
		return err == nil
	})
	acked := l.end()
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	t.Logf("%d acknowledged, %d failed over 3 restarts", len(acked), l.failed.Load())
	wantStored(t, js, "SYSTEM_EVENTS", acked)
}

func TestRestartOfTheActorKeepsConnectionsAndData(t *testing.T) {
	h, sys := start(t, testConfig(t))
	_, js := connectClients(t, h)
	l := publishUntilStopped(t, js, "market.load")
	for range 2 {
		l.flows(t)
		if err := sys.RestartChild(testContext(t), "root/broker", "server"); err != nil {
			t.Fatal(err)
		}
	}
	actorstest.Eventually(t, "publishing again", func() bool {
		_, err := js.Publish(testContext(t), "system.after", []byte("after"))
		return err == nil
	})
	wantStored(t, js, "MARKET_DATA", l.end())
}

func TestDefaultStreams(t *testing.T) {
	c := testConfig(t)
	h, sys := start(t, c)
	ctx := testContext(t)
	streams, err := h.Streams(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, s := range streams {
		got[s.Name] = strings.Join(s.Subjects, " ") + " " + s.Retention
		if s.Internal {
			t.Errorf("%s is said to be internal", s.Name)
		}
	}
	want := map[string]string{
		"MARKET_DATA": "market.> limits", "SYSTEM_EVENTS": "system.> limits", "SERVICE_LOGS": "service.> limits",
		"TASKS": "tasks.> workqueue", "DLQ": "dlq.> limits",
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: got %q, want %q", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d streams, want %d: %v", len(got), len(want), got)
	}
	if err := sys.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	// Another size is taken over, another retention is left alone, data stays.
	c.Streams[0].MaxBytes = 2 << 20
	c.Streams[1].Retention = "interest"
	h, _ = start(t, c)
	streams, err = h.Streams(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		if s.Name == "MARKET_DATA" && s.MaxBytes != 2<<20 {
			t.Errorf("MARKET_DATA has max_bytes %d, want %d", s.MaxBytes, 2<<20)
		}
		if s.Name == "SYSTEM_EVENTS" && s.Retention != "limits" {
			t.Errorf("SYSTEM_EVENTS has retention %s, want limits", s.Retention)
		}
	}
}

func TestStatus(t *testing.T) {
	c := testConfig(t)
	c.Port = -1
	h, _ := start(t, c)
	nc, js := connectClients(t, h)
	if _, err := js.Publish(testContext(t), "market.x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s, err := h.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case !s.Available || s.Reason != "":
		t.Errorf("available %v, reason %q", s.Available, s.Reason)
	case s.Server.Name != "marketprism" || s.Server.ID != nc.ConnectedServerId() || s.Server.Version == "":
		t.Errorf("server is %+v", s.Server)
	case s.Server.Port == 0 || s.Server.URL != h.ClientURL() || s.Server.Host != "127.0.0.1":
		t.Errorf("server listens on %s:%d, %s, want %s", s.Server.Host, s.Server.Port, s.Server.URL, h.ClientURL())
	case s.Messages.Published == 0 || s.Messages.Consumed == 0 || s.Messages.Since.IsZero():
		t.Errorf("messages are %+v", s.Messages)
	case s.JetStream.Streams != 5 || len(s.Streams) != 5 || s.JetStream.MaxStore != c.MaxFileStore:
		t.Errorf("JetStream is %+v with %d streams", s.JetStream, len(s.Streams))
	}
	out, err := nats.Connect(h.ClientURL()) // another process's way in
	if err != nil {
		t.Fatal(err)
	}
	out.Close()
}

func TestExternal(t *testing.T) {
	c := testConfig(t)
	c.Port = -1
	c.Username, c.Password = "node", "of-a-test"
	server, servers := start(t, c)
	client := c.ElsewhereAt(server.ClientURL())
	client.Streams = client.Streams[:1]
	client.Streams[0].Name, client.Streams[0].Subjects = "OTHER", []string{"other.>"}
	h, _ := start(t, client)
	_, js := connectClients(t, h)
	if _, err := js.Publish(testContext(t), "other.x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s, err := h.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Available || s.Server.Name != "marketprism" || len(s.Streams) != 6 {
		t.Errorf("status is %+v", s)
	}
	if err := servers.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "losing the server", func() bool { return errors.Is(h.Up(), broker.ErrNotRunning) })
}

// Whoever connects without credentials publishes what clients may, and can touch
// neither the journal nor the live plane nor streams.
func TestStrangers(t *testing.T) {
	c := testConfig(t)
	c.Port = -1
	h, _ := start(t, c)
	refused := make(chan error, 16)
	nc, err := nats.Connect(h.ClientURL(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if ack, err := js.Publish(testContext(t), "market.x", []byte("x")); err != nil || ack.Stream != "MARKET_DATA" {
		t.Errorf("publishing: %v, %v", ack, err)
	}
	live, err := nc.SubscribeSync("md.v1.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	own, _ := connect(t, h)
	if err := own.Publish("md.v1.trade.x.spot.X", []byte("tick")); err != nil {
		t.Fatal(err)
	}
	if m, err := live.NextMsg(10 * time.Second); err != nil || string(m.Data) != "tick" {
		t.Errorf("the live plane: %v, %v", m, err)
	}
	for _, subject := range []string{
		"journal.0.batch", "md.v1.trade.x.spot.X", "$KV.users.root",
		"$JS.API.STREAM.DELETE.MARKET_DATA", "$JS.API.STREAM.PURGE.MARKET_DATA", "$JS.API.STREAM.CREATE.MINE",
	} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", subject, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s was not refused", subject)
		}
	}
	for name, shown := range map[string]nats.Option{
		"a guessed password": nats.UserInfo("marketprism", "guess"),
		"no password":        nats.UserInfo("marketprism", ""),
		"the client's name":  nats.UserInfo("client", ""),
		"a token":            nats.Token("guess"),
	} {
		if _, err := nats.Connect(h.ClientURL(), shown); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A start that meets nothing leaves nothing in the log that asks for attention.
func TestQuietStart(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	h, err := broker.New(testConfig(t), broker.Options{Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	if err := newSystem(t).Start(testContext(t), h.Spec()); err != nil {
		t.Fatal(err)
	}
	connect(t, h)
	for _, entry := range logged.All() {
		t.Errorf("logged: %s %s %v", entry.Level, entry.Message, entry.ContextMap())
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	c.Port = l.Addr().(*net.TCPAddr).Port
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sys := newSystem(t)
	done := make(chan error, 1)
	go func() { done <- sys.Start(testContext(t), h.Spec()) }()
	actorstest.Eventually(t, "a failed start", func() bool { return strings.Contains(h.Up().Error(), "address already in use") })
	l.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk fills a small file system of its own, which needs the right to
// mount one.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("a file system of its own: %v", err)
	}
	root, err := os.Open(dir)
	if err := errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() }) // with which it is gone, as with the process
	dir = fmt.Sprint("/proc/self/fd/", root.Fd())
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 30<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	c.StoreDir = filepath.Join(dir, "store")
	c.RestartFreeBytes = 16 << 20
	h, _ := start(t, c)
	_, js := connectClients(t, h)
	var acked []string
	first := h.Running()
	pad := strings.Repeat("x", 512<<10)
	for n := 0; h.Up() == nil && n < 200; n++ {
		ctx, cancel := context.WithTimeout(testContext(t), 200*time.Millisecond)
		body := fmt.Sprint(n, " ", pad)
		if _, err := js.Publish(ctx, "market.full", []byte(body), jetstream.WithRetryAttempts(0)); err == nil {
			acked = append(acked, body)
		}
		cancel()
	}
	actorstest.Eventually(t, "the end of the server", func() bool { return h.Up() != nil && h.Running() == nil })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "the restart", func() bool { return h.Up() == nil && h.Running() != first })
	actorstest.Eventually(t, "publishing again", func() bool {
		_, err := js.Publish(testContext(t), "market.full", []byte("after"))
		return err == nil
	})
	t.Logf("%d messages of 512 KiB were acknowledged", len(acked))
	wantStored(t, js, "MARKET_DATA", acked)
}

func TestStopIsComplete(t *testing.T) {
	c := testConfig(t)
	h, sys := start(t, c)
	if err := sys.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if h.Running() != nil {
		t.Error("a server is left")
	}
	if _, err := h.InProcessConn(); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("InProcessConn: %v, want ErrNotRunning", err)
	}
	if _, err := h.Status(testContext(t)); !errors.Is(err, supervise.ErrStopped) {
		t.Errorf("Status: %v, want ErrStopped", err)
	}
	start(t, c) // the directory is free
}

func TestConfig(t *testing.T) {
	cases := map[string]struct {
		change func(c *broker.Config)
		want   string
	}{
		"default":  {func(*broker.Config) {}, ""},
		"mode":     {func(c *broker.Config) { c.Mode = "cloud" }, "mode: "},
		"external": {func(c *broker.Config) { c.Mode = broker.External }, "url: "},
		"user in a URL": {func(c *broker.Config) {
			c.Mode, c.URL = broker.External, "nats://127.0.0.1:4222, nats://me:word@127.0.0.1:4223"
		}, "url: "},
		"port":            {func(c *broker.Config) { c.Port = 70000 }, "port: "},
		"payload":         {func(c *broker.Config) { c.MaxPayload = 1 << 20 }, "max_payload: "},
		"name":            {func(c *broker.Config) { c.ServerName = "a b" }, "server_name: "},
		"too much":        {func(c *broker.Config) { c.Streams[0].MaxBytes = 1 << 40 }, "max_file_store: "},
		"journal subject": {func(c *broker.Config) { c.Streams[0].Subjects = []string{"journal.>"} }, "streams[0]: subjects: "},
		"live subject":    {func(c *broker.Config) { c.Streams[0].Subjects = []string{"md.v1.>"} }, "streams[0]: subjects: "},
		"everything":      {func(c *broker.Config) { c.Streams[0].Subjects = []string{">"} }, "streams[0]: subjects: "},
		"wildcard":        {func(c *broker.Config) { c.Streams[0].Subjects = []string{"*.0.batch"} }, "streams[0]: subjects: "},
		"journal name":    {func(c *broker.Config) { c.Streams[0].Name = "JOURNAL_9" }, "streams[0]: name: "},
		"twice":           {func(c *broker.Config) { c.Streams[1].Name = c.Streams[0].Name }, "streams[1]: "},
		"retention":       {func(c *broker.Config) { c.Streams[0].Retention = "never" }, "streams[0]: retention: "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			checkConfig(t, tc.change, tc.want)
		})
	}
}
