package notify

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/event"
)

// Lease decides which node tells.
type Lease interface {
	// Acquire waits until this process tells, or ctx ends. lost is closed when it does
	// so no longer; release gives the lease up.
	Acquire(ctx context.Context) (lost <-chan struct{}, release func(), err error)
}

// Alone is the lease of an installation with one monitoring-service.
type Alone struct{}

// Acquire implements [Lease].
func (Alone) Acquire(context.Context) (<-chan struct{}, func(), error) { return nil, func() {}, nil }

// Options of the branch.
type Options struct {
	Config Config
	// Store keeps silences, the notification log and what fires.
	Store bucket.Store
	// Lease; nil is [Alone]. Node is what this node is called in the store.
	Lease Lease
	Node  string
	// Events are told of alerts that fire and end; nil is nobody. Source makes them.
	Events event.Publisher
	Source event.Source
	// URL is where this service answers, when the configuration names no external
	// address; nil is nowhere.
	URL     func() string
	Version string
	// Now is the clock; nil is time.Now. Timers are those of the actor system.
	Now func() time.Time
	// Registerer of the metrics; nil keeps them unexported.
	Registerer prometheus.Registerer
}

// Handle is how the rest of the program gives alerts and asks about them. It outlives
// the actors and is safe for concurrent use.
type Handle struct {
	options    Options
	root       *route
	rules      []inhibitRule
	outs       []*outlet
	metrics    *metrics
	silences   *silences
	dispatcher atomic.Pointer[ref]
	forwarders []*forwarder
	pending    atomic.Int64 // batches on their way to the dispatcher
	accepted   atomic.Int64 // Unix nanoseconds of the last batch
	counts     atomic.Pointer[counts]
	standing   atomic.Pointer[string] // of the dispatcher: waiting, loading, telling
	blind      blindness
	fence      atomic.Uint64 // fencing number by which this node tells; 0 while it has none
	resign     chan struct{} // the lease is another's, by the fencing number
}

// counts are alerts by how they stand.
type counts struct{ active, silenced, inhibited int }

// New makes the handle of a branch that starts with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of notifications: %w", err)
	}
	if o.Store == nil {
		return nil, errors.New("notifications without a store")
	}
	if o.Lease == nil {
		o.Lease = Alone{}
	}
	if o.Events == nil {
		o.Events = event.Nowhere{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handle{options: o, resign: make(chan struct{}, 1)}
	h.root, _ = o.Config.tree() // Validate has judged them
	h.rules, _ = o.Config.inhibition()
	h.outs = h.outlets()
	for i, a := range o.Config.Alertmanagers {
		h.forwarders = append(h.forwarders, newForwarder(h, i, a))
	}
	h.silences = newSilences(h)
	h.counts.Store(&counts{})
	h.setStanding(phaseWaiting)
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("metrics of notifications: %w", err)
	}
	return h, nil
}

// Capacity of the dispatcher's mailbox, and how much of it alerts may take: the rest is
// for what became of messages.
const (
	dispatcherMailbox = 8192
	maxBatches        = 256
)

// Spec is the branch, to be started below the monitoring-service's.
func (h *Handle) Spec() supervise.Spec {
	children := []supervise.Spec{
		{Name: "dispatcher", Kind: "alert-dispatcher", New: func() supervise.Actor { return newDispatcher(h) }, Mailbox: supervise.Mailbox{Capacity: dispatcherMailbox}},
		{Name: "silences", Kind: "alert-silences", New: func() supervise.Actor { return &silenceKeeper{silences: h.silences} }},
	}
	for _, to := range h.outs {
		children = append(children, supervise.Spec{
			Name: to.id, Kind: "alert-" + to.kind, New: func() supervise.Actor { return &receiver{handle: h, to: to} },
			Mailbox: supervise.Mailbox{Capacity: max(64, 2*h.options.Config.Queue)}, ShutdownTimeout: h.options.Config.Attempt,
		})
	}
	for _, f := range h.forwarders {
		children = append(children, f.spec())
	}
	return supervise.Branch("notify", supervise.DefaultStrategy(), children...)
}

// Accept implements [alert.Sink]. Errors: supervise.ErrStopped before the start,
// supervise.ErrMailboxFull when the dispatcher is too far behind.
func (h *Handle) Accept(_ context.Context, alerts []alert.Alert) error {
	for _, f := range h.forwarders {
		f.take(alerts)
	}
	if h.pending.Add(1) > maxBatches {
		h.pending.Add(-1)
		h.metrics.refused.Add(float64(len(alerts)))
		return supervise.ErrMailboxFull
	}
	if err := h.tellDispatcher(batch{alerts}); err != nil {
		h.pending.Add(-1)
		h.metrics.refused.Add(float64(len(alerts)))
		return err
	}
	h.accepted.Store(h.options.Now().UnixNano())
	return nil
}

func (h *Handle) tellDispatcher(m any) error {
	r := h.dispatcher.Load()
	if r == nil {
		return supervise.ErrStopped
	}
	return r.system.Tell(r.pid, m)
}

// Active is an alert that fires, and who keeps quiet about it.
type Active struct {
	alert.Alert
	// SilencedBy are the ids of silences, InhibitedBy is the alert that explains it.
	SilencedBy  []string
	InhibitedBy *alert.Fingerprint
	// Receivers are told of it unless it is muted.
	Receivers []string
}

// View is all that is known of alerts; those who get one must not change it.
type View struct {
	Active []Active // by when they fired, oldest first
	// History are alerts that are resolved, newest first.
	History []alert.Alert
	At      time.Time
}

// Counts are the alerts of a documented severity that fire.
func (v *View) Counts() (critical, warning int) {
	for i := range v.Active {
		switch v.Active[i].Severity() {
		case "critical":
			critical++
		case "warning":
			warning++
		}
	}
	return critical, warning
}

// Alerts is what fires, and what did.
func (h *Handle) Alerts(ctx context.Context) (*View, error) {
	r := h.dispatcher.Load()
	if r == nil {
		return nil, supervise.ErrStopped
	}
	return supervise.Ask[*View](ctx, r.system, r.pid, viewRequest{})
}

// Standing is how notification itself is.
type Standing struct {
	// Phase is waiting (another node tells), loading or telling.
	Phase string
	// Accepted is when alerts came last; zero when none ever did. The rule engine
	// sends at each evaluation, the Watchdog at least, so silence means that it is
	// dead.
	Accepted time.Time
	// Failing are destinations that could not be told last, and why.
	Failing map[string]error
}

// Standing says how notification itself is.
func (h *Handle) Standing() Standing {
	s := Standing{Phase: *h.standing.Load(), Failing: map[string]error{}}
	if at := h.accepted.Load(); at != 0 {
		s.Accepted = time.Unix(0, at)
	}
	for _, to := range h.outs {
		if last := to.standing.Load(); last != nil && last.err != nil {
			s.Failing[to.id] = last.err
		}
	}
	for _, f := range h.forwarders {
		if last := f.standing.Load(); last != nil && last.err != nil {
			s.Failing[f.id] = last.err
		}
	}
	return s
}

func (h *Handle) setStanding(phase string) { h.standing.Store(&phase) }

func (h *Handle) external() string {
	switch {
	case h.options.Config.ExternalURL != "":
		return h.options.Config.ExternalURL
	case h.options.URL != nil:
		return h.options.URL()
	}
	return ""
}
