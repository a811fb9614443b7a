package gateway

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Messages of the registry.
type (
	// register is a client's word; it is answered with accepted, or an error.
	register struct{ Registration }
	accepted struct{}
	// listed is what the cluster's registry says of a service.
	listed struct {
		service string
		list    []upstream.Address
	}
	// unlisted says that it does not answer.
	unlisted struct {
		service string
		err     error
	}
	expire struct{}
)

// Pauses between two questions to a registry that does not answer.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// registry is root/gateway/registry: the one that says which instances there are.
type registry struct {
	h *Handle
	// found are the instances that the cluster's registry lists, by service; what an
	// earlier incarnation found is in the pools until it is listed again.
	found  map[string][]upstream.Listing
	silent map[string]bool
	heard  map[string]bool // listed or unlisted once
}

func newRegistry(h *Handle) *registry {
	return &registry{h: h, found: map[string][]upstream.Listing{}, silent: map[string]bool{}, heard: map[string]bool{}}
}

// Receive handles one message.
func (r *registry) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		r.start(c)
	case listed:
		if r.silent[m.service] {
			c.Log().Info("registry answers again", zap.String("upstream", m.service))
		}
		r.silent[m.service] = false
		r.take(c, m)
		r.note(c, m.service)
	case unlisted:
		if !r.silent[m.service] {
			c.Log().Warn("registry does not answer; the last list of instances stays in use", zap.String("upstream", m.service), zap.Error(m.err))
		}
		r.silent[m.service] = true
		r.note(c, m.service)
	case register:
		if err := r.register(c, m.Registration); err != nil {
			c.Respond(err)
			return
		}
		c.Respond(accepted{})
	case expire:
		r.expire(c)
	}
}

func (r *registry) start(c *supervise.Context) {
	r.h.registry.Store(&ref{c.System(), c.Self()})
	for _, u := range r.h.Upstreams() {
		if !u.Platform {
			continue
		}
		for _, i := range u.Instances() {
			if !i.Registered {
				r.found[u.Service()] = append(r.found[u.Service()], i.Listing)
			}
		}
		name, system, self := u.Service(), c.System(), c.Self()
		c.Go(func(ctx context.Context) {
			follow(ctx, r.h.options.Registry, name, func(message any) { _ = system.Tell(self, message) }) // a full mailbox: it is told again
		})
	}
	c.Every(min(time.Second, r.h.settings.Load().Registration.TTL/2), expire{})
}

// follow tells what the registry says of a service, until ctx ends.
func follow(ctx context.Context, from Registry, service string, tell func(any)) {
	version, pause := uint64(0), firstPause
	for ctx.Err() == nil {
		list, next, err := from.Watch(ctx, service, version)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			version, pause = next, firstPause
			tell(listed{service, list})
			continue
		}
		tell(unlisted{service, err})
		t := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, lastPause)
	}
}

// note says how the registry is, and when everything has been asked for.
func (r *registry) note(c *supervise.Context, service string) {
	r.heard[service] = true
	silent := []string{}
	for name, yes := range r.silent {
		if yes {
			silent = append(silent, name)
		}
	}
	slices.Sort(silent)
	text := ""
	if len(silent) > 0 {
		text = "the registry does not answer for: "
		for _, s := range silent {
			text += s + " "
		}
	}
	c.Note(text)
	for _, u := range r.h.Upstreams() {
		if u.Platform && !r.heard[u.Service()] {
			return
		}
	}
	r.h.listed.Store(true)
}

// take takes over what the cluster's registry says. Instances that were known stay as
// they are.
func (r *registry) take(c *supervise.Context, m listed) {
	before := r.found[m.service]
	now := r.h.options.Now().UTC()
	list := make([]upstream.Listing, 0, len(m.list))
	for _, a := range m.list {
		l := upstream.Listing{Address: a, HealthPath: "/health", ProbePath: r.h.options.Probe, Since: now}
		if at := slices.IndexFunc(before, func(o upstream.Listing) bool { return o.Address == a }); at >= 0 {
			l.Since = before[at].Since
		}
		list = append(list, l)
	}
	r.found[m.service] = list
	c.Log().Info("instances of a service", zap.String("upstream", m.service), zap.Int("instances", len(list)))
	r.publish(m.service)
}

// publish gives the pool of a service its instances: those of the registry, and those
// that clients have registered.
func (r *registry) publish(service string) {
	u := r.h.Upstream(service)
	list := slices.Clone(r.found[service])
	var more []upstream.Listing
	for _, g := range r.h.registered {
		if g.service == service {
			more = append(more, g.listing)
		}
	}
	slices.SortFunc(more, func(a, b upstream.Listing) int { return a.Since.Compare(b.Since) })
	u.Set(append(list, more...))
}

func (r *registry) register(c *supervise.Context, m Registration) error {
	now := r.h.options.Now().UTC()
	at := upstream.Address{Host: m.Host, Port: m.Port}
	if slices.ContainsFunc(r.found[m.Service], func(l upstream.Listing) bool { return l.String() == at.String() }) {
		return nil // the cluster's registry has it
	}
	old := r.h.registered[at]
	if old == nil && len(r.h.registered) >= r.h.settings.Load().Registration.Max {
		return ErrTooMany
	}
	listing := upstream.Listing{Address: at, HealthPath: m.HealthPath, ProbePath: m.HealthPath, Registered: true, Since: now}
	if old != nil && old.service == m.Service {
		listing.Since = old.listing.Since
	}
	r.h.registered[at] = &registration{m.Service, listing, now}
	if old != nil && old.service != m.Service {
		r.drop(old.service)
	}
	if old == nil || old.service != m.Service {
		c.Log().Info("service registered", zap.String("upstream", m.Service), zap.Stringer("address", at))
	}
	r.add(m.Service)
	r.publish(m.Service)
	return nil
}

// add makes a service known.
func (r *registry) add(service string) {
	if r.h.Upstream(service) != nil {
		return
	}
	all := maps.Clone(r.h.services.Load().named)
	all[service] = r.h.newUpstream(Service{Name: service}, false)
	r.h.services.Store(newTable(all))
}

// drop takes instances that are gone out of a service, and a service that has none any
// more out of the table.
func (r *registry) drop(service string) {
	r.publish(service)
	u := r.h.Upstream(service)
	if u.Platform || len(u.Instances()) > 0 {
		return
	}
	all := maps.Clone(r.h.services.Load().named)
	delete(all, service)
	r.h.services.Store(newTable(all))
}

// expire forgets registrations that nothing was heard of.
func (r *registry) expire(c *supervise.Context) {
	now, ttl := r.h.options.Now(), r.h.settings.Load().Registration.TTL
	for at, g := range r.h.registered {
		u := r.h.Upstream(g.service)
		for _, i := range u.Instances() {
			if v := i.View(now); i.Address == at && v.Fault == "" && v.Probed.After(g.heard) {
				g.heard = v.Probed
			}
		}
		if now.Sub(g.heard) < ttl {
			continue
		}
		delete(r.h.registered, at)
		c.Log().Info("service has expired", zap.String("upstream", g.service), zap.Stringer("address", at))
		r.drop(g.service)
	}
}
