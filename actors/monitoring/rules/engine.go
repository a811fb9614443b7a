package rules

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Bounds of what is remembered.
const (
	recallWithin = 30 * time.Second // the wait for the state of before, at a start
	saveEvery    = time.Minute      // the state is saved, besides when it changes
	saveWithin   = 10 * time.Second
	retryRecall  = time.Second
)

type (
	begun    struct{ remembered []Remembered }
	check    struct{}
	reload   struct{}
	reloaded struct{ err error }
	read     struct {
		files []File
		err   error
	}
	due       struct{ key string }
	evaluated struct {
		group  *Group
		at     time.Time
		alerts []alert.Alert
		err    error
		saved  error
		digest uint64
	}
)

// turn is when a group is evaluated.
type turn struct {
	group  *Group
	op     supervise.InFlight
	stop   func()
	digest uint64 // of the state that was saved last
	saved  time.Time
	failed bool
}

// engine is root/monitoring/rules.
type engine struct {
	h       *Handle
	files   []File
	reading supervise.InFlight
	asked   []*actor.PID
	running map[string]*turn
	recall  map[string]Remembered
}

// Receive handles one message.
func (e *engine) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		e.h.engine.Store(&ref{c.System(), c.Self()})
		e.reading.Start(c, e.begin)
	case begun:
		e.recall = map[string]Remembered{}
		for _, r := range m.remembered {
			e.recall[r.File+";"+r.Group] = r
		}
		e.read(c)
		c.Every(e.h.options.Config.Reload, check{})
	case check:
		e.read(c)
	case reload:
		e.asked = append(e.asked, c.Sender())
		e.read(c)
	case read:
		e.take(c, m)
	case due:
		e.evaluate(c, m.key)
	case evaluated:
		e.note(c, m)
	}
}

// begin waits until there is something to evaluate, and reads the state of before.
func (e *engine) begin(ctx context.Context) any {
	select {
	case <-e.h.options.Begin:
	case <-ctx.Done():
		return nil
	}
	if e.h.options.Memory == nil {
		return begun{}
	}
	bounded, cancel := context.WithTimeout(ctx, recallWithin)
	defer cancel()
	for {
		remembered, err := e.h.options.Memory.Load(bounded)
		if err == nil {
			return begun{remembered}
		}
		e.h.metrics.memoryFailures.Inc()
		select {
		case <-bounded.Done():
			return begun{}
		case <-time.After(retryRecall):
		}
	}
}

func (e *engine) read(c *supervise.Context) {
	e.reading.Start(c, func(context.Context) any {
		files, err := e.h.source()
		return read{files, err}
	})
}

// take puts new rules in force, when they differ from those that are and have no
// fault.
func (e *engine) take(c *supervise.Context, r read) {
	asked := e.asked
	e.asked = nil
	err := r.err
	switch {
	case err != nil:
	case e.files != nil && sameFiles(e.files, r.files) && len(asked) == 0:
		return
	default:
		err = e.replace(c, r.files)
	}
	if err != nil && (e.h.Fault() == nil || e.h.Fault().Error() != err.Error()) {
		c.Log().Error("rule files have a fault; the rules of before stay in force", zap.Error(err))
		e.h.metrics.reloads.WithLabelValues("failure").Inc()
	}
	e.h.settle(err)
	c.Note("")
	if err != nil {
		c.Note("rule files have a fault: " + err.Error())
	}
	for _, pid := range asked {
		c.Send(pid, reloaded{err})
	}
}

func sameFiles(a, b []File) bool {
	return slices.EqualFunc(a, b, func(x, y File) bool { return x.Name == y.Name && bytes.Equal(x.Content, y.Content) })
}

func (e *engine) replace(c *supervise.Context, files []File) error {
	groups, err := parse(files)
	if err != nil {
		return err
	}
	e.files = slices.Clone(files)
	if e.files == nil {
		e.files = []File{}
	}
	now := e.h.options.Now()
	for _, g := range e.h.replace(groups) {
		if t := e.running[g.key()]; t != nil {
			t.stop()
			delete(e.running, g.key())
		}
		e.tell(c, g.Leave(now))
	}
	rules := 0
	for _, g := range e.h.current() {
		rules += len(g.rules)
		e.start(c, g, now)
	}
	e.h.metrics.reloads.WithLabelValues("success").Inc()
	c.Log().Info("rules are in force", zap.Int("files", len(files)), zap.Int("groups", len(e.running)), zap.Int("rules", rules))
	return nil
}

