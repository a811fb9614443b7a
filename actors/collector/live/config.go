package live

import (
	"errors"
	"fmt"
	"time"
)

// Config is the live streams' settings: limits of connections, queues and replay.
type Config struct {
	// MaxClients, MaxSubscriptions and MaxTopics bound connections in all,
	// subscriptions of a connection, and what these come to in pairs of stream and
	// kind.
	MaxClients       int `yaml:"max_clients" doc:"Connections in all, WebSocket and server-sent events; further ones get 429."`
	MaxSubscriptions int `yaml:"max_subscriptions" doc:"Subscriptions of one connection."`
	MaxTopics        int `yaml:"max_topics" doc:"Pairs of stream and kind that one connection may follow."`
	// MaxMessageBytes and MaxRequestsPerSecond bound what a client sends.
	MaxMessageBytes      int `yaml:"max_message_bytes" doc:"Largest message of a client, in bytes; a larger one ends the connection with 1009."`
	MaxRequestsPerSecond int `yaml:"max_requests_per_second" doc:"Requests of a connection that are answered; those beyond are refused."`
	// RelayRecords is how many records may wait to be handed to the clients.
	RelayRecords int `yaml:"relay_records" doc:"Records that may wait to be handed to the clients' queues."`
	// QueueRecords and QueueBytes bound what waits for one client. Bytes are shared
	// by all clients that wait for them.
	QueueRecords int `yaml:"queue_records" doc:"Records that may wait for one client and cannot be left out; with more it is too slow, and ended."`
	QueueBytes   int `yaml:"queue_bytes" doc:"Bytes that may wait for one client."`
	// CoalesceAfter is how many changes of a book, or states of one kind, wait for a
	// client before they are put into one.
	CoalesceAfter int `yaml:"coalesce_after" doc:"How many changes of a book, or states of one kind, wait for a client before they are put into one."`
	// BookBacklog is how many changes of a book wait for a client before they are
	// replaced by the whole book.
	BookBacklog int `yaml:"book_backlog" doc:"How many changes of a book wait for a client before they are replaced by the whole book."`
	// PingEvery and DeadAfter find WebSocket peers that are gone.
	PingEvery time.Duration `yaml:"ping_every" doc:"Time between two pings of a WebSocket."`
	DeadAfter time.Duration `yaml:"dead_after" doc:"Silence after which a WebSocket's peer is taken for gone."`
	// WriteTimeout bounds one write to a client, CloseGrace what a client that is
	// ended gets to take what is on its way.
	WriteTimeout time.Duration `yaml:"write_timeout" doc:"How long a client may take to accept one write."`
	CloseGrace   time.Duration `yaml:"close_grace" doc:"How long a connection that is being ended may take."`
	// Heartbeat is the time between two comments of server-sent events, Retry the
	// wait before a reconnect that clients are told.
	Heartbeat time.Duration `yaml:"heartbeat" doc:"Time between two comments that keep server-sent events open."`
	Retry     time.Duration `yaml:"retry" doc:"Wait before a reconnect that clients of server-sent events are told."`
	// ReplayEvents, ReplayBytes and ReplayFor bound what is kept for those who come
	// back.
	ReplayEvents int           `yaml:"replay_events" doc:"Events that are kept for clients of server-sent events that come back."`
	ReplayBytes  int           `yaml:"replay_bytes" doc:"Bytes of such events."`
	ReplayFor    time.Duration `yaml:"replay_for" doc:"How long events are kept of what nobody follows any more."`
}

// DefaultConfig suits some thousand clients on one node.
func DefaultConfig() Config {
	return Config{
		MaxClients: 4000, MaxSubscriptions: 64, MaxTopics: 50_000,
		MaxMessageBytes: 64 << 10, MaxRequestsPerSecond: 50,
		RelayRecords: 65_536, QueueRecords: 8192, QueueBytes: 8 << 20, CoalesceAfter: 32, BookBacklog: 1024,
		PingEvery: 20 * time.Second, DeadAfter: time.Minute, WriteTimeout: 10 * time.Second, CloseGrace: 2 * time.Second,
		Heartbeat: 15 * time.Second, Retry: 2 * time.Second,
		ReplayEvents: 16_384, ReplayBytes: 16 << 20, ReplayFor: time.Minute,
	}
}

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		key            string
		have, min, max int
	}{
		{"max_clients", c.MaxClients, 0, 1_000_000},
		{"max_subscriptions", c.MaxSubscriptions, 1, 10_000},
		{"max_topics", c.MaxTopics, 1, 10_000_000},
		{"max_message_bytes", c.MaxMessageBytes, 256, 16 << 20},
		{"max_requests_per_second", c.MaxRequestsPerSecond, 1, 100_000},
		{"relay_records", c.RelayRecords, 16, 1 << 24},
		{"queue_records", c.QueueRecords, 1, 1 << 24},
		{"queue_bytes", c.QueueBytes, 1024, 1 << 30},
		{"coalesce_after", c.CoalesceAfter, 1, 1 << 20},
		{"book_backlog", c.BookBacklog, 1, 1 << 20},
		{"replay_events", c.ReplayEvents, 0, 1 << 24},
		{"replay_bytes", c.ReplayBytes, 0, 1 << 32},
	} {
		if f.have < f.min || f.have > f.max {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", f.key, f.have, f.min, f.max))
		}
	}
	for _, f := range []struct {
		key  string
		have time.Duration
	}{
		{"ping_every", c.PingEvery}, {"write_timeout", c.WriteTimeout}, {"close_grace", c.CloseGrace},
		{"heartbeat", c.Heartbeat}, {"retry", c.Retry},
	} {
		if f.have <= 0 {
			errs = append(errs, fmt.Errorf("%s: %v is not above zero", f.key, f.have))
		}
	}
	if c.DeadAfter <= c.PingEvery {
		errs = append(errs, fmt.Errorf("dead_after: %v is not above ping_every, %v", c.DeadAfter, c.PingEvery))
	}
	if c.ReplayFor < 0 {
		errs = append(errs, fmt.Errorf("replay_for: %v is below zero", c.ReplayFor))
	}
	return errors.Join(errs...)
}
