package cluster

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/certs"
)

// RemotingConfig says how nodes of one cluster ask each other.
type RemotingConfig struct {
	Enabled bool `yaml:"enabled" doc:"Whether nodes ask each other directly, for the actors of another node among others. Without peers there is nobody to ask, and nothing listens."`
	Port    int  `yaml:"port" doc:"Port on which this node is asked; 0 is any free one, which only Consul can tell the others."`
	// Timeout bounds a call whose caller sets no bound.
	Timeout time.Duration `yaml:"timeout" doc:"How long a question to another node may take, unless whoever asks says otherwise."`
	// Peers are the other nodes, with provider: static.
	Peers []string     `yaml:"peers" doc:"The other nodes, each as NAME@host:port, with provider: static. Consul knows them by itself."`
	TLS   certs.Config `yaml:"tls" doc:"Certificates of the port, which both ends need. Without them it is on loopback only."`
}

// DefaultRemoting is a port beside those of the services.
func DefaultRemoting() RemotingConfig {
	return RemotingConfig{Enabled: true, Port: 8090, Timeout: 2 * time.Second, Peers: []string{}, TLS: certs.DefaultConfig()}
}

// Validate reports every value out of range. It does not read the certificates.
func (c RemotingConfig) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &addressError{field, fmt.Sprintf(format, args...)})
	}
	if c.Port < 0 || c.Port > 65535 {
		bad("port", "found %d: want 0 to 65535", c.Port)
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute {
		bad("timeout", "found %s: want 100ms to 1m", c.Timeout)
	}
	for i, text := range c.Peers {
		if _, err := parsePeer(text); err != nil {
			bad(fmt.Sprintf("peers[%d]", i), "%v", err)
		}
	}
	if c.TLS.Enabled() && c.TLS.CAFile == "" {
		bad("tls.ca_file", "is missing: it is what the certificates of other nodes are judged by")
	}
	return errors.Join(errs...)
}

// Peer is another node, where it is asked.
type Peer struct {
	Node string
	// Host is an address or name without port, as in [Instance].
	Host string
	Port int
}

// Others are the peers of the configuration; those that Validate refuses are left out.
func (c RemotingConfig) Others() (all []Peer) {
	for _, text := range c.Peers {
		if p, err := parsePeer(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// parsePeer reads NAME@host:port.
func parsePeer(text string) (Peer, error) {
	node, at, found := strings.Cut(text, "@")
	i, err := parseInstance("", at)
	if !found || node == "" || err != nil {
		return Peer{}, fmt.Errorf("found %q: want NAME@host:port, such as node-2@10.0.0.2:8090", text)
	}
	return Peer{Node: node, Host: i.Host, Port: i.Port}, nil
}

// Loopback reports whether a host is this machine alone.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost"
}
