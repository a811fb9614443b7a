package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// RootID is the id of the root of every tree.
const RootID = "root"

// Options of a [System]. All are optional.
type Options struct {
	Logger     *zap.Logger           // nil: none
	Registerer prometheus.Registerer // nil: metrics are kept but not exported
	Config     Config                // zero: DefaultConfig
	Clock      Clock                 // nil: WallClock
	Jitter     func() float64        // in [0, 1); nil: math/rand/v2
	// OnFatal is called once when the root gives up, on the root's goroutine: it
	// must return at once.
	OnFatal func(error)
}

// System is an actor system with its supervision tree.
type System struct {
	ctx     context.Context // values only; never cancelled
	actors  *actor.ActorSystem
	tree    *Tree
	metrics *metrics
	logger  *zap.Logger
	config  Config
	clock   Clock
	jitter  func() float64
	onFatal func(error)
	epoch   time.Time

	ready    atomic.Bool
	upOnce   sync.Once
	allUp    chan struct{}
	fatal    chan struct{}
	shutdown sync.Once

	mu        sync.Mutex
	root      *node
	started   bool
	stopping  bool
	err       error
	abandoned []string
}

// NewSystem makes a system. The values of ctx reach the actors' goroutines, its
// cancellation does not: Stop ends them, in order.
func NewSystem(ctx context.Context, o Options) (*System, error) {
	s := &System{
		ctx:    context.WithoutCancel(ctx),
		logger: o.Logger, config: o.Config, clock: o.Clock, jitter: o.Jitter, onFatal: o.OnFatal,
		epoch: time.Now(), allUp: make(chan struct{}), fatal: make(chan struct{}),
	}
	if s.logger == nil {
		s.logger = zap.NewNop()
	}
	if s.config == (Config{}) {
		s.config = DefaultConfig()
	}
	if err := s.config.Validate(); err != nil {
		return nil, fmt.Errorf("actor system: %w", err)
	}
	if s.clock == nil {
		s.clock = WallClock{}
	}
	if s.jitter == nil {
		s.jitter = rand.Float64
	}
	s.tree = newTree(s, s.config.EventHistory)
	var err error
	if s.metrics, err = newMetrics(s.tree, o.Registerer); err != nil {
		return nil, fmt.Errorf("actor system: %w", err)
	}
	s.actors = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slogBridge{logger: s.logger.Named("protoactor")})
		}),
		// The library keeps a goroutine for this long after a dead letter.
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)
	s.actors.EventStream.Subscribe(func(e any) {
		switch e := e.(type) {
		case *actor.SupervisorEvent:
			supervised(s.logger, e)
		case *actor.DeadLetterEvent:
			s.tree.letter(e)
		}
	})
	return s, nil
}

// Start starts the root and its children in order and returns when all are ready.
// It returns early when the root gives up or ctx ends; then the system is to be
// stopped. It may be called once.
func (s *System) Start(ctx context.Context, children ...Spec) error {
	spec := Branch(RootID, s.config.Root, children...).clone()
	if err := spec.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.started || s.stopping {
		s.mu.Unlock()
		return errors.New("supervise: the system was started before")
	}
	s.started = true
	s.mu.Unlock()
	if _, err := s.actors.Root.SpawnNamed(s.props(spec, nil), RootID); err != nil {
		return fmt.Errorf("starting the root: %w", err)
	}
	select {
	case <-s.allUp:
		return nil
	case <-s.fatal:
		return fmt.Errorf("starting: %w", s.Err())
	case <-ctx.Done():
		return fmt.Errorf("starting: %w", ended(ctx))
	}
}

// Stop stops all actors in reverse order, shuts the library down and returns. It
// is idempotent. When ctx ends first it returns ErrTimeout and may be called
// again. ErrAbandoned names actors that did not stop in time.
func (s *System) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	root := s.root
	s.mu.Unlock()
	s.ready.Store(false)
	if root != nil && !root.ended() {
		s.actors.Root.Stop(root.pid())
		select {
		case <-root.done:
		case <-ctx.Done():
			return fmt.Errorf("stopping: %w", ended(ctx))
		}
	}
	s.shutdown.Do(s.actors.Shutdown)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.abandoned) > 0 {
		return fmt.Errorf("%w: %s", ErrAbandoned, strings.Join(s.abandoned, ", "))
	}
	return nil
}

// Ready reports whether everything was started and nothing escalated to the top.
// It turns false when Stop is called.
func (s *System) Ready() bool { return s.ready.Load() }

// Fatal is closed when the root gives up; Err says why. The process should stop
// the system and exit non-zero.
func (s *System) Fatal() <-chan struct{} { return s.fatal }

// Err is the failure that made Fatal close, or nil.
func (s *System) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Actors is the protoactor system below, for remoting and cluster. Do not call
// its Shutdown.
func (s *System) Actors() *actor.ActorSystem { return s.actors }

// Tree is the registry of all actors.
func (s *System) Tree() *Tree { return s.tree }

// Lookup finds an actor that has not stopped by its id.
func (s *System) Lookup(id string) (*actor.PID, bool) {
	n, ok := s.tree.get(id)
	if !ok || n.ended() {
		return nil, false
	}
	return n.pid(), true
}

