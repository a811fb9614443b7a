package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// ClusterConfig makes the embedded servers of several nodes one
// (message-broker-service.nats.cluster).
type ClusterConfig struct {
	// BootstrapExpect is on how many nodes the broker runs: 1 stands alone, 3 or 5 keep
	// several copies. It is the same on each, and does not change.
	BootstrapExpect int `yaml:"bootstrap_expect" doc:"On how many nodes the broker runs: 1 stands alone, 3 or 5 keep several copies of everything; the same on each of them."`
	// Name is that of the cluster, the same on each node.
	Name string `yaml:"name" doc:"Name of the cluster, the same on each node."`
	// Host and Port are where the other nodes' servers reach this one.
	Host string `yaml:"host" doc:"Address on which the other nodes' servers reach this one; beyond loopback it needs tls."`
	Port int    `yaml:"port" doc:"Port on which the other nodes' servers reach this one."`
	// Routes are host:port of every node with the broker, this one too; empty asks Consul.
	Routes []string `yaml:"routes" doc:"host:port of all nodes with the broker, this one included, as many as bootstrap_expect; empty asks Consul."`
	// TLS is what servers show each other, and what theirs is signed with.
	TLS TLSConfig `yaml:"tls" doc:"TLS between the servers: each shows its certificate, and demands one that ca_file signed."`
}

func defaultCluster() ClusterConfig {
	return ClusterConfig{BootstrapExpect: 1, Name: "marketprism", Host: "127.0.0.1", Port: 6222, Routes: []string{}}
}

// Clustered reports whether the embedded server is one of several.
func (c Config) Clustered() bool { return c.Mode == Embedded && c.Cluster.BootstrapExpect > 1 }

func (c Config) validateCluster(bad func(key, format string, args ...any)) {
	o := c.Cluster
	if o.BootstrapExpect != 1 && o.BootstrapExpect != 3 && o.BootstrapExpect != 5 {
		bad("cluster.bootstrap_expect", "%d, allowed 1, 3, 5: two nodes are not safer than one, and four than three", o.BootstrapExpect)
	}
	if o.BootstrapExpect <= 1 {
		return
	}
	if c.Port == 0 { // the server would not begin to look for the others either
		bad("port", "0, but a server of a cluster has to listen for clients; -1 takes any free port")
	}
	if o.Name == "" || strings.ContainsAny(o.Name, " \t") {
		bad("cluster.name", "%q, want a name without spaces", o.Name)
	}
	if net.ParseIP(o.Host) == nil && o.Host != "localhost" {
		bad("cluster.host", "%q is not an IP address", o.Host)
	}
	if o.Port < 1 || o.Port > 65535 {
		bad("cluster.port", "%d, allowed 1 to 65535", o.Port)
	}
	if c.Username == "" || len(c.Password) < 8 {
		bad("username", "with cluster.bootstrap_expect %d, username and a password of at least 8 characters are needed, the same on each node", o.BootstrapExpect)
	}
	near := loopback(o.Host)
	for i, r := range o.Routes {
		host, port, err := net.SplitHostPort(r)
		if n, none := strconv.Atoi(port); err != nil || none != nil || host == "" || n < 1 || n > 65535 {
			bad(fmt.Sprintf("cluster.routes[%d]", i), "%q, want host:port", r)
			continue
		}
		near = near && loopback(host)
	}
	if n := len(o.Routes); n > 0 && n != o.BootstrapExpect {
		bad("cluster.routes", "%d of them, want all %d nodes, this one included", n, o.BootstrapExpect)
	}
	if t := o.TLS; t.on() && (t.CertFile == "" || t.KeyFile == "" || t.CAFile == "") {
		bad("cluster.tls", "cert_file, key_file and ca_file belong together")
	}
	if !near && !o.TLS.on() {
		bad("cluster.tls", "is needed where servers reach each other beyond loopback")
	}
}

// routeUser is what servers show each other.
func (c Config) routeUser() login {
	name := c.Username + ".route"
	return login{name, derived(c.Password, name)}
}

// joinOptions makes o the options of one server of a cluster, which reaches the others
// by routes. The server sizes the group that decides on streams by how many routes it
// is given at its very first start (nats-server v2.15.2, raft.go, bootstrapRaftNode):
// they are all of them, this one's own too.
func (c Config) joinOptions(o *server.Options, routes []string, certs *certificates) error {
	as := c.routeUser()
	o.Cluster = server.ClusterOpts{
		Name: c.Cluster.Name, Host: c.Cluster.Host, Port: c.Cluster.Port,
		Username: as.username, Password: as.password, AuthTimeout: tlsTimeout.Seconds(),
		PingInterval: routePing, MaxPingsOut: routePings,
	}
	var hosts []string
	for _, r := range routes {
		host, _, err := net.SplitHostPort(r)
		if err != nil {
			return fmt.Errorf("the route %q: %w", r, err)
		}
		hosts = append(hosts, host)
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: r, User: url.UserPassword(as.username, as.password)})
	}
	if certs != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = certs.mutual(hosts), tlsTimeout.Seconds()
	}
	// Accounts have to be known before the server starts: else what the cluster assigns
	// to this node would meet accounts without JetStream. The server's own account ($G)
	// cannot be described, so the program's is one with a name.
	described := &server.Options{}
	if err := described.ProcessConfigString(clusterAccounts); err != nil {
		return fmt.Errorf("describing the accounts: %w", err)
	}
	o.Accounts, o.SystemAccount = described.Accounts, described.SystemAccount
	return nil
}

// A server that is cut off answers nothing, and closes nothing: after so many pings
// without an answer its route is given up. So who is heard is known, and a network that
// is whole again is used at once, not when the system tries the next packet of a
// connection that was cut: that takes as long as the cut did, and minutes in the end.
const (
	routePing  = 2 * time.Second
	routePings = 3
)

// programName is the program's account in a cluster.
const programName = "PROGRAM"

const clusterAccounts = `
system_account: "$SYS"
accounts {
  "$SYS" {}
  ` + programName + ` { jetstream: enabled, exports: [{stream: "` + livePlane + `"}] }
  ` + clientsName + ` { jetstream: enabled, imports: [{stream: {account: ` + programName + `, subject: "` + livePlane + `"}}] }
}`

// clusteredAccounts finds the accounts of a server with [Config.joinOptions].
func clusteredAccounts(srv *server.Server) (accounts, error) {
	var a accounts
	var errs [3]error
	a.program, errs[0] = srv.LookupAccount(programName)
	a.clients, errs[1] = srv.LookupAccount(clientsName)
	a.system, errs[2] = srv.LookupAccount("$SYS")
	if err := errors.Join(errs[:]...); err != nil {
		return a, fmt.Errorf("looking for the accounts: %w", err)
	}
	return a, nil
}

// sayRoutes logs whom the server will look for.
func (c Config) sayRoutes(log *zap.Logger, routes []string) {
	log.Info("broker joins a cluster", zap.String("cluster", c.Cluster.Name), zap.Int("nodes", c.Cluster.BootstrapExpect),
		zap.Strings("routes", slices.Clone(routes)), zap.Bool("tls", c.Cluster.TLS.on()))
}
