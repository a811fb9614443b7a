package consul

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
)

// Where an announcement says which node made it, and which process.
const (
	nodeMeta    = "node"
	processMeta = "process"
	lastingMeta = "lasting" // "true": the port is open for as long as the process lives
)

// Options say what a [Node] is.
type Options struct {
	Config cluster.ConsulConfig
	// Name is the node's, unique in the cluster.
	Name string
	// Services are those to follow; none is followed besides.
	Services []string
	// Vital is the one among them whose announced port is open for as long as the process
	// lives: who refuses connections there is dead, before its heartbeat is missed. Only
	// ports of an [Announcement] that says so count. Empty: heartbeats alone do.
	Vital      string
	Registerer prometheus.Registerer // nil: not measured
	Log        *zap.Logger           // of files that are read again; nil discards
	// Probe asks a member's port whether it answers; nil is a TCP connection.
	Probe func(ctx context.Context, m Member) error
}

// Node is this node's part in Consul. Its methods are safe for concurrent use; the
// actors behind it start with [Node.Spec].
type Node struct {
	cfg         cluster.ConsulConfig
	name        string
	process     string // this one's own name
	client      *api.Client
	credentials *credentials
	probe       func(context.Context, Member) error
	metrics     *metrics
	directories map[string]*directory
	services    []string
	vital       string
	vitals      *vitals

	mu         sync.Mutex
	announcers []*announcer
}

// New makes the node's part; it says nothing to Consul yet.
func New(o Options) (*Node, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of Consul: %w", err)
	}
	if o.Name == "" {
		return nil, errors.New("the node has no name")
	}
	credentials, err := newCredentials(o.Config, o.Log)
	if err != nil {
		return nil, err
	}
	client, err := newClient(o.Config, credentials)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: o.Config, name: o.Name, process: rand.Text(), client: client, credentials: credentials, probe: o.Probe, directories: map[string]*directory{}, services: slices.Clone(o.Services), vital: o.Vital}
	if n.probe == nil {
		n.probe = dial
	}
	if n.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("metrics of Consul: %w", err)
	}
	for _, s := range o.Services {
		n.directories[s] = newDirectory(n, s)
	}
	n.vitals = newVitals(n)
	return n, nil
}

// newClient makes a client whose questions a way carries, with what they need.
func newClient(c cluster.ConsulConfig, way http.RoundTripper) (*api.Client, error) {
	o := api.Config{Address: c.Address, Scheme: c.Scheme, Datacenter: c.Datacenter, HttpClient: &http.Client{Transport: way}}
	if strings.HasPrefix(c.Address, "unix://") {
		o.Address = "localhost" // the way knows where that is; the library would make its own
	}
	client, err := api.NewClient(&o)
	if err != nil {
		return nil, fmt.Errorf("making the client of Consul: %w", err)
	}
	return client, nil
}

// id is what this node's announcement of a service is called.
func (n *Node) id(service string) string { return service + "@" + n.name }

// beat is the time between two heartbeats.
func (n *Node) beat() time.Duration { return n.cfg.TTL / 3 }

// callTimeout bounds one call: a Consul that takes seconds is slow, not gone.
func (n *Node) callTimeout() time.Duration { return max(n.cfg.TTL, 5*time.Second) }

// trust is that of the announcement that Consul has known for the shortest time: with
// one that it does not know, it has lost what it knew.
func (n *Node) trust() trust {
	n.mu.Lock()
	defer n.mu.Unlock()
	var least trust
	for i, a := range n.announcers {
		t, _ := a.state()
		if t.steady.IsZero() {
			return trust{}
		}
		if i == 0 || t.steady.After(least.steady) {
			least.steady = t.steady
		}
		if i == 0 || t.accepted.Before(least.accepted) {
			least.accepted = t.accepted
		}
	}
	return least
}

// Err says why Consul does not take our heartbeats; nil when it does, or when nothing
// is announced.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.announcers {
		if _, err := a.state(); err != nil {
			return err
		}
	}
	return nil
}

// Fault says what is wrong with the files of the token and of TLS, which were changed and
// cannot be used; nil while what they say is in use.
func (n *Node) Fault() error { return n.credentials.Fault() }

// Missing is since when Consul lists others that announce a service, and not this node;
// zero when it lists this one, lists nobody, or does not answer.
func (n *Node) Missing(service string) time.Time {
	d := n.directories[service]
	if d == nil {
		return time.Time{}
	}
	answers := n.answers()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !answers { // what it said last may be old
		d.missing = time.Time{}
	}
	return d.missing
}