// StartChild adds a child to a running branch and returns its PID when it is
// ready. The spec belongs to the branch from then on, survives its restarts, and
// is gone after StopChild. Errors: those of Ask and of [ChildReply].
func (s *System) StartChild(ctx context.Context, branch string, spec Spec) (*actor.PID, error) {
	r, err := s.askBranch(ctx, branch, AddChild{Spec: spec})
	return r.PID, err
}

// StopChild stops a child of a branch, drained, and forgets its spec.
func (s *System) StopChild(ctx context.Context, branch, name string) error {
	_, err := s.askBranch(ctx, branch, RemoveChild{Name: name})
	return err
}

// RestartChild restarts a child of a branch now and returns when it is ready.
func (s *System) RestartChild(ctx context.Context, branch, name string) error {
	_, err := s.askBranch(ctx, branch, CycleChild{Name: name})
	return err
}

func (s *System) askBranch(ctx context.Context, branch string, message any) (ChildReply, error) {
	n, ok := s.tree.get(branch)
	switch {
	case !ok || n.ended():
		return ChildReply{}, fmt.Errorf("%s: %w", branch, ErrStopped)
	case n.spec.branch == nil:
		return ChildReply{}, fmt.Errorf("%s: %w", branch, ErrNotBranch)
	}
	r, err := Ask[ChildReply](ctx, s, n.pid(), message)
	if err != nil {
		return ChildReply{}, err
	}
	if r.Err != nil {
		return r, fmt.Errorf("%s/%s: %w", branch, r.Name, r.Err)
	}
	return r, nil
}

// Props makes protoactor props of a spec, reusable for any number of actors (for
// cluster kinds). Its Name is ignored: the actor has the name it is spawned with.
func (s *System) Props(spec Spec) (*actor.Props, error) {
	if spec.Name == "" {
		spec.Name = spec.Kind
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return s.props(spec, nil), nil
}

// props makes props of a spec; boss is the queue of the supervisor that owns what
// they spawn.
func (s *System) props(spec Spec, boss *queue) *actor.Props {
	spec = spec.withDefaults()
	spawn := func(as *actor.ActorSystem, id string, _ *actor.Props, parent actor.SpawnerContext) (*actor.PID, error) {
		own := spec
		if boss == nil {
			own = spec.clone()
		}
		n := s.newNode(id, parent.Self(), own, boss)
		if !s.tree.add(n) {
			return n.pid(), actor.ErrNameExists
		}
		if id == RootID {
			s.setRoot(n)
		}
		pid, err := actor.DefaultSpawner(as, id, actor.PropsFromProducer(
			func() actor.Actor { return newBase(n) },
			actor.WithMailbox(func() actor.Mailbox { return n.queue }),
		), parent)
		if err != nil {
			s.tree.forget(n)
		}
		return pid, err
	}
	return actor.PropsFromProducer(func() actor.Actor { return nil }, actor.WithSpawnFunc(spawn))
}

func (s *System) newNode(id string, parent *actor.PID, spec Spec, boss *queue) *node {
	n := &node{
		sys: s, id: id, parent: parent.GetId(), name: id[strings.LastIndexByte(id, '/')+1:],
		spec: spec, boss: boss, self: s.actors.NewLocalPID(id),
		kind: s.metrics.kind(spec.Kind, spec.Exchange), done: make(chan struct{}),
	}
	n.meter = newMeter(n.kind)
	n.queue = newQueue(n)
	return n
}

func (s *System) setRoot(n *node) {
	s.mu.Lock()
	s.root = n
	s.mu.Unlock()
}

func (s *System) isRoot(n *node) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root == n
}

// nanos is the monotonic time since the system was made, never 0.
func (s *System) nanos() int64 { return int64(time.Since(s.epoch)) + 1 }

func (s *System) deadLetter(pid *actor.PID, message any) {
	s.actors.DeadLetter.SendUserMessage(pid, message)
}

// up is called when an actor is ready.
func (s *System) up(n *node) {
	if !s.isRoot(n) {
		return
	}
	s.mu.Lock()
	ok := !s.stopping && s.err == nil
	s.mu.Unlock()
	s.ready.Store(ok)
	s.upOnce.Do(func() { close(s.allUp) })
}

// down is called when an actor has stopped.
func (s *System) down(n *node) {
	if n.boss == nil && !s.isRoot(n) {
		s.tree.forget(n)
		return
	}
	if s.isRoot(n) {
		s.giveUp(fmt.Errorf("root: %w", ErrEnded))
	}
}

// escalated is called when a branch gives up.
func (s *System) escalated(n *node, err error) {
	if s.isRoot(n) {
		s.giveUp(err)
	}
}

// giveUp makes the system unready for good, unless it is being stopped.
func (s *System) giveUp(err error) {
	s.mu.Lock()
	first := s.err == nil && !s.stopping
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if !first {
		return
	}
	s.ready.Store(false)
	s.logger.Error("the root gives up, the process is to end", errorFields(err)...)
	close(s.fatal)
	if s.onFatal != nil {
		s.onFatal(err)
	}
}

// abandon notes an actor that does not stop.
func (s *System) abandon(n *node) {
	s.mu.Lock()
	s.abandoned = append(s.abandoned, n.id)
	s.mu.Unlock()
	n.kind.abandoned.Inc()
	n.event(Event{Kind: EventAbandoned})
	n.log().Error("actor does not stop and is left behind")
}
