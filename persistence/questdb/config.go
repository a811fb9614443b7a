package questdb

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config is the settings of a QuestDB server.
type Config struct {
	// HTTP is host:port of ILP over HTTP, PG of the PostgreSQL protocol.
	HTTP     string `yaml:"http" doc:"host:port at which the server takes rows (ILP over HTTP)."`
	PG       string `yaml:"pg" doc:"host:port at which the server answers queries (PostgreSQL protocol)."`
	User     string `yaml:"user" doc:"User of the server."`
	Password string `yaml:"password" secret:"true" doc:"Password of the server."`
	Database string `yaml:"database" doc:"Database of the server; QuestDB has one, qdb."`
	// TLS is for both.
	TLS bool `yaml:"tls" doc:"Whether the server is reached over TLS."`
	// Readers is the number of connections for queries.
	Readers int `yaml:"readers" doc:"Connections for queries."`
	// FlushInterval and FlushRows are when a shard's records are sent.
	FlushInterval time.Duration `yaml:"flush_interval" doc:"Greatest age of records that have not been sent to the server."`
	FlushRows     int           `yaml:"flush_rows" doc:"Number of a shard's records that are sent without waiting for the interval."`
	// BacklogRows is the number of a shard's records in memory at which reading the
	// journal waits for the server.
	BacklogRows int `yaml:"backlog_rows" doc:"Number of a shard's records that are collected in memory while others are on their way; then reading the journal waits for the server."`
	// RequestRows is the number of rows in one request.
	RequestRows int `yaml:"request_rows" doc:"Most rows in one request."`
	// RequestTimeout bounds one request.
	RequestTimeout time.Duration `yaml:"request_timeout" doc:"Bounds one request to the server."`
	// VisibleWithin is how long the server may show nothing more of what it has taken
	// before that is a failure.
	VisibleWithin time.Duration `yaml:"visible_within" doc:"How long the server may show nothing more of the rows that it has taken before that counts as a failure; queries answer from memory meanwhile."`
	// Trail is how long the saved journal position stays behind what was sent: the
	// server answers before its disk has the rows.
	Trail time.Duration `yaml:"trail" doc:"How far the saved journal position stays behind what was sent, because the server answers before its disk has the rows."`
}

// DefaultConfig is a server on this machine.
func DefaultConfig() Config {
	return Config{
		HTTP: "127.0.0.1:9000", PG: "127.0.0.1:8812", User: "admin", Database: "qdb", Readers: 6,
		FlushInterval: 250 * time.Millisecond, FlushRows: 10_000, BacklogRows: 200_000, RequestRows: 10_000, RequestTimeout: 10 * time.Second,
		VisibleWithin: 10 * time.Second, Trail: 2 * time.Minute,
	}
}

// Validate returns every setting that is out of range, joined.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %v is not %s", key, value, allowed))
	}
	for key, address := range map[string]string{"http": c.HTTP, "pg": c.PG} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			bad(key, fmt.Sprintf("%q", address), "host:port")
		}
	}
	if c.Readers < 1 || c.Readers > 64 {
		bad("readers", c.Readers, "between 1 and 64")
	}
	if c.FlushInterval < 10*time.Millisecond || c.FlushInterval > time.Minute {
		bad("flush_interval", c.FlushInterval, "between 10ms and 1m")
	}
	if c.FlushRows < 1 || c.FlushRows > 1_000_000 {
		bad("flush_rows", c.FlushRows, "between 1 and 1000000")
	}
	if c.BacklogRows < c.FlushRows || c.BacklogRows > 10_000_000 {
		bad("backlog_rows", c.BacklogRows, "between flush_rows and 10000000")
	}
	if c.RequestRows < 1 || c.RequestRows > 100_000 {
		bad("request_rows", c.RequestRows, "between 1 and 100000")
	}
	if c.RequestTimeout < time.Second {
		bad("request_timeout", c.RequestTimeout, "at least 1s")
	}
	if c.VisibleWithin < time.Second {
		bad("visible_within", c.VisibleWithin, "at least 1s")
	}
	if c.Trail < 0 || c.Trail > time.Hour {
		bad("trail", c.Trail, "between 0s and 1h")
	}
	return errors.Join(errs...)
}
