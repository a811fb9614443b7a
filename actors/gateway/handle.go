package gateway

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/gateway/cache"
	"github.com/marketprism/marketprism/actors/gateway/forward"
	"github.com/marketprism/marketprism/actors/gateway/limit"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/actors/supervise"
)

// branchName is the branch.
const branchName = "gateway"

type ref struct {
	system *supervise.System
	pid    *actor.PID
}

// Handle is how the rest of the program uses the gateway. It outlives the actors and is
// safe for concurrent use.
type Handle struct {
	options  Options
	settings atomic.Pointer[Config]
	services atomic.Pointer[table]
	registry atomic.Pointer[ref]
	prober   atomic.Pointer[ref]

	networks  forward.Networks
	forwarder *forward.Forwarder
	rates     *limit.Rates
	quotas    *limit.Quotas
	requests  *limit.Concurrency
	streams   *limit.Concurrency
	cache     *cache.Store
	metrics   *metrics
	// registered is the registry actor's own, kept over its restarts.
	registered map[upstream.Address]*registration
	documents  atomic.Uint64 // grows when one changes
	listed     atomic.Bool   // every service of the platform once
	settled    chan struct{} // closed when each of their instances is known to be well or not
	settle     func()
}

// New makes the handle of a branch that starts with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := o.Config
	h := &Handle{
		options: o, rates: limit.NewRates(c.Limits.Clients), quotas: limit.NewQuotas(c.Limits.Clients),
		requests: limit.NewConcurrency(c.Limits.Requests), streams: limit.NewConcurrency(c.Limits.Streams),
		cache: cache.New(c.Cache.MaxBytes), registered: map[upstream.Address]*registration{}, settled: make(chan struct{}),
	}
	h.settle = sync.OnceFunc(func() { close(h.settled) })
	h.settings.Store(&c)
	if err := h.networks.Set(c.Registration.Networks); err != nil {
		return nil, err
	}
	h.forwarder = forward.New(c.Forwarding, &h.networks, o.Certificates)
	h.services.Store(newTable(nil))
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("gateway metrics: %w", err)
	}
	all := map[string]*Upstream{}
	for _, s := range o.Services {
		all[s.Name] = h.newUpstream(s, true)
	}
	h.services.Store(newTable(all))
	return h, nil
}

func (h *Handle) newUpstream(s Service, platform bool) *Upstream {
	c := h.settings.Load()
	u := &Upstream{
		Pool:   upstream.NewPool(s.Name, c.Upstreams, h.options.Now),
		Budget: limit.NewBudget(c.Forwarding.BudgetShare, c.Forwarding.BudgetPerSecond), Platform: platform, Alias: s.Alias, Prefixed: s.Prefixed, Since: h.options.Now().UTC(),
	}
	h.metrics.measure(u)
	return u
}

// Spec is the branch "gateway". It is ready at once; see [Handle.Settled].
func (h *Handle) Spec() supervise.Spec {
	return supervise.Branch(branchName, supervise.DefaultStrategy(),
		supervise.Spec{Name: "registry", New: func() supervise.Actor { return newRegistry(h) }},
		supervise.Spec{Name: "prober", New: func() supervise.Actor { return newProber(h) }},
	)
}

// Settled waits until it is known where the services of the platform answer and whether
// they do, or until ctx ends.
func (h *Handle) Settled(ctx context.Context) {
	select {
	case <-h.settled:
	case <-ctx.Done():
	}
}

// Close ends idle connections, once the branch has stopped.
func (h *Handle) Close() { h.forwarder.Close() }

// Configure takes up new settings, all or none.
func (h *Handle) Configure(c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("gateway configuration: %w", err)
	}
	if err := h.networks.Set(c.Registration.Networks); err != nil {
		return err
	}
	h.settings.Store(&c)
	h.rates.SetClients(c.Limits.Clients)
	h.quotas.SetClients(c.Limits.Clients)
	h.requests.SetMost(c.Limits.Requests)
	h.streams.SetMost(c.Limits.Streams)
	h.forwarder.Configure(c.Forwarding)
	h.cache.SetMost(c.Cache.MaxBytes)
	h.cache.Clear() // what was kept by rules that may be gone
	for _, u := range h.Upstreams() {
		u.Configure(c.Upstreams)
		u.Budget.Set(c.Forwarding.BudgetShare, c.Forwarding.BudgetPerSecond)
	}
	if r := h.prober.Load(); r != nil {
		// A prober that is being restarted reads the settings anyway.
		_ = r.system.Tell(r.pid, paceChanged{})
	}
	return nil
}

// Config is the settings in force; not to be changed.
func (h *Handle) Config() *Config { return h.settings.Load() }

// Now is the time of the gateway's clock.
func (h *Handle) Now() time.Time { return h.options.Now() }

// Upstream finds a service by name; nil for none.
func (h *Handle) Upstream(name string) *Upstream { return h.services.Load().named[name] }

// Aliased finds a service of the platform by the word that stands for it in paths.
func (h *Handle) Aliased(word string) *Upstream { return h.services.Load().alias[word] }

// Upstreams are all services, by name.
func (h *Handle) Upstreams() []*Upstream { return h.services.Load().order }

// Self is the gateway's own name.
func (h *Handle) Self() string { return h.options.Self }

// Forwarder sends requests on.
func (h *Handle) Forwarder() *forward.Forwarder { return h.forwarder }

// Cache keeps answers.
func (h *Handle) Cache() *cache.Store { return h.cache }

// Requests and Streams count what is under way.
func (h *Handle) Requests() *limit.Concurrency { return h.requests }

// Streams counts WebSockets and event streams under way.
func (h *Handle) Streams() *limit.Concurrency { return h.streams }

// Documents are what the services of the platform say of their routes, as far as they
// have been heard, by name; version grows when one changes.
func (h *Handle) Documents() (all []*Document, version uint64) {
	version = h.documents.Load()
	for _, u := range h.Upstreams() {
		if d := u.document.Load(); d != nil && u.Platform {
			all = append(all, d)
		}
	}
	return all, version
}

// Health is why services of the platform cannot be reached; nil when all can that the
// registry lists.
func (h *Handle) Health() error {
	var down []string
	now := h.options.Now()
	for _, u := range h.Upstreams() {
		list := u.Instances()
		if !u.Platform || u.Service() == h.options.Self || len(list) == 0 {
			continue
		}
		if !slices.ContainsFunc(list, func(i *upstream.Instance) bool { return i.View(now).State != upstream.Unhealthy }) {
			down = append(down, u.Service())
		}
	}
	if len(down) > 0 {
		return fmt.Errorf("no healthy instance of %v", down)
	}
	return nil
}

func ask[T any](ctx context.Context, r *ref, message any) (T, error) {
	if r == nil {
		var zero T
		return zero, supervise.ErrStopped
	}
	return supervise.Ask[T](ctx, r.system, r.pid, message)
}
