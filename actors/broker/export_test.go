package broker

import "github.com/nats-io/nats-server/v2/server"

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
