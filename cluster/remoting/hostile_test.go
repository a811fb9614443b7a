package remoting_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/cluster/wire"
	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/certs/certstest"
)

const (
	refusals = "mp_remoting_refused_total"
	outcome  = "outcome"
)

// stranger speaks the library's protocol to a node, badly.
type stranger struct {
	t      *testing.T
	conn   *grpc.ClientConn
	stream remote.Remoting_ReceiveClient
}

func visit(t *testing.T, n *node, options ...grpc.CallOption) *stranger {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+n.address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s, err := remote.NewRemotingClient(conn).Receive(within(t, time.Minute), options...)
	if err != nil {
		t.Fatal(err)
	}
	return &stranger{t, conn, s}
}

const here = "127.0.0.1:1"

func connect() *remote.RemoteMessage {
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{SystemId: "x", Address: here}},
	}}}
}

// batch is one message from one sender to one target, as it should be, but for a change.
func batch(change func(*remote.MessageBatch)) *remote.RemoteMessage {
	data, err := proto.Marshal(&wire.Call{Question: &wire.Call_Node{Node: &wire.NodeQuestion{}}})
	if err != nil {
		panic(err)
	}
	b := &remote.MessageBatch{
		TypeNames: []string{"marketprism.control.v1.Call"},
		Targets:   []*actor.PID{{Address: "there", Id: "root/node"}},
		Senders:   []*actor.PID{{Address: here, Id: "ask$1"}},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data, Sender: 1}},
	}
	change(b)
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}}
}

// ended waits for the end of the stream.
func (s *stranger) ended() {
	s.t.Helper()
	for {
		if _, err := s.stream.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				s.t.Error("the stream ended as if all was well")
			}
			return
		}
	}
}

// Whatever a peer sends, it ends its own connection, is counted, and nothing else.
func TestMessagesThatAreRefused(t *testing.T) {
	n := start(t, newWorld(), "a")
	first := func(m *remote.MessageBatch) *remote.MessageEnvelope { return m.Envelopes[0] }
	for _, c := range []struct {
		name, reason string
		before       []*remote.RemoteMessage
		change       func(*remote.MessageBatch)
	}{
		{"no such type index", "malformed", nil, func(b *remote.MessageBatch) { first(b).TypeId = 7 }},
		{"a negative type index", "malformed", nil, func(b *remote.MessageBatch) { first(b).TypeId = -1 }},
		{"no such target index", "malformed", nil, func(b *remote.MessageBatch) { first(b).Target = 1 }},
		{"a negative target index", "malformed", nil, func(b *remote.MessageBatch) { first(b).Target = -1 << 31 }},
		{"no such sender index", "malformed", nil, func(b *remote.MessageBatch) { first(b).Sender = 2 }},
		{"a negative sender index", "malformed", nil, func(b *remote.MessageBatch) { first(b).Sender = -1 << 31 }},
		{"a message that is none", "malformed", nil, func(b *remote.MessageBatch) { first(b).MessageData = []byte{0xff, 0xff} }},
		{"a type that nobody knows", "forbidden", nil, func(b *remote.MessageBatch) { b.TypeNames[0] = "nothing.Known" }},
		{"a stop", "forbidden", nil, func(b *remote.MessageBatch) { b.TypeNames[0] = "actor.Stop" }},
		{"a watch", "forbidden", nil, func(b *remote.MessageBatch) { b.TypeNames[0] = "actor.Watch" }},
		{"the library's spawner", "forbidden", nil, func(b *remote.MessageBatch) { b.Targets[0].Id = "activator" }},
		{"the library's supervisor", "forbidden", nil, func(b *remote.MessageBatch) { b.Targets[0].Id = "EndpointSupervisor" }},
		{"the library's events", "forbidden", nil, func(b *remote.MessageBatch) { b.Targets[0].Id = "eventstream" }},
		{"a supervisor", "forbidden", nil, func(b *remote.MessageBatch) { b.Targets[0].Id = "root" }},
		{"no name", "forbidden", nil, func(b *remote.MessageBatch) { b.Targets[0].Id = "" }},
		{"JSON", "forbidden", nil, func(b *remote.MessageBatch) { first(b).SerializerId = 1 }},
		{"another serializer", "forbidden", nil, func(b *remote.MessageBatch) { first(b).SerializerId = 99 }},
		{"in the name of another", "forbidden", nil, func(b *remote.MessageBatch) { b.Senders[0].Address = "10.0.0.9:8090" }},
		{"two connect requests", "forbidden", []*remote.RemoteMessage{connect(), connect()}, func(*remote.MessageBatch) {}},
		{"before the connect request", "forbidden", []*remote.RemoteMessage{}, func(*remote.MessageBatch) {}},
		{"nothing at all", "forbidden", []*remote.RemoteMessage{connect(), {}}, func(*remote.MessageBatch) {}},
		{"a connection of nobody", "malformed", []*remote.RemoteMessage{{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{}}}}, func(*remote.MessageBatch) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := n.count(t, refusals, outcome, c.reason)
			s := visit(t, n)
			if c.before == nil {
				c.before = []*remote.RemoteMessage{connect()}
			}
			for _, m := range append(c.before, batch(c.change)) {
				if err := s.stream.Send(m); err != nil {
					break // it may have ended before the last
				}
			}
			s.ended()
			if got := n.count(t, refusals, outcome, c.reason); got != was+1 {
				t.Errorf("%v were refused as %s: want one", got-was, c.reason)
			}
		})
	}
	if got := n.count(t, refusals, outcome, "panic"); got != 0 {
		t.Errorf("%v panics", got)
	}
	if _, err := n.remoting.Describe(within(t, time.Minute), "a"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// bytesCodec sends what it is given.
type bytesCodec struct{ encoding.Codec }

func (bytesCodec) Marshal(v any) ([]byte, error) {
	if raw, ok := v.([]byte); ok {
		return raw, nil
	}
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errors.New("not a message")
	}
	return proto.Marshal(m)
}

