package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/zap"
)

// Status is how well an announced service is.
type Status string

// The states of a service, as Consul calls them.
const (
	Passing  Status = api.HealthPassing
	Warning  Status = api.HealthWarning
	Critical Status = api.HealthCritical
)

// Announcement is a service that this node runs.
type Announcement struct {
	Service string
	// Host and Port are where others reach it.
	Host string
	Port int
	// Lasting says that the port is open for as long as the process lives.
	Lasting bool
	Tags    []string
	Meta    map[string]string
	// Health says how it is, with a short text; nil is always well. It must return at
	// once.
	Health func() (Status, string)
}

// announcer tells Consul of one service, and that it lives.
type announcer struct {
	node    *Node
	id      string
	what    Announcement
	metrics *metrics

	mu    sync.Mutex
	trust trust
	err   error // why the last heartbeat was not taken
}

// state is what Consul's answers to the heartbeats say of it.
func (a *announcer) state() (trust, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trust, a.err
}

// run keeps the service announced until ctx ends.
func (a *announcer) run(ctx context.Context, log *zap.Logger) {
	pause := newPause(a.node.beat(), a.node.cfg.TTL)
	for {
		began := time.Now()
		err := a.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		a.note(log, began, err)
		next := a.node.beat()
		if err != nil {
			next = pause.next()
		} else {
			pause.reset()
		}
		// A slow answer does not make the heart beat slower.
		if !wait(ctx, next-time.Since(began)) {
			return
		}
	}
}

func (a *announcer) note(log *zap.Logger, began time.Time, err error) {
	a.mu.Lock()
	before := a.err
	a.err = err
	switch {
	case err != nil:
		a.trust.steady = time.Time{}
	case began.Sub(a.trust.accepted) > a.node.cfg.TTL && a.trust.steady.Before(began):
		a.trust.steady = began // too late: others were told that we are ill
		a.trust.accepted = began
	default:
		a.trust.accepted = began
	}
	a.mu.Unlock()
	a.metrics.heartbeat(a.what.Service, err)
	switch {
	case err != nil && before == nil:
		log.Warn("Consul does not take the heartbeat, which is repeated", zap.String("service", a.what.Service), zap.Error(err))
	case err == nil && before != nil:
		log.Info("Consul takes the heartbeat again", zap.String("service", a.what.Service))
	}
}

// beat says that the service lives; to a Consul that does not know it, or that has
// not taken the last one, it is announced anew.
func (a *announcer) beat(ctx context.Context) error {
	status, text := Passing, ""
	if a.what.Health != nil {
		status, text = a.what.Health()
	}
	steady, before := a.state()
	if !steady.steady.IsZero() && before == nil {
		err := a.update(ctx, status, text)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !isAnswer(err) {
			return fmt.Errorf("telling Consul that %s lives: %w", a.id, err)
		}
	}
	if err := a.register(ctx); err != nil {
		return fmt.Errorf("announcing %s to Consul: %w", a.id, err)
	}
	began := time.Now()
	if err := a.update(ctx, status, text); err != nil {
		return fmt.Errorf("telling Consul that %s lives: %w", a.id, err)
	}
	a.mu.Lock()
	a.trust.steady = began
	a.mu.Unlock()
	a.metrics.registered(a.what.Service)
	return nil
}

// isAnswer tells a Consul that refuses from one that does not answer.
func isAnswer(err error) bool {
	var status api.StatusError
	return errors.As(err, &status)
}

func (a *announcer) update(ctx context.Context, status Status, text string) error {
	ctx, cancel := context.WithTimeout(ctx, a.node.callTimeout())
	defer cancel()
	return a.node.client.Agent().UpdateTTLOpts(a.check(), text, string(status), (&api.QueryOptions{}).WithContext(ctx))
}

func (a *announcer) check() string { return "service:" + a.id }

func (a *announcer) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.node.callTimeout())
	defer cancel()
	meta := maps.Clone(a.what.Meta)
	if meta == nil {
		meta = map[string]string{}
	}
	meta[nodeMeta], meta[processMeta] = a.node.name, a.node.process
	if a.what.Lasting {
		meta[lastingMeta] = "true"
	}
	return a.node.client.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: a.id, Name: a.what.Service, Address: a.what.Host, Port: a.what.Port,
		Tags: append([]string{a.node.cfg.Name}, a.what.Tags...), Meta: meta,
		Check: &api.AgentServiceCheck{
			CheckID: a.check(), Name: "heartbeat of " + a.what.Service, TTL: a.node.cfg.TTL.String(),
			Status: api.HealthCritical, DeregisterCriticalServiceAfter: a.node.cfg.Forget.String(),
		},
	}, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx))
}

// withdraw takes the announcement back, unless it is another process's of the same name.
func (a *announcer) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.node.callTimeout())
	defer cancel()
	there, _, err := a.node.client.Agent().Service(a.id, (&api.QueryOptions{}).WithContext(ctx))
	if err == nil && there.Meta[processMeta] != a.node.process {
		return nil
	}
	if err := a.node.client.Agent().ServiceDeregisterOpts(a.id, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("taking %s back from Consul: %w", a.id, err)
	}
	return nil
}

// pause grows from first to most, each ± 20 %.
type pause struct{ first, most, last time.Duration }

func newPause(first, most time.Duration) *pause { return &pause{first: first, most: most} }

func (p *pause) next() time.Duration {
	p.last = min(max(2*p.last, p.first), p.most)
	return spread(p.last)
}

// spread is d ± 20 %.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

func (p *pause) reset() { p.last = 0 }

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
