package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// unwellFor is how long probes in a row, two at least, must find a stream unwell: one
// that is being made or removed is, for a moment, and on a busy machine for longer.
const unwellFor = 3 * time.Second

// maxRequests is how many requests are answered at a time.
const maxRequests = 16

// Pauses between two attempts to start.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 10 * time.Second
)

// errSwitchedOff: the server met a full disk.
var errSwitchedOff = errors.New("JetStream is switched off")

// state is where the actor is; see doc.go.
type state uint8

const (
	starting state = iota
	running
	stopping
	waiting
)

func (s state) String() string {
	return [...]string{"starting", "running", "stopping", "waiting"}[s]
}

// The actor's messages: requests, and what its goroutines report.
type (
	statusRequest  struct{ ctx context.Context }
	streamsRequest struct{ ctx context.Context }

	probeDue struct{}
	probed   struct {
		run    *run
		unwell []string // streams
		err    error    // final
	}
	again   struct{}           // start another run
	started struct{ run *run } // it serves
	paused  struct{ run *run } // it waits for space on the disk
	ended   struct {           // it is over
		run *run
		err error // why; nil when it was asked to
	}
)

// run is one life of a server (embedded) or of a link to it (external). One
// goroutine owns it from beginning to end.
type run struct {
	release chan struct{} // closed to end it
	nc      *nats.Conn
	js      jetstream.JetStream // of the program's account
	clients jetstream.JetStream // of the clients'; the same at a server with one account

	// The actor's: what the first probe found unwell, which a restart has not
	// cured, how many probes in a row found more, and when the first of those did.
	known   map[string]bool
	strikes int
	struck  time.Time
}

// serverActor is root/broker/server.
type serverActor struct {
	h      *Handle
	state  state
	run    *run  // nil between two runs
	cause  error // why the last run ended
	probes supervise.InFlight
	slots  chan struct{}
	pause  time.Duration
}

func newServerActor(h *Handle) *serverActor {
	return &serverActor{h: h, slots: make(chan struct{}, maxRequests)}
}

// Receive handles one message.
func (a *serverActor) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.h.ref.Store(&ref{c.System(), c.Self()})
		c.Every(a.h.cfg.ProbeInterval, probeDue{})
		a.begin(c)
	case *actor.Stopping, *actor.Restarting:
		a.h.setUp(ErrNotRunning) // the run ends by itself, with the incarnation
	case again:
		a.begin(c)
	case paused:
		a.state = waiting
	case started:
		a.up(c)
	case ended:
		a.down(c, m.err)
	case probeDue:
		a.probe(c)
	case probed:
		a.judge(c, m)
	case statusRequest:
		a.answer(m.ctx, c, func(ctx context.Context, r *run) (any, error) { return a.h.status(ctx, r) })
	case streamsRequest:
		a.answer(m.ctx, c, func(ctx context.Context, r *run) (any, error) { return listStreams(ctx, r) })
	}
}

// begin starts a run.
func (a *serverActor) begin(c *supervise.Context) {
	if a.run != nil {
		return
	}
	a.state = starting
	r := &run{release: make(chan struct{})}
	a.run = r
	offBefore := errors.Is(a.cause, errSwitchedOff)
	c.Go(func(ctx context.Context) {
		err := a.h.live(ctx, c, r, offBefore)
		c.After(0, ended{r, err})
	})
}

func (a *serverActor) up(c *supervise.Context) {
	a.state, a.pause, a.cause = running, 0, nil
	a.h.setUp(nil)
	c.Log().Info("broker is up", zap.String("mode", a.h.cfg.Mode), zap.String("url", a.h.ClientURL()))
	c.Ready()
}

// down plans the next run.
func (a *serverActor) down(c *supervise.Context, err error) {
	if err != nil {
		a.cause = err
	}
	a.run = nil
	a.state = waiting
	a.h.setUp(fmt.Errorf("%w: %w", ErrNotRunning, a.cause))
	a.pause = min(max(2*a.pause, firstPause), lastPause)
	if errors.Is(a.cause, errSwitchedOff) {
		a.pause = 0 // the run itself waits, for space
	}
	a.h.metrics.restarts.Inc()
	c.Log().Error("broker is down, it will be started again", zap.Error(a.cause), zap.Duration("pause", a.pause))
	c.After(a.pause, again{})
}