func (bytesCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errors.New("not a message")
	}
	return proto.Unmarshal(data, m)
}

func (bytesCodec) Name() string { return "proto" }

func TestBytesThatAreNoMessage(t *testing.T) {
	n := start(t, newWorld(), "a")
	s := visit(t, n, grpc.ForceCodec(bytesCodec{}))
	if err := s.stream.SendMsg([]byte{0x0a, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	s.ended()
	if got := n.count(t, refusals, outcome, "malformed"); got != 1 {
		t.Errorf("%v were refused", got)
	}
	// The library does not survive these two.
	if _, err := remote.NewRemotingClient(s.conn).ListProcesses(within(t, time.Minute), &remote.ListProcessesRequest{}); err == nil {
		t.Error("a call that there is not was answered")
	}
	if _, err := remote.NewRemotingClient(s.conn).GetProcessDiagnostics(within(t, time.Minute), &remote.GetProcessDiagnosticsRequest{}); err == nil {
		t.Error("a call that there is not was answered")
	}
	if got := n.count(t, refusals, outcome, "forbidden"); got != 2 {
		t.Errorf("%v calls were refused", got)
	}
	c, err := net.Dial("tcp", n.address())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET /api/v1/status HTTP/1.1\r\nHost: there\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(c); len(text) > 0 {
		t.Errorf("answered %q, %v", text, err)
	}
	actorstest.Eventually(t, "HTTP/1.1 is counted", func() bool { return n.count(t, refusals, outcome, "malformed") == 2 })
	if _, err := n.remoting.Describe(within(t, time.Minute), "a"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func pair(t *testing.T, i certs.Issued, now func() time.Time, authorities ...[]byte) *certs.Pair {
	t.Helper()
	p, err := certs.Open(certs.Options{Config: certstest.Files(t, t.TempDir(), i, authorities...), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A peer with anything but a member's valid certificate is refused, and counted by why.
func TestCertificatesThatAreRefused(t *testing.T) {
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	n := start(t, newWorld(), "a", with(pair(t, ours.Node("a"), nil, ours.PEM())))
	hosts, now := []string{"127.0.0.1"}, time.Now()
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, c := range []struct {
		name, reason string
		shown        certs.Issued
	}{
		{"none", "handshake", certs.Issued{}},
		{"of another authority", "authority", theirs.Node("a")},
		{"expired", "expired", ours.Issue(certs.Request{URI: certs.NodeURI("b"), Hosts: hosts, From: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour), Uses: both})},
		{"not valid yet", "expired", ours.Issue(certs.Request{URI: certs.NodeURI("b"), Hosts: hosts, From: now.Add(time.Hour), Until: now.Add(2 * time.Hour), Uses: both})},
		{"of no member", "name", ours.Issue(certs.Request{URI: "spiffe://elsewhere/user/b", Hosts: hosts, From: now.Add(-time.Hour), Until: now.Add(time.Hour), Uses: both})},
		{"for servers only", "authority", ours.Issue(certs.Request{URI: certs.NodeURI("b"), Hosts: hosts, From: now.Add(-time.Hour), Until: now.Add(time.Hour), Uses: both[:1]})},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := n.count(t, refusals, outcome, c.reason)
			config := certstest.Client(t, c.shown, ours.PEM())
			config.ServerName, config.NextProtos = "127.0.0.1", []string{"h2"}
			conn, err := tls.Dial("tcp", n.address(), config)
			if err == nil { // with TLS 1.3 the refusal comes afterwards
				_, err = io.ReadAll(conn)
				_ = conn.Close()
			}
			if err == nil {
				t.Error("it was let in")
			}
			actorstest.Eventually(t, "it is counted", func() bool { return n.count(t, refusals, outcome, c.reason) == was+1 })
		})
	}
	t.Run("no TLS at all", func(t *testing.T) {
		s, err := net.Dial("tcp", n.address())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(s)
		actorstest.Eventually(t, "it is counted", func() bool { return n.count(t, refusals, outcome, "malformed") == 1 })
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := n.remoting.Describe(ctx, "a"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
