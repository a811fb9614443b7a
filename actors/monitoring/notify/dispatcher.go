package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/event"
)

// Phases of the dispatcher.
const (
	phaseWaiting = "waiting"
	phaseLoading = "loading"
	phaseTelling = "telling"
)

// Pauses of the dispatcher.
const (
	storeAgain   = 2 * time.Second  // after the bucket failed
	loadPatience = 30 * time.Second // then it tells without a log
	leaseAgain   = 2 * time.Second
)

// Messages of the dispatcher.
type (
	batch struct{ alerts []alert.Alert }
	told  struct {
		order order
		err   error
	}
	viewRequest struct{}
	tick        struct{}
	// leading and leaseLost begin and end a term; the end of one may be heard of after
	// the beginning of the next.
	leading   struct{ term uint64 }
	leaseLost struct{ term uint64 }
	loadAgain struct{}
	saveAgain struct{}
	loaded    struct {
		documents []bucket.Document
		term      uint64 // of the lease
		fence     uint64
		err       error
	}
)

// dispatcher carries out what the desk decides.
type dispatcher struct {
	handle  *Handle
	desk    *desk
	phase   string
	since   time.Time // of the phase
	term    uint64    // of the lease
	history []alert.Alert
	load    supervise.InFlight
	keeper  keeper
	stopped func() // the timer
	wakes   time.Time
	ending  bool
}

func newDispatcher(h *Handle) *dispatcher {
	destinations := map[string][]destination{}
	for _, to := range h.outs {
		destinations[to.receiver] = append(destinations[to.receiver], to.destination)
	}
	d := &dispatcher{handle: h, desk: newDesk(h.root, h.rules, destinations, h.options.Config.MaxAlerts), keeper: newKeeper(h)}
	d.desk.grace = h.options.Now().Add(h.options.Config.StartupGrace)
	return d
}

// Receive implements supervise.Actor.
func (d *dispatcher) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		d.handle.dispatcher.Store(&ref{c.System(), c.Self()})
		d.enter(phaseWaiting)
		c.Go(func(ctx context.Context) { d.handle.lead(ctx, c) })
	case leading:
		d.handle.fence.Store(0)
		d.term = m.term
		d.enter(phaseLoading)
		d.read(c)
	case leaseLost:
		if m.term == d.term {
			d.enter(phaseWaiting)
			d.keeper.clear()
		}
	case loadAgain:
		d.read(c)
	case loaded:
		d.loaded(c, m)
	case batch:
		d.handle.pending.Add(-1)
		d.accept(m.alerts)
	case told:
		d.told(c, m)
	case viewRequest:
		c.Respond(d.view())
	case saveAgain:
		d.keeper.retry()
	case saved:
		d.keeper.saved(c, m)
		if m.err == nil && d.phase == phaseTelling && d.handle.fence.Load() == 0 && !d.handle.alone() {
			d.enter(phaseLoading) // the store is back: now it can be fenced
			d.read(c)
		}
	case tick:
		d.wakes = time.Time{}
	default:
		return
	}
	d.proceed(c)
}

// Drain implements supervise.Drainer: what was told is written down.
func (d *dispatcher) Drain(c *supervise.Context) {
	d.ending = true
	d.proceed(c)
}

func (d *dispatcher) enter(phase string) {
	d.phase, d.since = phase, d.handle.options.Now()
	d.handle.setStanding(phase)
}