// start lets a group have its turns. One that has them already goes on with its new
// rules.
func (e *engine) start(c *supervise.Context, g *Group, now time.Time) {
	if r, ok := e.recall[g.key()]; ok {
		g.Recall(r, now, e.h.options.Config.Grace)
		delete(e.recall, g.key())
	}
	if t := e.running[g.key()]; t != nil {
		if t.stop != nil {
			t.stop()
		}
		t.group = g
	} else {
		e.running[g.key()] = &turn{group: g}
	}
	e.arm(c, g.key())
}

// arm sets the timer for the next turn of a group.
func (e *engine) arm(c *supervise.Context, key string) {
	t := e.running[key]
	now := e.h.options.Now()
	t.stop = c.After(max(after(t.group, now).Sub(now), time.Millisecond), due{key})
}

// slot is the last fixed point in time of a group up to now, and after the next.
func slot(g *Group, now time.Time) time.Time {
	h := fnv.New64a()
	_, _ = h.Write([]byte(g.key()))
	interval := int64(g.interval)
	offset := int64(h.Sum64() % uint64(interval))
	n := now.UnixNano() - offset
	return time.Unix(0, n-n%interval+offset)
}

func after(g *Group, now time.Time) time.Time { return slot(g, now).Add(g.interval) }

// evaluate lets a group have its turn, beside the actor.
func (e *engine) evaluate(c *supervise.Context, key string) {
	t := e.running[key]
	if t == nil {
		return
	}
	e.arm(c, key)
	g, at := t.group, slot(t.group, e.h.options.Now())
	digest, saved := t.digest, t.saved
	started := t.op.Start(c, func(ctx context.Context) any {
		begin := time.Now()
		alerts, err := g.Evaluate(ctx, at)
		e.h.metrics.groupSeconds.Observe(time.Since(begin).Seconds())
		out := evaluated{group: g, at: at, alerts: alerts, err: err, digest: digest}
		e.save(ctx, &out, saved)
		return out
	})
	if !started {
		e.h.metrics.missed.Inc()
	}
}

// save keeps the state of a group when it is another than before, or old.
func (e *engine) save(ctx context.Context, out *evaluated, last time.Time) {
	if e.h.options.Memory == nil {
		return
	}
	now := digestOf(out.alerts)
	if now == out.digest && (len(out.alerts) == 0 || out.at.Sub(last) < saveEvery) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveWithin)
	defer cancel()
	if out.saved = e.h.options.Memory.Save(ctx, out.group.Remember(out.at)); out.saved == nil {
		out.digest = now
	}
}

// digestOf is another when an alert has come, gone, or changed its state. It is 0
// for none, so that a group without alerts is not written at a start.
func digestOf(alerts []alert.Alert) uint64 {
	sum := uint64(0)
	for i := range alerts {
		sum += (uint64(alerts[i].Fingerprint()) ^ uint64(alerts[i].ActiveAt.UnixNano())) * (2*uint64(alerts[i].State) + 1)
	}
	return sum
}

// note hands over the alerts of a turn.
func (e *engine) note(c *supervise.Context, m evaluated) {
	e.h.metrics.evaluated(m.group)
	t := e.running[m.group.key()]
	if t == nil || t.group != m.group { // gone, or taken over meanwhile
		return
	}
	if m.err != nil && !t.failed && !errors.Is(m.err, context.Canceled) {
		c.Log().Warn("rules cannot be evaluated", zap.String("group", m.group.Name()), zap.Error(m.err))
	}
	t.failed = m.err != nil
	if m.saved != nil {
		e.h.metrics.memoryFailures.Inc()
		c.Log().Warn("state of alerts cannot be kept; it is tried again", zap.String("group", m.group.Name()), zap.Error(m.saved))
	} else if m.digest != t.digest || len(m.alerts) > 0 && m.at.Sub(t.saved) >= saveEvery {
		t.digest, t.saved = m.digest, m.at
	}
	e.tell(c, m.alerts)
}

func (e *engine) tell(c *supervise.Context, alerts []alert.Alert) {
	if len(alerts) == 0 {
		return
	}
	if err := e.h.options.Sink.Accept(c.Ctx(), alerts); err != nil {
		c.Log().Warn("alerts are not taken; the next evaluation brings them again", zap.Int("alerts", len(alerts)), zap.Error(err))
	}
}
