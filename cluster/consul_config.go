package cluster

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// ConsulConfig says which Consul a node talks to, and how.
type ConsulConfig struct {
	Address   string `yaml:"address" doc:"host:port of the node's Consul agent, or unix:///path."`
	Scheme    string `yaml:"scheme" doc:"http or https."`
	TokenFile string `yaml:"token_file" doc:"File with the ACL token, read again when it changes; empty is none. Beyond loopback it needs scheme: https, or allow_plain_token."`
	// AllowPlainToken accepts that whoever sees the traffic to Consul has the token.
	AllowPlainToken bool      `yaml:"allow_plain_token" doc:"Send the token without TLS to a Consul on another host: only where nobody else sees the network between."`
	Datacenter      string    `yaml:"datacenter" doc:"Consul's datacenter; empty is the agent's own."`
	TLS             ConsulTLS `yaml:"tls" doc:"TLS towards Consul."`
	// Name keeps several clusters in one Consul apart.
	Name string `yaml:"name" doc:"Tag of our services and first part of our keys: one for each cluster in a Consul."`
	// TTL is after how long without a heartbeat Consul calls a node critical.
	TTL    time.Duration `yaml:"ttl" doc:"After how long without a heartbeat Consul calls a service critical; a heartbeat is sent three times as often."`
	Grace  time.Duration `yaml:"grace" doc:"How long a member that is not well stays listed while its port answers."`
	Forget time.Duration `yaml:"forget" doc:"After how long Consul drops a service that is critical; at least a minute."`
}

// ConsulTLS are the files of TLS towards Consul, read again when they change; empty ones
// are not used.
type ConsulTLS struct {
	CAFile     string `yaml:"ca_file" doc:"Certificates of the authorities that may sign Consul's."`
	CertFile   string `yaml:"cert_file" doc:"This node's certificate."`
	KeyFile    string `yaml:"key_file" doc:"Its key."`
	ServerName string `yaml:"server_name" doc:"Name that Consul's certificate must have; empty is the address's."`
}

// DefaultConsul is an agent on this node.
func DefaultConsul() ConsulConfig {
	return ConsulConfig{
		Address: "127.0.0.1:8500", Scheme: "http", Name: "marketprism",
		TTL: 3 * time.Second, Grace: 30 * time.Second, Forget: 10 * time.Minute,
	}
}

// Validate reports every value out of range.
func (c ConsulConfig) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &addressError{field, fmt.Sprintf(format, args...)})
	}
	if c.Address == "" || strings.ContainsAny(c.Address, " \t") || strings.Contains(c.Address, "://") && !c.local() {
		bad("address", "found %q: want host:port or unix:///path", c.Address)
	}
	if c.Scheme != "http" && c.Scheme != "https" {
		bad("scheme", "found %q: want http or https", c.Scheme)
	}
	if c.TokenFile != "" && c.Scheme == "http" && !c.local() && !c.AllowPlainToken {
		bad("token_file", "over http everybody between this node and %s can read the token: want scheme: https, or, on a network that nobody else sees, allow_plain_token: true", c.Address)
	}
	if c.Name == "" || strings.ContainsAny(c.Name, " /,;?#") {
		bad("name", "found %q: want letters, digits, - and .", c.Name)
	}
	for _, d := range []struct {
		field     string
		is        time.Duration
		least, at time.Duration
	}{
		{"ttl", c.TTL, time.Second, time.Minute},
		{"grace", c.Grace, c.TTL, time.Hour},
		{"forget", c.Forget, time.Minute, 24 * time.Hour},
	} {
		if d.is < d.least || d.is > d.at {
			bad(d.field, "found %s: want %s to %s", d.is, d.least, d.at)
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls.cert_file", "found one of certificate and key: want both or none")
	}
	return errors.Join(errs...)
}

// local says whether Consul is on this machine: behind a socket or on loopback.
func (c ConsulConfig) local() bool {
	if strings.HasPrefix(c.Address, "unix://") {
		return true
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		host = c.Address // without a port
	}
	return Loopback(host)
}