// lead holds the lease for as long as the dispatcher lives.
func (h *Handle) lead(ctx context.Context, c *supervise.Context) {
	for term := uint64(1); ctx.Err() == nil; term++ {
		lost, release, err := h.options.Lease.Acquire(ctx)
		if err != nil {
			c.Log().Warn("lease of notifications", zap.Error(err))
			select {
			case <-time.After(leaseAgain):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case <-h.resign: // of the lease before
		default:
		}
		c.After(0, leading{term})
		select {
		case <-lost:
			c.After(0, leaseLost{term})
		case <-h.resign:
			c.After(0, leaseLost{term})
		case <-ctx.Done():
		}
		release()
	}
}

// read takes a fencing number, if the node has none since it got the lease, and asks the
// bucket for what was told, and what fired.
func (d *dispatcher) read(c *supervise.Context) {
	if d.phase != phaseLoading {
		return
	}
	h, store, term, fence := d.handle, d.handle.options.Store, d.term, d.handle.fence.Load()
	d.load.Start(c, func(ctx context.Context) any {
		if fence == 0 {
			var err error
			if fence, err = h.takeFence(ctx); err != nil {
				return loaded{term: term, err: err}
			}
		}
		var all []bucket.Document
		for _, prefix := range []string{logPrefix, activePrefix} {
			some, err := store.Load(ctx, prefix)
			if err != nil {
				return loaded{term: term, fence: fence, err: err}
			}
			all = append(all, some...)
		}
		past, there, err := store.Get(ctx, historyKey)
		if there {
			all = append(all, past)
		}
		return loaded{all, term, fence, err}
	})
}

func (d *dispatcher) loaded(c *supervise.Context, m loaded) {
	if d.phase != phaseLoading {
		return
	}
	if m.term != d.term { // begun before this node lost the lease and got it again
		d.read(c)
		return
	}
	now := d.handle.options.Now()
	d.handle.fence.Store(m.fence)
	if m.err != nil && now.Sub(d.since) < loadPatience {
		c.Log().Warn("notification log cannot be read", zap.Error(m.err))
		c.After(storeAgain, loadAgain{})
		return
	}
	if m.err != nil {
		c.Log().Error("telling without a notification log: alerts may be told again", zap.Error(m.err))
		d.handle.metrics.storeFailures.Inc()
	}
	known := map[alert.Fingerprint]bool{}
	for _, doc := range m.documents {
		if err := d.restore(doc, now, known); err != nil {
			c.Log().Error("document of notifications", zap.String("key", doc.Key), zap.Error(err))
		}
	}
	d.enter(phaseTelling)
	for f, s := range d.desk.alerts { // what began to fire before
		if !known[f] {
			d.fired(&s.Alert)
		}
	}
}

// restore takes a document of the bucket.
func (d *dispatcher) restore(doc bucket.Document, now time.Time, known map[alert.Fingerprint]bool) error {
	d.keeper.revisions[doc.Key] = doc.Revision
	switch {
	case doc.Key == historyKey:
		if err := json.Unmarshal(doc.Value, &d.history); err != nil {
			return fmt.Errorf("reading the history: %w", err)
		}
	case doc.Key[0] == logPrefix[0]:
		var e entry
		if err := json.Unmarshal(doc.Value, &e); err != nil {
			return fmt.Errorf("reading what was told: %w", err)
		}
		d.desk.log[doc.Key] = &e
	default:
		var a alert.Alert
		if err := json.Unmarshal(doc.Value, &a); err != nil {
			return fmt.Errorf("reading an alert: %w", err)
		}
		f := a.Fingerprint()
		known[f] = true
		if d.desk.alerts[f] == nil { // the rule engine has time to speak of it again
			a.Until = now.Add(d.handle.options.Config.StartupGrace + alert.Lapse)
			d.desk.accept([]alert.Alert{a}, now)
		}
	}
	return nil
}

func (d *dispatcher) accept(alerts []alert.Alert) {
	t := d.desk.accept(alerts, d.handle.options.Now())
	d.handle.metrics.taken.Add(float64(len(alerts)))
	if t.refused > 0 {
		d.handle.metrics.refused.Add(float64(t.refused))
	}
	if d.phase != phaseTelling {
		return
	}
	for _, a := range t.fired {
		d.fired(a)
	}
	for _, a := range t.resolved {
		d.resolved(a)
	}
}

func (d *dispatcher) fired(a *alert.Alert) {
	d.keeper.put(activeKey(a.Fingerprint()), plain(*a))
	d.publish(event.AlertFired, a)
}

func (d *dispatcher) resolved(a *alert.Alert) {
	d.keeper.remove(activeKey(a.Fingerprint()))
	if Documented(a) {
		d.history = append(d.history, plain(*a))
		d.history = d.history[max(0, len(d.history)-d.handle.options.Config.History):]
		d.keeper.put(historyKey, slices.Clone(d.history))
	}
	d.publish(event.AlertResolved, a)
}

// Documented says whether an alert is one that people are told of: the Watchdog, and
// what only informs, are seen under /prometheus alone.
func Documented(a *alert.Alert) bool { return a.Severity() == "critical" || a.Severity() == "warning" }

func (d *dispatcher) publish(k event.Kind, a *alert.Alert) {
	if Documented(a) {
		d.handle.options.Events.Publish(d.handle.options.Source.New(k, a.Rule, event.Alert{
			Rule: a.Rule, Severity: a.Severity(), Labels: a.Labels.Map(), Description: describe(a), Value: plain(*a).Value, Since: a.FiredAt,
		}))
	}
}

func describe(a *alert.Alert) string {
	if text := a.Annotations.Get(alert.DescriptionAnnotation); text != "" {
		return text
	}
	return a.Annotations.Get(alert.SummaryAnnotation)
}

// plain is an alert that JSON can hold.
func plain(a alert.Alert) alert.Alert {
	a.Value = Plain(a.Value)
	return a
}

// Plain is a value that JSON can hold: 0 for no number, the largest for infinity.
func Plain(value float64) float64 {
	switch {
	case math.IsNaN(value):
		return 0
	case math.IsInf(value, 0):
		return math.Copysign(math.MaxFloat64, value)
	}
	return value
}

func (d *dispatcher) told(c *supervise.Context, m told) {
	if e := d.desk.told(m.order, m.err); e != nil && d.phase == phaseTelling {
		e.Fence = d.handle.fence.Load()
		d.keeper.put(entryKey(e.Destination, e.GroupKey), *e)
	}
	if errors.Is(m.err, errElsewhere) && d.phase == phaseTelling { // what this node knows is old
		c.Log().Warn("another node tells by now; reading what was told", zap.String("receiver", m.order.destination), zap.Error(m.err))
		d.keeper.clear()
		if errors.Is(m.err, errFenced) {
			d.enter(phaseWaiting)
			d.handle.giveUp()
			return
		}
		d.enter(phaseLoading)
		d.read(c)
	}
}

// proceed does what is due after every message, and sees that it is called again.
func (d *dispatcher) proceed(c *supervise.Context) {
	now := d.handle.options.Now()
	lapsed := d.desk.lapse(now)
	inhibition := inhibitionOf(d.desk.rules, d.desk.alerts, now)
	if d.phase == phaseTelling {
		for _, a := range lapsed {
			d.resolved(a)
		}
		if !d.ending {
			d.tell(c, now, inhibition)
		}
		for _, key := range d.desk.forget(now) {
			d.keeper.remove(key)
		}
	}
	d.count(now, inhibition)
	if d.keeper.save(c) {
		return // the answer comes back here
	}
	if d.ending {
		c.Drained()
		return
	}
	d.arm(c, now)
}

// tell orders what is due.
func (d *dispatcher) tell(c *supervise.Context, now time.Time, in *inhibition) {
	for _, o := range d.desk.look(now, func(ls alert.Labels) bool { return in.by(ls) != nil || d.handle.silences.mute(ls, now) }) {
		if len(o.message.alerts) == 0 { // nothing but an end that is not to be told
			d.told(c, told{order: o})
			continue
		}
		if err := d.handle.order(c, o); err != nil {
			c.Log().Warn("notification refused", zap.String("receiver", o.destination), zap.Error(err))
			d.told(c, told{o, err})
		}
	}
}

// order hands an order to its receiver.
func (h *Handle) order(c *supervise.Context, o order) error {
	at := slices.IndexFunc(h.outs, func(to *outlet) bool { return to.id == o.destination })
	if r := h.outs[at].at.Load(); r != nil {
		return c.System().Tell(r.pid, o)
	}
	return supervise.ErrStopped
}

func (d *dispatcher) count(now time.Time, in *inhibition) {
	var n counts
	for _, s := range d.desk.alerts {
		switch {
		case s.State != alert.Firing:
		case in.by(s.Labels) != nil:
			n.inhibited++
		case d.handle.silences.mute(s.Labels, now):
			n.silenced++
		default:
			n.active++
		}
	}
	d.handle.counts.Store(&n)
}

// arm sets the timer for what is due next.
func (d *dispatcher) arm(c *supervise.Context, now time.Time) {
	at := d.desk.next()
	if at.IsZero() || at.Equal(d.wakes) {
		return
	}
	if d.stopped != nil {
		d.stopped()
	}
	wait := at.Sub(now)
	if d.phase != phaseTelling { // what is due is told by another, or later
		wait = max(wait, time.Second)
	}
	d.wakes = at
	d.stopped = c.After(max(wait, time.Millisecond), tick{})
}

func (d *dispatcher) view() *View {
	now := d.handle.options.Now()
	in := inhibitionOf(d.desk.rules, d.desk.alerts, now)
	v := &View{Active: []Active{}, History: slices.Clone(d.history), At: now}
	slices.Reverse(v.History)
	for _, s := range d.desk.alerts {
		if s.State != alert.Firing {
			continue
		}
		a := Active{Alert: s.Alert, SilencedBy: d.handle.silences.by(s.Labels, now)}
		if source := in.by(s.Labels); source != nil {
			f := source.Fingerprint()
			a.InhibitedBy = &f
		}
		for _, r := range d.desk.root.find(s.Labels) {
			a.Receivers = append(a.Receivers, r.receiver)
		}
		v.Active = append(v.Active, a)
	}
	slices.SortFunc(v.Active, func(a, b Active) int {
		if order := a.FiredAt.Compare(b.FiredAt); order != 0 {
			return order
		}
		return a.Labels.Compare(b.Labels)
	})
	return v
}

// isConflict says whether another has written meanwhile.
func isConflict(err error) bool { return errors.Is(err, bucket.ErrConflict) }
