package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/broker/outbox"
	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/internal/event"
)

//go:generate go test -run ^TestServerConfig$ . -update

var update = flag.Bool("update", false, "write deploy/nats/nats-server.conf")

// example is the configuration of a NATS server of one's own.
const (
	example       = "../../deploy/nats/nats-server.conf"
	exampleShards = 4
)

// exampleConfig writes it.
func exampleConfig() []byte {
	var b bytes.Buffer
	list := func(name string, p *server.SubjectPermission) {
		if p == nil {
			return
		}
		var parts []string
		for _, half := range []struct {
			name     string
			subjects []string
		}{{"allow", p.Allow}, {"deny", p.Deny}} {
			if len(half.subjects) > 0 {
				parts = append(parts, fmt.Sprintf("%s: [\n          \"%s\"\n        ]", half.name, strings.Join(half.subjects, "\"\n          \"")))
			}
		}
		if len(parts) > 0 {
			fmt.Fprintf(&b, "        %s: {%s}\n", name, strings.Join(parts, ", "))
		}
	}
	user := func(name, password string, p *server.Permissions) {
		fmt.Fprintf(&b, "      {user: \"%s\", password: $%s", name, password)
		if p != nil {
			b.WriteString(", permissions: {\n")
			list("publish", p.Publish)
			list("subscribe", p.Subscribe)
			b.WriteString("      }")
		}
		b.WriteString("}\n")
	}
	b.WriteString(`# The configuration of a NATS server of your own (message-broker-service.nats.mode: external),
# for a journal of at most ` + strconv.Itoa(exampleShards) + ` shards. Where it keeps what it has, and the passwords, are in its environment.
# Written from actors/broker by ` + "`go generate ./actors/broker`" + `; do not edit.
server_name: marketprism
listen: "127.0.0.1:4222" # beyond loopback it needs a tls block
max_payload: 8MB
max_pending: 64MB
jetstream {
  store_dir: $NATS_STORE
  sync_interval: always # what is acknowledged is on the disk
}
accounts {
  PROGRAM {
    jetstream: enabled
    exports: [{stream: "md.>"}]
    users: [
`)
	user("marketprism", "NATS_PASSWORD", nil)
	for _, s := range broker.Services() {
		if p, _ := broker.Permissions(s, exampleShards); p != nil {
			user("marketprism."+string(s), variable(s), p)
		}
	}
	b.WriteString(`    ]
  }
  CLIENTS {
    jetstream: enabled
    imports: [{stream: {account: PROGRAM, subject: "md.>"}}]
    users: [
`)
	user("marketprism.clients", "NATS_PASSWORD", nil)
	for _, s := range broker.Services() {
		if _, p := broker.Permissions(s, exampleShards); p != nil {
			user("marketprism."+string(s)+".clients", variable(s), p)
		}
	}
	user("client", "NATS_CLIENT_PASSWORD", broker.ClientPermissions())
	b.WriteString("    ]\n  }\n}\n")
	return b.Bytes()
}

// variable holds the password of a service.
func variable(s broker.Service) string { return "NATS_" + strings.ToUpper(string(s)) + "_PASSWORD" }

// TestServerConfig: the published configuration has the rights that the embedded server
// gives.
func TestServerConfig(t *testing.T) {
	want := exampleConfig()
	if *update {
		if err := os.WriteFile(example, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("deploy/nats/nats-server.conf is out of date: run go generate ./actors/broker")
	}
}

// natsServer is a server in a process of its own, as one would install it.
type natsServer struct {
	t      *testing.T
	binary string
	data   string
	port   int
	cmd    *exec.Cmd
	log    bytes.Buffer
	ended  chan struct{}
}

// newNATSServer builds the server of the module that is embedded.
func newNATSServer(t *testing.T) *natsServer {
	t.Helper()
	s := &natsServer{t: t, data: t.TempDir(), port: -1}
	s.binary = filepath.Join(s.data, "nats-server")
	if out, err := exec.CommandContext(testContext(t), "go", "build", "-o", s.binary, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("building nats-server: %v\n%s", err, out)
	}
	s.start()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("nats-server says:\n%s", s.log.String())
		}
	})
	return s
}