func (a *serverActor) probe(c *supervise.Context) {
	r := a.run
	if a.state != running || r == nil {
		return
	}
	a.probes.Start(c, func(context.Context) any {
		unwell, err := a.h.probe(r)
		return probed{r, unwell, err}
	})
}

// judge ends a run whose server has to be started again; a link to an external
// server makes itself anew.
func (a *serverActor) judge(c *supervise.Context, m probed) {
	if m.run != a.run || a.state != running {
		return
	}
	if a.h.cfg.Mode == External || errors.Is(m.err, errLeaderless) {
		a.link(c, m.err)
		return
	}
	if m.err == nil && a.h.cfg.Clustered() {
		a.link(c, nil)
	}
	if m.err == nil {
		m.err = a.strike(c, m)
	}
	if m.err == nil {
		return
	}
	c.Log().Error("broker has to be restarted", zap.Error(m.err))
	a.cause, a.state = m.err, stopping
	a.h.setUp(fmt.Errorf("%w: %w", ErrNotRunning, m.err))
	close(m.run.release)
}

// link notes how the link to an external server is, or to the other servers of a
// cluster, and says so when that changes.
func (a *serverActor) link(c *supervise.Context, err error) {
	before := a.h.Up()
	a.h.setUp(err)
	switch {
	case before == nil && err != nil:
		c.Log().Warn("broker is out of reach", zap.Error(err), zap.String("url", redacted(a.h.cfg.URL)))
	case before != nil && err == nil:
		c.Log().Info("broker is in reach again", zap.String("url", redacted(a.h.cfg.URL)))
	}
}

// strike counts the probes in a row that find a stream unwell which was well when
// the server had started: one that met a full disk refuses without a word until
// the server is started again. The first probe may see a stream being removed.
func (a *serverActor) strike(c *supervise.Context, m probed) error {
	r := m.run
	if r.known == nil {
		r.known = make(map[string]bool)
		for _, stream := range m.unwell {
			r.known[stream] = true
			c.Log().Error("stream is unwell since the start", zap.String("stream", stream))
		}
		return nil
	}
	m.unwell = slices.DeleteFunc(m.unwell, func(stream string) bool { return r.known[stream] })
	if len(m.unwell) == 0 {
		r.strikes = 0
		return nil
	}
	if r.strikes++; r.strikes == 1 {
		r.struck = time.Now()
	}
	if r.strikes < 2 || time.Since(r.struck) < unwellFor {
		return nil
	}
	return fmt.Errorf("%w: streams %s cannot be written", errSwitchedOff, strings.Join(m.unwell, ", "))
}

// answer runs fn beside the actor and sends what it returns to the asker.
func (a *serverActor) answer(ctx context.Context, c *supervise.Context, fn func(ctx context.Context, r *run) (any, error)) {
	sender, r := c.Sender(), a.run
	if a.state != running || r == nil {
		r = nil
	}
	select {
	case a.slots <- struct{}{}:
	default:
		c.Respond(ErrBusy)
		return
	}
	root := c.System().Actors().Root
	c.Go(func(life context.Context) {
		defer func() { <-a.slots }()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		value, err := fn(ctx, r)
		if err != nil {
			value = err
		}
		root.Send(sender, value)
	})
}

