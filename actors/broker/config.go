package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/copies"
)

// Modes of [Config].
const (
	Embedded = "embedded"
	External = "external"
)

// Config is the broker's part of the configuration
// (message-broker-service.nats).
type Config struct {
	// Mode is embedded or external.
	Mode string `yaml:"mode" doc:"embedded runs a NATS server in this process; external connects to url."`
	// URL lists the servers to connect to when Mode is external, comma-separated.
	URL string `yaml:"url" doc:"Servers to connect to when mode is external, separated by commas."`
	// Username and Password are those of an external server; empty for none. The
	// embedded server gives its own program's rights to whoever has them (another
	// node of a cluster); empty takes a random password.
	Username string `yaml:"username" doc:"User name: at an external server ours, at the embedded one that of the program and its nodes; empty is none."`
	Password string `yaml:"password" secret:"true" doc:"Password that belongs to username; empty is none, and at the embedded server a random one."`
	// ClientsUsername and ClientsPassword are those of the account at an external
	// server in which clients' streams are; empty: the account of Username. The
	// embedded server has that account too: of Username with ".clients" behind it,
	// with the same password.
	ClientsUsername string `yaml:"clients_username" doc:"External: user name in the account that holds the streams of clients; empty is the account of username."`
	ClientsPassword string `yaml:"clients_password" secret:"true" doc:"Password that belongs to clients_username."`
	// Services are users of single services, in the place of those that the embedded
	// server makes of Username and Password; at an external server, of Username and
	// ClientsUsername.
	Services []ServiceUser `yaml:"services" doc:"Users of single services, in the place of those that follow from username and password; for an external server, or a process that is to have the rights of some services only."`
	// Anonymous lets clients in that show no credentials. It must be off where the
	// embedded server listens beyond loopback.
	Anonymous bool `yaml:"anonymous" doc:"Embedded: clients need no credentials; only possible where the server listens on loopback."`
	// Users are clients with credentials of their own.
	Users []UserConfig `yaml:"users" doc:"Embedded: clients with credentials, and the subjects that each may use."`
	// TLS of the server, or of the way to an external one.
	TLS TLSConfig `yaml:"tls" doc:"TLS of the embedded server, or of the connection to an external one."`
	// Host is the address that the embedded server listens on.
	Host string `yaml:"host" doc:"Address that the embedded server listens on."`
	// Port of the embedded server: 0 does not listen (connections are in process
	// only), -1 takes any free port.
	Port int `yaml:"port" doc:"Port of the embedded server; 0 does not listen (connections are in process only), -1 takes any free one."`
	// ServerName must stay the same from one start to the next.
	ServerName string `yaml:"server_name" doc:"Name of an embedded server that stands alone; it must stay the same from one start to the next. In a cluster node.id is the name."`
	// Cluster makes the servers of several nodes one.
	Cluster ClusterConfig `yaml:"cluster" doc:"Several nodes with an embedded server, which keep copies of everything."`
	// StoreDir is JetStream's directory.
	StoreDir string `yaml:"store_dir" doc:"JetStream's directory; empty is broker/ inside node.data_dir."`
	// MaxMemory and MaxFileStore bound JetStream, in bytes. The journal and the
	// streams reserve their max_bytes of it.
	MaxMemory    int64 `yaml:"max_memory" unit:"bytes" doc:"Most memory that JetStream's memory streams may take together."`
	MaxFileStore int64 `yaml:"max_file_store" unit:"bytes" doc:"Most disk space that JetStream may take; the journal and the streams reserve their max_bytes of it."`
	// MaxPayload is the largest message in bytes: at least a journal message.
	MaxPayload int `yaml:"max_payload" unit:"bytes" doc:"Largest message that the embedded server accepts, at least the journal's largest."`
	// MaxPending is what the server buffers for one slow connection, in bytes.
	MaxPending int64 `yaml:"max_pending" unit:"bytes" doc:"What the embedded server buffers for one slow connection before it closes it."`
	// ProbeInterval is the time between two looks at the server's health.
	ProbeInterval time.Duration `yaml:"probe_interval" doc:"Time between two looks at the server's health."`
	// RestartFreeBytes must be free on the disk before a server that met a full
	// disk is started again.
	RestartFreeBytes int64 `yaml:"restart_free_bytes" unit:"bytes" doc:"Free disk space that a server which met a full disk needs before it is started again."`
	// Streams are made at start, beside those that clients make themselves.
	Streams []StreamConfig `yaml:"streams" doc:"Streams that are made at the start, beside those that clients make themselves."`
}

// UserConfig is a client with credentials.
type UserConfig struct {
	// Name is what the client shows, without spaces.
	Name string `yaml:"name" doc:"User name that the client shows."`
	// Password that belongs to it, at least 8 characters.
	Password string `yaml:"password" secret:"true" doc:"Password that belongs to it, at least 8 characters."`
	// Publish and Subscribe are the subjects that the client may publish to, and read,
	// from streams too. Without either, these are all that clients may; with one, what
	// the other does not list is refused.
	Publish   []string `yaml:"publish" doc:"Subjects that it may publish to; without this and subscribe, all that clients may."`
	Subscribe []string `yaml:"subscribe" doc:"Subjects that it may read, from streams too; without this and publish, all that clients may."`
}

