package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/provider"
	"github.com/marketprism/marketprism/internal/certs"
)

// Name is the actor's in the tree; it stands below the root.
const Name = "remoting"

// Options say what a [Remoting] works with.
type Options struct {
	Config cluster.RemotingConfig
	// Node is this one's name; Cluster keeps several apart in the library's log.
	Node, Cluster string
	// Listen is the host to listen on, Advertise that at which others reach it.
	Listen, Advertise string
	// Certificates are shown and asked for; nil is none, on loopback only.
	Certificates *certs.Pair
	// Members are those that can be asked; this node need not be among them.
	Members provider.Source
	Local   Local
	// Streams are nil where no collector follows a plan.
	Streams    Streams
	Log        *zap.Logger           // nil discards
	Registerer prometheus.Registerer // nil exports nothing
}

// ErrPlain: a port beyond loopback without certificates.
var ErrPlain = errors.New("remoting beyond loopback needs certificates: set node.tls or cluster.remoting.tls, with a ca_file, or listen on loopback, or set cluster.remoting.enabled: false")

// Remoting is this node's part. Its methods are safe for concurrent use.
type Remoting struct {
	o       Options
	port    int
	metrics *metrics
	current atomic.Pointer[incarnation]

	mu  sync.Mutex
	err error // why the last start failed
}

// New checks the options; with port 0 it chooses a free one. Nothing listens until the
// Spec is started. Errors: ErrPlain, and those of the port.
func New(o Options) (*Remoting, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of remoting: %w", err)
	}
	if o.Node == "" || o.Members == nil || o.Local == nil || o.Advertise == "" {
		return nil, errors.New("remoting: an option is missing")
	}
	if o.Certificates == nil && !(cluster.Loopback(o.Listen) && cluster.Loopback(o.Advertise)) {
		return nil, ErrPlain
	}
	if o.Certificates != nil && o.Certificates.Roots() == nil {
		return nil, errors.New("remoting needs ca_file beside the certificate: it is what other nodes are judged by")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	r := &Remoting{o: o}
	var err error
	if r.port, err = free(o.Listen, o.Config.Port); err != nil {
		return nil, err
	}
	if r.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("metrics of remoting: %w", err)
	}
	return r, nil
}

// free is a port that nobody listens on: the one that is asked for, or for 0 any.
func free(host string, port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return 0, fmt.Errorf("the port of remoting: %w", err)
	}
	found := l.Addr().(*net.TCPAddr).Port
	return found, l.Close()
}

// Port is where this node is asked.
func (r *Remoting) Port() int { return r.port }

// Err says why nothing listens; nil when it does, or has not begun.
func (r *Remoting) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Remoting) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Peer is a node that can be asked.
type Peer struct {
	provider.Member
	// Up says that there is a connection to it; without one the next question makes it.
	Up bool
	// Self is this node.
	Self bool
}

// Peers are all nodes, in order of their names; none before it runs.
func (r *Remoting) Peers() []Peer {
	i := r.current.Load()
	if i == nil {
		return nil
	}
	var all []Peer
	for _, m := range i.provider.Members() {
		all = append(all, Peer{Member: m, Up: i.calls.isUp(m.Address()), Self: m.Node == r.o.Node})
	}
	return all
}

// stopWithin bounds the stop of the library's parts.
const stopWithin = 15 * time.Second

// Messages of the actor to itself.
type (
	listens struct{}
	broke   struct{ err error }
)

// Spec is the actor that owns the port and all behind it: root/remoting.
func (r *Remoting) Spec() supervise.Spec {
	return supervise.Spec{Name: Name, Kind: Name, AwaitReady: true, ShutdownTimeout: stopWithin + 5*time.Second, New: func() supervise.Actor {
		return supervise.ActorFunc(func(c *supervise.Context) {
			switch m := c.Message().(type) {
			case *actor.Started:
				self, system, log := c.Self(), c.System(), c.Log()
				tell := func(m any) {
					if err := system.Tell(self, m); err != nil {
						log.Debug("the actor ends", zap.Error(err))
					}
				}
				c.Go(func(ctx context.Context) {
					err := r.run(ctx, log, func() { tell(listens{}) })
					if r.note(err); err != nil && ctx.Err() == nil {
						tell(broke{err})
					}
				})
			case listens:
				c.Note("asked at " + net.JoinHostPort(r.o.Advertise, strconv.Itoa(r.port)))
				c.Ready()
			case broke:
				var p *supervise.PanicError
				if errors.As(m.err, &p) {
					panic(p) // with its stack
				}
				panic(m.err) // its supervisor starts it anew
			}
		})
	}}
}

// run listens until ctx ends.
func (r *Remoting) run(ctx context.Context, log *zap.Logger, ready func()) error {
	i, err := r.begin(ctx, log, ready)
	if err != nil {
		return err
	}
	r.note(nil)
	i.lookup.sweep(i.provider.Ctx()) // until members are not told any more
	return i.end()
}