func secret(name string) string { return "password-of-" + name }

// start starts it with the published configuration, and waits until it says where it
// listens.
func (s *natsServer) start() {
	s.t.Helper()
	ports := s.t.TempDir()
	s.cmd = exec.Command(s.binary, "-c", example, "-a", "127.0.0.1", "-p", strconv.Itoa(s.port), "--ports_file_dir", ports)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.Env = append(os.Environ(), "NATS_STORE="+filepath.Join(s.data, "store"), "NATS_PASSWORD="+secret("NATS_PASSWORD"), "NATS_CLIENT_PASSWORD="+secret("NATS_CLIENT_PASSWORD"))
	for _, service := range broker.Services() {
		s.cmd.Env = append(s.cmd.Env, variable(service)+"="+secret(variable(service)))
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}(s.cmd, s.ended)
	actorstest.Eventually(s.t, "the port of nats-server", func() bool {
		select {
		case <-s.ended:
			s.t.Fatalf("nats-server ended:\n%s", s.log.String())
		default:
		}
		text, err := os.ReadFile(filepath.Join(ports, fmt.Sprintf("nats-server_%d.ports", s.cmd.Process.Pid)))
		var found struct{ NATS []string }
		if err != nil || json.Unmarshal(text, &found) != nil || len(found.NATS) == 0 {
			return false
		}
		_, port, ok := strings.Cut(strings.TrimPrefix(found.NATS[0], "nats://"), ":")
		s.port, err = strconv.Atoi(port)
		return ok && err == nil
	})
}

// kill ends it as a power cut would.
func (s *natsServer) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

func (s *natsServer) config() broker.Config {
	c := testConfig(s.t)
	c.Mode, c.URL, c.StoreDir = broker.External, "nats://127.0.0.1:"+strconv.Itoa(s.port), ""
	c.Username, c.Password = "marketprism", secret("NATS_PASSWORD")
	c.ClientsUsername, c.ClientsPassword = "marketprism.clients", secret("NATS_PASSWORD")
	for _, service := range broker.Services() {
		u := broker.ServiceUser{Service: service}
		program, clients := broker.Permissions(service, exampleShards)
		if program != nil {
			u.Username, u.Password = "marketprism."+string(service), secret(variable(service))
		}
		if clients != nil {
			u.ClientsUsername, u.ClientsPassword = "marketprism."+string(service)+".clients", secret(variable(service))
		}
		c.Services = append(c.Services, u)
	}
	return c
}