// TLSConfig names PEM files; empty ones switch TLS off.
type TLSConfig struct {
	CertFile string `yaml:"cert_file" doc:"Certificate, PEM: of the embedded server, or the one to show to an external server."`
	KeyFile  string `yaml:"key_file" doc:"Private key of the certificate, PEM."`
	CAFile   string `yaml:"ca_file" doc:"Certificates that the other side's is signed with, PEM. At the embedded server: clients have to show one."`
}

// on reports whether anything is configured.
func (t TLSConfig) on() bool { return t != TLSConfig{} }

// StreamConfig describes one JetStream stream for clients.
type StreamConfig struct {
	// Name is letters, digits, - and _.
	Name     string   `yaml:"name" doc:"Name of the stream: letters, digits, - and _."`
	Subjects []string `yaml:"subjects" doc:"Subjects that the stream keeps; * stands for one token, > for the rest."`
	// Retention is limits, workqueue or interest; it cannot change later.
	Retention string `yaml:"retention" doc:"When messages go: limits, workqueue or interest; it cannot change later."`
	// Storage is file or memory; it cannot change later.
	Storage string `yaml:"storage" doc:"Where messages are kept: file or memory; it cannot change later."`
	// Discard is old or new: what a full stream gives up.
	Discard string `yaml:"discard" doc:"What a full stream gives up: old messages, or new ones by refusing them."`
	// MaxBytes is reserved at the server; at least 1 MiB.
	MaxBytes int64 `yaml:"max_bytes" unit:"bytes" doc:"Size of the stream, reserved at the server; at least 1 MiB."`
	// MaxAge removes older messages; 0 keeps them.
	MaxAge time.Duration `yaml:"max_age" doc:"Age at which messages are removed; 0 keeps them."`
	// Replicas is 1, 3 or 5; 0 is 3 in a cluster, else 1.
	Replicas int `yaml:"replicas" doc:"Copies of each message: 1, 3 or 5; 0 is 3 where the broker has several nodes, else 1."`
}

// minPayload is the journal's largest message.
const minPayload = 8 << 20

// DefaultConfig is an embedded server on 127.0.0.1:4222 with the streams that
// clients expect. StoreDir is left to the caller.
func DefaultConfig() Config {
	stream := func(name, subject, retention, discard string, bytes int64, age time.Duration) StreamConfig {
		return StreamConfig{
			Name: name, Subjects: []string{subject}, Retention: retention, Storage: "file",
			Discard: discard, MaxBytes: bytes, MaxAge: age,
		}
	}
	const day = 24 * time.Hour
	return Config{
		Mode:             Embedded,
		Host:             "127.0.0.1",
		Port:             4222,
		ServerName:       "marketprism",
		Cluster:          defaultCluster(),
		Anonymous:        true,
		Services:         []ServiceUser{},
		Users:            []UserConfig{},
		MaxMemory:        256 << 20,
		MaxFileStore:     16 << 30,
		MaxPayload:       minPayload,
		MaxPending:       64 << 20,
		ProbeInterval:    2 * time.Second,
		RestartFreeBytes: 512 << 20,
		Streams: []StreamConfig{
			stream("MARKET_DATA", "market.>", "limits", "old", 1<<30, 7*day),
			stream("SYSTEM_EVENTS", "system.>", "limits", "old", 256<<20, 30*day),
			stream("SERVICE_LOGS", "service.>", "limits", "old", 256<<20, 7*day),
			stream("TASKS", "tasks.>", "workqueue", "new", 256<<20, 0),
			stream("DLQ", "dlq.>", "limits", "old", 256<<20, 30*day),
		},
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	switch c.Mode {
	case Embedded:
		c.validateEmbedded(bad)
	case External:
		if c.URL == "" {
			bad("url", "is needed when mode is external, such as nats://127.0.0.1:4222")
		}
		for one := range strings.SplitSeq(c.URL, ",") {
			if u, err := url.Parse(strings.TrimSpace(one)); err == nil && u.User != nil {
				bad("url", "%s carries a user, which would be that of every service; say it in username and password", u.Redacted())
			}
		}
		if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
			bad("tls", "cert_file and key_file belong together")
		}
	default:
		bad("mode", "%q, allowed embedded, external", c.Mode)
	}
	if c.ProbeInterval < 10*time.Millisecond || c.ProbeInterval > time.Minute {
		bad("probe_interval", "%v, allowed 10ms to 1m", c.ProbeInterval)
	}
	c.validateServices(bad)
	names := make(map[string]bool, len(c.Streams))
	var file int64
	for i, s := range c.Streams {
		if err := s.Validate(); err != nil {
			bad(fmt.Sprintf("streams[%d]", i), "%v", err)
		}
		if names[s.Name] {
			bad(fmt.Sprintf("streams[%d]", i), "a second stream named %s", s.Name)
		}
		names[s.Name] = true
		if s.Storage == "file" {
			file += s.MaxBytes
		}
	}
	if c.Mode == Embedded && file > c.MaxFileStore {
		bad("max_file_store", "%d, the streams alone reserve %d", c.MaxFileStore, file)
	}
	return errors.Join(errs...)
}

