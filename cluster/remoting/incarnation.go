package remoting

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	library "github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster/provider"
)

// What peers can name.
const (
	nodeID      = supervise.RootID + "/node"
	activatorID = supervise.RootID + "/activator"
	streamsID   = supervise.RootID + "/streams"

	// nodeAtOnce is how many questions to the node are answered at once, activatorAtOnce
	// how many for an actor of a stream.
	nodeAtOnce      = 16
	activatorAtOnce = 64
)

// never is an interval of the library's gossip, which would give up members by itself.
const never = time.Duration(math.MaxInt64)

// incarnation is one life of the library's parts.
type incarnation struct {
	r        *Remoting
	log      *zap.Logger
	system   *supervise.System // of what peers can name
	cluster  *library.Cluster
	provider *provider.Provider
	lookup   *lookup
	calls    *calls
	failed   error // of setUp
}

// begin starts the library's parts, and returns when members are told. The library
// panics over what it cannot do.
func (r *Remoting) begin(ctx context.Context, log *zap.Logger, ready func()) (i *incarnation, err error) {
	i = &incarnation{r: r, log: log}
	if i.system, err = supervise.NewSystem(ctx, supervise.Options{Logger: log.WithOptions(zap.WrapCore(calmed))}); err != nil {
		return nil, err
	}
	self := provider.Member{Node: r.o.Node, Host: r.o.Advertise, Port: r.port}
	if r.o.Streams != nil {
		self.Kinds = []string{StreamKind}
	}
	i.provider = provider.New(ctx, self, r.o.Members, func() {
		if i.failed == nil {
			r.current.Store(i)
			ready()
		}
	})
	i.lookup = &lookup{i: i, active: map[string]*spokesman{}}
	i.calls = &calls{
		system: i.system.Actors(), self: self.Address(), node: r.o.Node, timeout: r.o.Config.Timeout, metrics: r.metrics, log: log,
		links: map[string]*link{},
	}
	i.calls.watch()
	config := library.Configure(r.o.Cluster, i.provider, i.lookup, i.remote(self), library.WithHeartbeatExpiration(never), library.WithRequestTimeout(r.o.Config.Timeout))
	config.GossipInterval = never
	i.cluster = library.New(i.system.Actors(), config)
	i.count()
	if err := errors.Join(caught(i.cluster.StartMember), i.failed); err != nil {
		return nil, errors.Join(fmt.Errorf("starting remoting at %s: %w", self.Address(), err), i.end())
	}
	return i, nil
}

// setUp starts what peers can name. The library has an address by now, which is in every
// name from here on.
func (i *incarnation) setUp(*library.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	i.failed = i.system.Start(ctx,
		i.deskSpec("node", "node", nodeAtOnce, i.serveNode),
		supervise.Branch("streams", supervise.DefaultStrategy()),
		i.deskSpec("activator", "activator", activatorAtOnce, i.lookup.serve),
	)
}

// count follows the members for the metric.
func (i *incarnation) count() {
	i.system.Actors().EventStream.Subscribe(func(e any) {
		t, ok := e.(*library.ClusterTopology)
		if !ok {
			return
		}
		i.r.metrics.members.Set(float64(len(t.GetMembers())))
		for _, m := range t.GetJoined() {
			if m.GetId() == i.system.Actors().ID {
				continue
			}
			i.log.Info("member can be asked", zap.String("member", m.GetId()), zap.String("address", m.Address()))
		}
		for _, m := range t.GetLeft() {
			i.log.Info("member is gone", zap.String("member", m.GetId()), zap.String("address", m.Address()))
		}
	})
}

// remote is the library's configuration of the port, and of connections to others.
func (i *incarnation) remote(self provider.Member) *remote.Config {
	hands := &handshakes{pair: i.r.o.Certificates, metrics: i.r.metrics, failed: i.calls.fail}
	g := &guard{i.r.o.Certificates, i.log, i.r.metrics}
	c := remote.Configure(bracketed(i.r.o.Listen), i.r.port,
		remote.WithAdvertisedHost(self.Address()),
		remote.WithEndpointWriterQueueSize(1024),
		remote.WithEndpointManagerQueueSize(1024),
		remote.WithServerOptions(
			grpc.Creds(hands),
			grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
			grpc.MaxConcurrentStreams(16), grpc.ConnectionTimeout(handshakeWithin),
			grpc.StreamInterceptor(g.stream), grpc.UnaryInterceptor(g.unary),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		),
		remote.WithDialOptions(
			grpc.WithTransportCredentials(hands), grpc.WithNoProxy(),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: handshakeWithin,
			}),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		),
	)
	c.MaxRetryCount = 1 // the actor that connects sleeps for two seconds after each
	return c
}

// bracketed is a host as the library puts it before a colon.
func bracketed(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return "[" + host + "]"
	}
	return host
}

// end stops everything, in the order that loses no answer: nobody is asked any more, the
// actors that peers can name end, then the connections and the port.
func (i *incarnation) end() error {
	i.r.current.CompareAndSwap(i, nil)
	i.lookup.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	err := errors.Join(i.provider.Shutdown(true), i.system.Stop(ctx))
	i.calls.end()
	return errors.Join(err, caught(i.cluster.Gossip.Shutdown), i.close())
}

// closeWithin is how long connections may take to end in order.
const closeWithin = 2 * time.Second

// close ends the connections and the port.
func (i *incarnation) close() error {
	if i.cluster.Remote == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- caught(func() { i.cluster.Remote.Shutdown(true) }) }()
	t := time.NewTimer(closeWithin)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C: // somebody keeps a connection open
	}
	err := caught(func() { i.cluster.Remote.Shutdown(false) })
	return errors.Join(err, <-done)
}

// caught makes an error of a panic of the library.
func caught(call func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if e, ok := p.(error); ok {
				err = fmt.Errorf("protoactor: %w", e)
				return
			}
			err = fmt.Errorf("protoactor: %v", p)
		}
	}()
	call()
	return nil
}
