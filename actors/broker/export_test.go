package broker

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// Running is the server that runs now, or nil.
func (h *Handle) Running() *server.Server { return h.running() }

// Buckets are those of the services.
var Buckets = buckets

// Permissions are those of a service in each account, for a journal of so many shards;
// nil: none. ClientPermissions are those of a client.
func Permissions(s Service, shards int) (program, clients *server.Permissions) {
	p, c := s.grants(shards)
	if p != nil {
		program = p.permissions()
	}
	if c != nil {
		clients = c.permissions()
	}
	return program, clients
}

// ClientPermissions are those of a client without lists of his own.
func ClientPermissions() *server.Permissions { return UserConfig{}.rights() }

// CutMigration has at called at each step of a migration.
func CutMigration(m *Migration, at func(step string)) { m.step = at }

// ShakeHands makes a route to an address, of a cluster whose servers are at some hosts.
func ShakeHands(t *testing.T, c TLSConfig, hosts []string) error {
	t.Helper()
	o, err := openJoint(c, zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nobody else asks
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	config := o.mutual(hosts)
	config.ServerName = "10.0.0.1" // as nats-server sets it
	asking, asked := tls.Client(here, config), tls.Server(there, o.mutual(hosts))
	answered := make(chan error, 1)
	go func() {
		answered <- asked.HandshakeContext(t.Context())
		_ = there.Close() // it has answered
	}()
	err = asking.HandshakeContext(t.Context())
	_ = here.Close() // it has asked
	return errors.Join(err, <-answered)
}
