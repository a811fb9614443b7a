package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/placement"
)

// Name is the branch's in the tree; it stands below the root.
const Name = "placement"

// Share is what a plan gives to this node.
type Share struct {
	Revision uint64
	// Epoch is above that of everybody who had the streams before.
	Epoch   int64
	Streams map[string]struct{}
}

// Demand is what is to be placed.
type Demand struct {
	Streams []placement.Stream
	Limits  placement.Limits
	// Unknown are groups of which it is not known yet what is wanted: what is placed of
	// them stays.
	Unknown []string
}

// Collector is this node's. A stream is named exchange/market/symbol, a group
// exchange/market.
type Collector interface {
	// Demand is what is wanted of the markets that this node runs.
	Demand() Demand
	// Markets are those that it runs by its settings, in order, without what is wanted of
	// them.
	Markets() []Market
	// Sharers says how many nodes, this one included, have what an exchange allows one
	// address together, by market; of others this node has it alone.
	Sharers(nodes map[string]int)
	// Take takes a share; it does not wait for what that brings about.
	Take(s Share) error
	// Waiting are streams that have been made, and hold what they receive.
	Waiting() []string
	// Recording are those that record, whether they are this node's or not.
	Recording() []string
	// Begin lets streams record. Seamless are those whose owner before left no hole.
	Begin(ids, seamless []string)
	// Yield gives up what runs here and is not this node's by a plan of at least that
	// revision; it returns when the journal has all of it.
	Yield(ctx context.Context, ids []string, revision uint64) (seamless, refused []string, err error)
	// Streams counts those that record, and those that do not yet.
	Streams() (recording, waiting int)
}

// Members are nodes with a collector.
type Members struct {
	Nodes []placement.Node
	// Known is false before anybody said who there is.
	Known bool
	// Says are those that tell what they can collect (all but those of versions before
	// that).
	Says map[string]bool
	// Changed is closed when there are others.
	Changed <-chan struct{}
}

// Lease is the right to write the plan; cluster/consul has one.
type Lease interface {
	Acquire(ctx context.Context) (lost <-chan struct{}, release func(), err error)
}

// Options say what a [Coordinator] works with. All but Drained and Registerer are needed.
type Options struct {
	Config cluster.PlacementConfig
	// Node is this one's name; Cluster keeps several on one broker apart.
	Node, Cluster string
	Collector     Collector
	Plans         bucket.Store
	Lease         Lease
	// Members are the nodes to place on, Alive those that may still record what they had:
	// a node that leaves is in the second alone.
	Members, Alive func() Members
	// Epoch takes a new ownership number, above all that there were.
	Epoch func(context.Context) (int64, error)
	// Drained is told when this node is to have no streams any more, and when it is again;
	// it must not block. nil: nobody else needs to know.
	Drained func(bool)
	// Connect connects to the broker.
	Connect    func(context.Context) (*nats.Conn, error)
	Registerer prometheus.Registerer
	// ForgetAfter is for how long a node is away until what it said it can collect is
	// forgotten; 0 is an hour.
	ForgetAfter time.Duration
}

// Coordinator is the handle of the branch. Its methods are safe for concurrent use.
type Coordinator struct {
	o       Options
	metrics *metrics
	ready   chan struct{} // has room for one: there are streams that wait

	mu      sync.Mutex
	plan    Plan
	known   bool          // whether there is a plan is known
	turn    chan struct{} // closed when plan, known or leaving change
	leaving bool
	share   Share
	trouble error // why plans cannot be followed
	drains  map[string]Drain
	// abilities are by node, pins by stream.
	abilities map[string]ability
	pins      map[string]pinned
	plans     bool   // this node makes them
	moves     []Move // the last ones
}

// New makes a coordinator; nothing runs until its Spec is started.
func New(o Options) (*Coordinator, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of placement: %w", err)
	}
	if o.Node == "" || o.Collector == nil || o.Plans == nil || o.Lease == nil || o.Members == nil || o.Alive == nil || o.Epoch == nil || o.Connect == nil {
		return nil, errors.New("coordinator: an option is missing")
	}
	if o.ForgetAfter <= 0 {
		o.ForgetAfter = forgetAfter
	}
	c := &Coordinator{o: o, ready: make(chan struct{}, 1), turn: make(chan struct{})}
	var err error
	if c.metrics, err = newMetrics(c, o.Registerer); err != nil {
		return nil, fmt.Errorf("metrics of placement: %w", err)
	}
	return c, nil
}

