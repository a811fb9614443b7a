package broker

import "github.com/nats-io/nats-server/v2/server"

// Running is the server that runs now, or nil.
func (h *Handle) Running() *server.Server { return h.running() }

// Buckets are those of the services.
var Buckets = buckets