// live is one run: it starts the server, serves until it is released or ctx ends,
// and shuts the server down. The error says why it ended by itself.
func (h *Handle) live(ctx context.Context, c *supervise.Context, r *run, offBefore bool) error {
	if h.cfg.Mode == External {
		return h.link(ctx, c, r)
	}
	if offBefore {
		c.After(0, paused{r})
		if err := h.awaitSpace(ctx); err != nil {
			return err
		}
	}
	around, err := h.surroundings(ctx, c.Log())
	if err != nil {
		return err
	}
	lock, err := lockStore(h.cfg.StoreDir, doingServe)
	if err != nil {
		return err
	}
	defer lock.release() //nolint:errcheck // nothing was written that matters
	before, err := formOf(h.cfg.StoreDir)
	if err != nil {
		return err
	}
	joining, err := readJoining(h.cfg.StoreDir)
	if err != nil {
		return err
	}
	srv, err := startServer(ctx, h.cfg, around, c.Log())
	if err != nil {
		return err
	}
	defer stopServer(srv)
	if h.cfg.Clustered() {
		// Before, there is nobody to make a stream, or to say which there are.
		if err := h.awaitPeers(ctx, srv, before != inCluster || joining != nil, c.Log()); err != nil {
			return err
		}
	}
	if joining != nil {
		if err := h.settle(ctx, srv, c.Log()); err != nil {
			return err
		}
	}
	h.serve(srv)
	defer h.withdraw(srv)
	return h.link(ctx, c, r)
}

// surroundings reads the certificates and finds out where the other servers are.
func (h *Handle) surroundings(ctx context.Context, log *zap.Logger) (surroundings, error) {
	var s surroundings
	var err error
	if h.cfg.TLS.on() {
		if s.certs, err = openCertificates(h.cfg.TLS, log, h.registerer); err != nil {
			return s, err
		}
	}
	h.certs.Store(s.certs)
	if !h.cfg.Clustered() {
		return s, nil
	}
	if h.cfg.Cluster.TLS.on() {
		if s.joint, err = openJoint(h.cfg.Cluster.TLS, log, h.registerer); err != nil {
			return s, err
		}
	}
	if s.routes, err = h.findRoutes(ctx, log); err != nil {
		return s, err
	}
	h.cfg.sayRoutes(log, s.routes)
	return s, nil
}

// link connects to both accounts, makes the streams, and holds the connections.
func (h *Handle) link(ctx context.Context, c *supervise.Context, r *run) error {
	nc, js, err := h.open(ctx, h.Connect)
	if err != nil {
		return err
	}
	defer nc.Close()
	r.nc, r.js, r.clients = nc, js, js
	if !h.oneAccount() {
		own, clients, err := h.open(ctx, h.ConnectClients)
		if err != nil {
			return err
		}
		defer own.Close()
		r.clients = clients
		if !h.cfg.Clustered() {
			if err := dropLeftovers(ctx, js, h.cfg.Streams, c.Log()); err != nil {
				return err
			}
		}
	}
	if err := h.ensure(ctx, r.clients, c.Log()); err != nil {
		return err
	}
	c.After(0, started{r})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.release:
		return nil
	}
}

func (h *Handle) open(ctx context.Context, connect func(context.Context, string, ...nats.Option) (*nats.Conn, error)) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := connect(ctx, "marketprism broker")
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return nc, js, nil
}

// probe looks at a run.
func (h *Handle) probe(r *run) (unwell []string, err error) {
	if h.cfg.Mode == External {
		if s := r.nc.Status(); s != nats.CONNECTED {
			return nil, fmt.Errorf("%w: connection %s", ErrNotRunning, s)
		}
		return nil, nil
	}
	srv := h.running()
	switch {
	case srv == nil:
		return nil, nil // ending already
	case h.cfg.Clustered():
		return nil, h.probePeers(srv)
	}
	return probeServer(srv)
}

// ensure makes the configured streams. In a cluster that takes a majority of the
// nodes, and as long as it takes.
func (h *Handle) ensure(ctx context.Context, js jetstream.JetStream, log *zap.Logger) error {
	pause, within := firstPause, apiTimeout
	if h.cfg.Clustered() {
		within = clusterTimeout
	}
	for {
		err := ensureStreams(ctx, js, h.cfg.Streams, within, log)
		if err == nil || !h.cfg.Clustered() || ctx.Err() != nil {
			return err
		}
		log.Warn("the cluster does not make the streams yet; they are tried again", zap.Error(err), zap.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// awaitSpace waits until the store's disk has room again.
func (h *Handle) awaitSpace(ctx context.Context) error {
	tick := time.NewTicker(h.cfg.ProbeInterval)
	defer tick.Stop()
	for {
		free, err := h.free()
		if err == nil && free >= uint64(h.cfg.RestartFreeBytes) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for space on the broker's disk: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