// Spec is the branch: root/placement.
func (c *Coordinator) Spec() supervise.Spec {
	return supervise.Branch(Name, supervise.DefaultStrategy(), c.answersSpec(),
		worker("plan", c.follow), worker("handoff", c.handOff), worker("say", c.say), worker("address", c.crowd), worker("tidy", c.tidy), worker("lead", c.lead))
}

// listening: other nodes can ask this one.
type listening struct{}

// answersSpec is ready once other nodes can ask this one: before it announces itself.
func (c *Coordinator) answersSpec() supervise.Spec {
	return supervise.Spec{Name: "answers", Kind: "placement", AwaitReady: true, ShutdownTimeout: 20 * time.Second, New: func() supervise.Actor {
		return supervise.ActorFunc(func(ac *supervise.Context) {
			switch ac.Message().(type) {
			case *actor.Started:
				self, system, log := ac.Self(), ac.System(), ac.Log()
				ac.Go(func(ctx context.Context) {
					if err := c.answer(ctx, log, func() error { return system.Tell(self, listening{}) }); err != nil && ctx.Err() == nil {
						panic(err) // its supervisor has it listen anew
					}
				})
			case listening:
				ac.Ready()
			}
		})
	}}
}

// worker is an actor that does one thing until it is stopped.
func worker(name string, run func(context.Context, *zap.Logger)) supervise.Spec {
	return supervise.Spec{Name: name, Kind: "placement", ShutdownTimeout: 20 * time.Second, New: func() supervise.Actor {
		return supervise.ActorFunc(func(c *supervise.Context) {
			if _, ok := c.Message().(*actor.Started); ok {
				c.Go(func(ctx context.Context) { run(ctx, c.Log()) })
			}
		})
	}}
}

// Ready says that streams wait for their beginning. It does not block.
func (c *Coordinator) Ready() {
	select {
	case c.ready <- struct{}{}:
	default: // somebody looks already
	}
}

// Plan is the plan in force; false as long as there is none.
func (c *Coordinator) Plan() (Plan, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plan, c.plan.Revision > 0
}

// Err says why this node cannot follow plans; nil when it can.
func (c *Coordinator) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

func (c *Coordinator) stumble(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = err
}

// state is what workers go by.
type state struct {
	plan    Plan
	known   bool
	leaving bool
	share   Share
	// The maps are not to be changed.
	drains    map[string]Drain
	abilities map[string]ability
	pins      map[string]pinned
	changed   <-chan struct{}
}

func (c *Coordinator) state() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	return state{c.plan, c.known, c.leaving, c.share, c.drains, c.abilities, c.pins, c.turn}
}

// change changes the state and wakes those who wait for that.
func (c *Coordinator) change(edit func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit()
	close(c.turn)
	c.turn = make(chan struct{})
}

// others are those of some members that are not this node.
func (c *Coordinator) others(of func() Members) (names []string, m Members) {
	m = of()
	for _, n := range m.Nodes {
		if n.ID != c.o.Node {
			names = append(names, n.ID)
		}
	}
	return names, m
}

// leaveLook is how often a node that leaves looks whether it still has streams.
const leaveLook = 20 * time.Millisecond

// Leave has the other nodes take this one's streams, and returns when they have all of
// them, there is nobody to take them, or ctx ends. How many are left it returns.
func (c *Coordinator) Leave(ctx context.Context) (left int) {
	c.change(func() { c.leaving = true })
	look := time.NewTicker(leaveLook)
	defer look.Stop()
	for {
		recording, _ := c.o.Collector.Streams()
		if others, _ := c.others(c.o.Members); recording == 0 || len(others) == 0 {
			return recording
		}
		select {
		case <-ctx.Done():
			return recording
		case <-look.C:
		}
	}
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