// answers says whether Consul took the last heartbeats, or refused them.
func (n *Node) answers() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !slices.ContainsFunc(n.announcers, func(a *announcer) bool {
		_, err := a.state()
		return err != nil && !isAnswer(err)
	})
}

// View is who announces a service; of one that is not followed there never is one.
func (n *Node) View(service string) View {
	d := n.directories[service]
	if d == nil {
		return View{}
	}
	return d.now()
}

// Instances implements [cluster.Registry]: where Consul says, or said last.
func (n *Node) Instances(_ context.Context, service string) ([]cluster.Instance, error) {
	if !slices.Contains(cluster.Services(), service) {
		return nil, &cluster.UnknownServiceError{Name: service}
	}
	members := n.View(service).Members
	found := make([]cluster.Instance, 0, len(members))
	for _, m := range members {
		found = append(found, cluster.Instance{Service: service, Host: m.Host, Port: m.Port})
	}
	return found, nil
}

// Spec is the branch that follows the services: root/consul.
func (n *Node) Spec() supervise.Spec {
	var children []supervise.Spec
	for _, s := range n.services {
		d := n.directories[s]
		children = append(children, n.worker("directory-"+s, "directory", d.run))
	}
	if n.vitals.of != nil {
		children = append(children, n.worker("vitals", "vitals", n.vitals.run))
	}
	return supervise.Branch(branchName, supervise.DefaultStrategy(), children...)
}

const branchName = "consul"

// worker is an actor that does one thing until it is stopped.
func (n *Node) worker(name, kind string, run func(context.Context, *zap.Logger)) supervise.Spec {
	return supervise.Spec{Name: name, Kind: kind, ShutdownTimeout: 2 * n.callTimeout(), New: func() supervise.Actor {
		return supervise.ActorFunc(func(c *supervise.Context) {
			if _, ok := c.Message().(*actor.Started); ok {
				c.Go(func(ctx context.Context) { run(ctx, c.Log()) })
			}
		})
	}}
}

// Announce tells Consul, from now on, of what this node runs. It does not wait for
// Consul. The branch must run.
func (n *Node) Announce(ctx context.Context, system *supervise.System, all ...Announcement) error {
	for _, what := range all {
		a := &announcer{node: n, id: n.id(what.Service), what: what, metrics: n.metrics}
		n.metrics.begin(what.Service)
		n.mu.Lock()
		n.announcers = append(n.announcers, a)
		n.mu.Unlock()
		if _, err := system.StartChild(ctx, supervise.RootID+"/"+branchName, n.worker("announce-"+what.Service, "announcer", a.run)); err != nil {
			return fmt.Errorf("announcing %s: %w", what.Service, err)
		}
	}
	return nil
}

// Withdraw takes the announcements of some services back and lets no heartbeat follow.
// Those that Consul does not take back run out by themselves.
func (n *Node) Withdraw(ctx context.Context, system *supervise.System, services ...string) error {
	n.mu.Lock()
	var all, rest []*announcer
	for _, a := range n.announcers {
		if slices.Contains(services, a.what.Service) {
			all = append(all, a)
		} else {
			rest = append(rest, a)
		}
	}
	n.announcers = rest
	n.mu.Unlock()
	errs := make([]error, len(all))
	work := supervise.NewCrew(ctx)
	for i, a := range all {
		work.Go(func(ctx context.Context) {
			err := system.StopChild(ctx, supervise.RootID+"/"+branchName, "announce-"+a.what.Service)
			if errors.Is(err, supervise.ErrNoChild) || errors.Is(err, supervise.ErrStopped) {
				err = nil
			}
			errs[i] = errors.Join(err, a.withdraw(ctx))
		})
	}
	err := work.Wait()
	return errors.Join(err, errors.Join(errs...))
}

// Find asks Consul once where a service answers: for programs that do not stay.
func Find(ctx context.Context, c cluster.ConsulConfig, service string) ([]cluster.Instance, error) {
	n, err := New(Options{Config: c, Name: "-", Services: []string{service}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.callTimeout())
	defer cancel()
	entries, _, err := n.client.Health().Service(service, c.Name, true, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("asking Consul where %s is: %w", service, err)
	}
	var found []cluster.Instance
	for _, e := range entries {
		m := n.directories[service].sighting(e)
		found = append(found, cluster.Instance{Service: service, Host: m.Host, Port: m.Port})
	}
	return found, nil
}