// TestExternalServer: with a NATS server in a process of its own, configured as
// published, everything is as with the embedded one: rights, buckets, messages, tasks,
// dead letters, events; and it is found again when it was killed.
func TestExternalServer(t *testing.T) {
	s := newNATSServer(t)
	c := s.config()
	h, err := broker.New(c, broker.Options{Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	events, err := outbox.New(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	undertaker, err := deadletters.Spec(deadletters.Options{Broker: h})
	if err != nil {
		t.Fatal(err)
	}
	if err := newSystem(t).Start(testContext(t), h.Spec(events.Spec(), undertaker)); err != nil {
		t.Fatal(err)
	}
	checkRights(t, h, exampleShards-1)
	checkBuckets(t, h)
	w := openDesk(t, h)
	w.use(t)
	events.Publish(event.Source{Node: "n", Service: "message-broker-service"}.New(event.ServiceStarted, "", event.Service{}))
	_, js := connectClients(t, h)
	actorstest.Eventually(t, "an event", func() bool {
		stream, err := js.Stream(testContext(t), "SYSTEM_EVENTS")
		if err != nil {
			return false
		}
		_, err = stream.GetLastMsgForSubject(testContext(t), "system.message-broker-service.service.started")
		return err == nil
	})
	status, err := h.Status(testContext(t))
	if err != nil || !status.Available || status.Server.Name != "marketprism" || status.JetStream.Streams == 0 {
		t.Errorf("status %+v, %v", status, err)
	}
	l := publishUntilStopped(t, js, "market.load")
	l.flows(t)
	s.kill()
	actorstest.Eventually(t, "losing the server", func() bool { return errors.Is(h.Up(), broker.ErrNotRunning) })
	s.start()
	actorstest.Eventually(t, "finding it again", func() bool { return h.Up() == nil })
	l.flows(t)
	wantStored(t, js, "MARKET_DATA", l.end())
	w.use(t)
}

// desk is what stands on a broker.
type desk struct {
	desk    *messages.Desk
	letters *deadletters.Box
	tasks   *tasks.Queues
}

func openDesk(t *testing.T, h *broker.Handle) desk {
	t.Helper()
	ctx := testContext(t)
	letters, err := deadletters.OpenBox(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(letters.Close)
	d, err := messages.Open(ctx, messages.Options{Broker: h, Bury: letters.Bury})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	q, err := tasks.Open(ctx, tasks.Options{Config: tasks.DefaultConfig(), Broker: h, Seal: d.Seal(), Letters: letters})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return desk{d, letters, q}
}

// use does a bit of everything.
func (w desk) use(t *testing.T) {
	t.Helper()
	ctx := testContext(t)
	actorstest.Eventually(t, "publishing", func() bool {
		r, err := w.desk.Publish(ctx, messages.Message{Subject: "market.a", Data: []byte("x")})
		if err != nil && !errors.Is(err, broker.ErrNotRunning) {
			t.Fatal(err)
		}
		return err == nil && r.Stream == "MARKET_DATA"
	})
	f, err := w.desk.Follow(ctx, messages.Following{Subject: "market.a", From: messages.FromLast})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(ctx)
	if m, err := f.Next(ctx); err != nil || string(m.Data) != "x" {
		t.Errorf("followed %+v, %v", m, err)
	}
	w.work(ctx, t)
	if _, err := w.desk.CreateConsumer(ctx, "MARKET_DATA", messages.ConsumerConfig{Name: "desk", From: messages.FromLast, MaxDeliver: 2}); err != nil {
		t.Fatal(err)
	}
	got, err := w.desk.Fetch(ctx, "MARKET_DATA", "desk", 1, 0)
	if err != nil || len(got) != 1 {
		t.Fatalf("fetched %+v, %v", got, err)
	}
	if err := w.desk.Settle(ctx, got[0].Receipt, messages.Term, 0, "no use"); err != nil {
		t.Fatal(err)
	}
	letters, _, err := w.letters.List(ctx, deadletters.Filter{Consumer: "desk"}, 0, 10)
	if err != nil || len(letters) != 1 {
		t.Fatalf("letters %+v, %v", letters, err)
	}
	if _, err := w.letters.Replay(ctx, letters[0].ID); err != nil {
		t.Error(err)
	}
	if err := w.desk.DeleteConsumer(ctx, "MARKET_DATA", "desk"); err != nil {
		t.Error(err)
	}
}

// work submits a task and does it.
func (w desk) work(ctx context.Context, t *testing.T) {
	t.Helper()
	task, _, err := w.tasks.Submit(ctx, tasks.Submission{Queue: "q"})
	for err != nil && errors.Is(err, broker.ErrNotRunning) && ctx.Err() == nil {
		task, _, err = w.tasks.Submit(ctx, tasks.Submission{Queue: "q"}) // its connections come back one by one
	}
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := w.tasks.Claim(ctx, "q", "w", 1, testPatience)
	if err != nil || len(claimed) != 1 || claimed[0].ID != task.ID {
		t.Fatalf("claimed %+v, %v", claimed, err)
	}
	if done, err := w.tasks.Complete(ctx, task.ID, claimed[0].Token, nil); err != nil || done.State != tasks.Succeeded {
		t.Errorf("done: %+v, %v", done, err)
	}
}
