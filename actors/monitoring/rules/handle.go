package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/series"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Options are what the rule engine stands on.
type Options struct {
	Config Config
	Engine *promql.Engine
	Store  *series.Store
	// Builtin are the rules when no files are configured; nil is none.
	Builtin Source
	Sink    alert.Sink // nil: alerts are told to nobody
	Memory  Memory     // nil: the state of alerts does not survive a restart
	// Begin is closed once this process's own services answer; nil begins at once.
	Begin      <-chan struct{}
	Registerer prometheus.Registerer
	Now        func() time.Time // nil is time.Now
}

// Name of the actor.
const Name = "rules"

// Handle shows the rules. It outlives the actor and is safe for concurrent use.
type Handle struct {
	options Options
	source  Source
	metrics *metrics
	engine  atomic.Pointer[ref]

	mu     sync.RWMutex
	groups []*Group
	fault  error // why the files are not in use as they are
}

type ref struct {
	system *supervise.System
	pid    *actor.PID
}

// New makes the handle of an actor that starts with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if o.Engine == nil || o.Store == nil {
		return nil, errors.New("rules: Engine and Store are needed")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if o.Sink == nil {
		o.Sink = alert.Discard{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Begin == nil {
		begun := make(chan struct{})
		close(begun)
		o.Begin = begun
	}
	h := &Handle{options: o, source: Files(o.Config.Files)}
	if len(o.Config.Files) == 0 {
		h.source = o.Builtin
	}
	if h.source == nil {
		h.source = func() ([]File, error) { return nil, nil }
	}
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("rule metrics: %w", err)
	}
	return h, nil
}

// Spec is the actor "rules".
func (h *Handle) Spec() supervise.Spec {
	return supervise.Spec{
		Name: Name, Kind: "rule_engine", Mailbox: supervise.Mailbox{Capacity: 4096}, ShutdownTimeout: 10 * time.Second,
		New: func() supervise.Actor { return &engine{h: h, running: map[string]*turn{}} },
	}
}

// Groups are all groups as they are, by file and in its order.
func (h *Handle) Groups() []GroupView {
	var out []GroupView
	for _, g := range h.current() {
		out = append(out, g.View())
	}
	return out
}

func (h *Handle) current() []*Group {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.groups)
}

// Fault is why the rule files are not in use as they are; nil when they are.
func (h *Handle) Fault() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.fault
}

// Reload reads the files now. Errors: what is wrong with them (the older rules stay),
// or those of supervise.Ask.
func (h *Handle) Reload(ctx context.Context) error {
	r := h.engine.Load()
	if r == nil {
		return supervise.ErrStopped
	}
	done, err := supervise.Ask[reloaded](ctx, r.system, r.pid, reload{})
	if err != nil {
		return err
	}
	return done.err
}

// replace takes over new groups: those that stay the same keep their place in time and
// all state. It returns those that are no more.
func (h *Handle) replace(files map[string][]promql.Group) (gone []*Group) {
	with := h.options.Config.evaluator()
	with.Query, with.Record = h.options.Engine.Vector, h.options.Store.Record
	h.mu.Lock()
	defer h.mu.Unlock()
	old := map[string]*Group{}
	for _, g := range h.groups {
		old[g.key()] = g
	}
	h.groups = nil
	for name, groups := range files {
		for _, def := range groups {
			g := NewGroup(name, def, h.options.Config.Interval, with)
			if before := old[g.key()]; before != nil {
				g.Adopt(before)
				delete(old, g.key())
			}
			h.groups = append(h.groups, g)
		}
	}
	slices.SortStableFunc(h.groups, func(a, b *Group) int { return strings.Compare(a.file, b.file) })
	for _, g := range old {
		gone = append(gone, g)
	}
	return gone
}

func (h *Handle) settle(fault error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = fault
}
