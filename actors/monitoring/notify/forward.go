package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Bounds of forwarding.
const (
	resend       = time.Minute // what has not changed is sent again: an Alertmanager resolves what it hears nothing of
	forwardBatch = 256         // alerts of one request
)

// forwarder sends every alert to a real Alertmanager, as Prometheus does: muting and
// grouping are the Alertmanager's. Every node forwards; Alertmanagers take that for one.
type forwarder struct {
	handle   *Handle
	id       string
	config   HTTPConfig
	at       atomic.Pointer[ref]
	standing atomic.Pointer[outletStanding]
}

func newForwarder(h *Handle, n int, c AlertmanagerConfig) *forwarder {
	c.URL = strings.TrimSuffix(c.URL, "/") + "/api/v2/alerts"
	return &forwarder{handle: h, id: fmt.Sprintf("%s.%d", kindAlertmanager, n), config: c.HTTPConfig}
}

func (f *forwarder) spec() supervise.Spec {
	return supervise.Spec{
		Name: f.id, Kind: "alert-" + kindAlertmanager, New: func() supervise.Actor { return &forwarding{to: f, known: map[alert.Fingerprint]*forwarded{}} },
		Mailbox: supervise.Mailbox{Capacity: maxBatches, Overflow: supervise.DropOldest}, // the next evaluation says it again
	}
}

func (f *forwarder) take(alerts []alert.Alert) {
	if r := f.at.Load(); r != nil {
		if err := r.system.Tell(r.pid, batch{alerts}); err != nil {
			f.handle.metrics.told(kindAlertmanager, outcomeRefused)
		}
	}
}

// forwarding is one incarnation of the actor.
type forwarding struct {
	to     *forwarder
	caller *caller
	known  map[alert.Fingerprint]*forwarded
	send   supervise.InFlight
	pause  time.Duration
	until  time.Time // after a failure nothing is sent before
}

// forwarded is an alert and when the Alertmanager had it last.
type forwarded struct {
	alert.Alert
	at time.Time
}

type forwardAgain struct{}

type forwardedAll struct {
	alerts map[alert.Fingerprint]alert.State
	err    error
	took   time.Duration
}

// Receive implements supervise.Actor.
func (f *forwarding) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		o := &f.to.handle.options
		var err error
		if f.caller, err = newCaller(f.to.config, o.Config.Attempt, o.Version); err != nil {
			panic(err) // a certificate file that is gone: the supervisor tries again
		}
		f.to.at.Store(&ref{c.System(), c.Self()})
		c.Every(resend/4, forwardAgain{})
	case *actor.Stopping, *actor.Restarting:
		if f.caller != nil {
			f.caller.close()
		}
	case batch:
		f.take(m.alerts)
		f.forward(c)
	case forwardAgain:
		f.forward(c)
	case forwardedAll:
		f.done(c, m)
	}
}

func (f *forwarding) take(alerts []alert.Alert) {
	for i := range alerts {
		a := &alerts[i]
		if a.State != alert.Firing && a.State != alert.Resolved {
			continue
		}
		print := a.Fingerprint()
		k := f.known[print]
		switch {
		case k == nil && (a.State == alert.Resolved || len(f.known) >= f.to.handle.options.Config.MaxAlerts):
			continue // its firing was never sent
		case k == nil:
			k = &forwarded{}
			f.known[print] = k
		case k.State != a.State:
			k.at = time.Time{} // at once
		}
		k.Alert = *a
	}
}

// forward sends what is new, and what is due again.
func (f *forwarding) forward(c *supervise.Context) {
	h := f.to.handle
	now := h.options.Now()
	if f.send.Busy() || now.Before(f.until) {
		return
	}
	var body []forwardedAlert
	states := map[alert.Fingerprint]alert.State{}
	for print, k := range f.known {
		if k.State == alert.Firing && !now.Before(k.Ends()) {
			delete(f.known, print) // the Alertmanager has its end already
			continue
		}
		if now.Sub(k.at) >= resend && len(body) < forwardBatch {
			body = append(body, forwardedOf(&k.Alert))
			states[print] = k.State
		}
	}
	if len(body) == 0 {
		return
	}
	caller := f.caller
	f.send.Start(c, func(ctx context.Context) any {
		begun := h.options.Now()
		text, err := json.Marshal(body)
		if err == nil {
			err = caller.post(ctx, text)
		}
		return forwardedAll{states, err, h.options.Now().Sub(begun)}
	})
}

func (f *forwarding) done(c *supervise.Context, m forwardedAll) {
	h := f.to.handle
	now := h.options.Now()
	h.metrics.took(kindAlertmanager, m.took)
	f.to.standing.Store(&outletStanding{err: m.err})
	if m.err != nil {
		h.metrics.told(kindAlertmanager, outcomeFailed)
		f.pause = min(max(2*f.pause, h.options.Config.RetryFirst), h.options.Config.RetryLast)
		f.until = now.Add(f.pause)
		c.Note(m.err.Error())
		c.Log().Warn("forwarding alerts failed", zap.Int("alerts", len(m.alerts)), zap.Error(m.err))
		c.After(f.pause, forwardAgain{})
		return
	}
	h.metrics.told(kindAlertmanager, outcomeSent)
	c.Note("")
	f.pause = 0
	for print, state := range m.alerts {
		k := f.known[print]
		switch {
		case k == nil || k.State != state: // it has changed while it was sent
		case state == alert.Resolved:
			delete(f.known, print)
		default:
			k.at = now
		}
	}
	f.forward(c)
}

// forwardedAlert is an alert as Alertmanager's API takes it
// (https://github.com/prometheus/alertmanager/blob/v0.27.0/api/v2/openapi.yaml).
type forwardedAlert struct {
	Labels       alert.Labels `json:"labels"`
	Annotations  alert.Labels `json:"annotations"`
	StartsAt     time.Time    `json:"startsAt"`
	EndsAt       time.Time    `json:"endsAt"` // ahead of now while it fires
	GeneratorURL string       `json:"generatorURL,omitempty"`
}

func forwardedOf(a *alert.Alert) forwardedAlert {
	return forwardedAlert{Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.FiredAt.UTC(), EndsAt: a.Ends().UTC(), GeneratorURL: a.GeneratorURL}
}