func (c Config) validateEmbedded(bad func(key, format string, args ...any)) {
	if c.Port < -1 || c.Port > 65535 {
		bad("port", "%d, allowed -1 to 65535", c.Port)
	}
	if c.Port != 0 && net.ParseIP(c.Host) == nil && c.Host != "localhost" {
		bad("host", "%q is not an IP address", c.Host)
	}
	if c.ServerName == "" || strings.ContainsAny(c.ServerName, " .*>\t") {
		bad("server_name", "%q, want a name without spaces, dots and wildcards", c.ServerName)
	}
	if c.MaxMemory < 1<<20 {
		bad("max_memory", "%d, at least %d", c.MaxMemory, 1<<20)
	}
	if c.MaxFileStore < 32<<20 {
		bad("max_file_store", "%d, at least %d", c.MaxFileStore, 32<<20)
	}
	if c.MaxPayload < minPayload || c.MaxPayload > 64<<20 {
		bad("max_payload", "%d, allowed %d to %d", c.MaxPayload, minPayload, 64<<20)
	}
	if c.MaxPending < int64(c.MaxPayload) {
		bad("max_pending", "%d, at least max_payload", c.MaxPending)
	}
	if c.RestartFreeBytes < 0 {
		bad("restart_free_bytes", "%d, at least 0", c.RestartFreeBytes)
	}
	c.validateAccess(bad)
	c.validateCluster(bad)
}

func (c Config) validateAccess(bad func(key, format string, args ...any)) {
	if c.Anonymous && c.Port != 0 && !loopback(c.Host) {
		bad("anonymous", "must be false where the server listens on %s: whoever reaches it could publish and read", c.Host)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") || c.TLS.on() && c.TLS.CertFile == "" {
		bad("tls", "an embedded server needs cert_file and key_file")
	}
	own := c.Username
	if own == "" {
		own = programUser
	}
	names := map[string]bool{clientUser: true, own: true}
	for _, s := range c.Services {
		names[s.Username], names[s.ClientsUsername] = true, true
	}
	for i, u := range c.Users {
		key := fmt.Sprintf("users[%d]", i)
		if u.Name == "" || strings.ContainsAny(u.Name, " \t\n\x00") || names[u.Name] || strings.HasPrefix(u.Name, own+".") {
			bad(key, "name: %q is empty, taken, or holds a space", u.Name)
		}
		names[u.Name] = true
		if len(u.Password) < 8 {
			bad(key, "password: needs at least 8 characters")
		}
		for _, subject := range append(slices.Clone(u.Publish), u.Subscribe...) {
			if err := checkTokens(subject, true); err != nil {
				bad(key, "%v", err)
			}
		}
	}
}

// validateServices: each service is listed once, with passwords to its names.
func (c Config) validateServices(bad func(key, format string, args ...any)) {
	listed := map[Service]bool{}
	for i, s := range c.Services {
		key := fmt.Sprintf("services[%d]", i)
		if !slices.Contains(Services(), s.Service) {
			bad(key, "service: %q, allowed %v", s.Service, Services())
		}
		if listed[s.Service] {
			bad(key, "service: %s a second time", s.Service)
		}
		listed[s.Service] = true
		if s.Username == "" && s.ClientsUsername == "" {
			bad(key, "username: it has none, in either account")
		}
		if s.Username != "" && len(s.Password) < 8 || s.ClientsUsername != "" && len(s.ClientsPassword) < 8 {
			bad(key, "password: needs at least 8 characters")
		}
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Validate returns all errors at once, each beginning with its key.
func (s StreamConfig) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	oneOf := func(key, got string, allowed ...string) {
		for _, a := range allowed {
			if got == a {
				return
			}
		}
		bad(key, "%q, allowed %s", got, strings.Join(allowed, ", "))
	}
	if err := CheckName(s.Name); err != nil {
		bad("name", "%v", err)
	}
	if len(s.Subjects) == 0 {
		bad("subjects", "none")
	}
	for _, subject := range s.Subjects {
		if err := CheckKept(subject); err != nil {
			bad("subjects", "%v", err)
		}
	}
	oneOf("retention", s.Retention, "limits", "workqueue", "interest")
	oneOf("storage", s.Storage, "file", "memory")
	oneOf("discard", s.Discard, "old", "new")
	if s.MaxBytes < 1<<20 {
		bad("max_bytes", "%d, at least %d", s.MaxBytes, 1<<20)
	}
	if s.MaxAge < 0 {
		bad("max_age", "%v, at least 0", s.MaxAge)
	}
	if !copies.Allowed(s.Replicas) {
		bad("replicas", "%d, allowed 0, 1, 3, 5", s.Replicas)
	}
	return errors.Join(errs...)
}
