package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Options are what the branch stands on.
type Options struct {
	Config Config
	// Self is the name of the monitoring-service among Services.
	Self string
	// Services are the names of those that are watched, in the order in which they are
	// shown.
	Services []string
	// Instances lists the base URLs at which a service answers, none when it runs
	// nowhere.
	Instances func(ctx context.Context, service string) ([]string, error)
	// Do sends a request to another service, with what it needs to be let in; nil is a
	// plain client.
	Do func(*http.Request) (*http.Response, error)
	// Begin is closed once this process's own services answer; nil begins at once.
	Begin <-chan struct{}
	// DataDir is where this node keeps its data.
	DataDir string
	// Clocks says how far the clocks of exchanges are ahead of ours; nil for none.
	Clocks     func() []host.ExchangeClock
	Registerer prometheus.Registerer // nil: metrics are kept but not exported
	Now        func() time.Time      // nil is time.Now
}

// Name is the branch's below the root.
const Name = "monitoring"

// ErrNoService: no service of that name is watched.
var ErrNoService = errors.New("no service of that name is watched")

type ref struct {
	system *supervise.System
	pid    *actor.PID
}

// Handle is how the rest of the program asks the branch. It outlives the actors and is
// safe for concurrent use.
type Handle struct {
	options Options
	client  *http.Client // nil when Options.Do is given
	metrics *metrics
	started time.Time
	checker atomic.Pointer[ref]
	sample  atomic.Pointer[host.Sample]

	mu      sync.RWMutex
	records map[string]*record
	changes []Change // oldest first
	seq     uint64
	rounds  uint64
	reports []*Report // oldest first
	made    uint64
}

// New makes the handle of a branch that starts with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if len(o.Services) == 0 || o.Instances == nil {
		return nil, errors.New("monitoring: Services and Instances are needed")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("monitoring: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Begin == nil {
		now := make(chan struct{})
		close(now)
		o.Begin = now
	}
	h := &Handle{options: o, started: o.Now(), records: map[string]*record{}}
	if o.Do == nil {
		h.client = &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		h.options.Do = h.client.Do
	}
	for _, s := range o.Services {
		h.records[s] = &record{standing: Standing{Service: s, Status: Unknown, Since: h.started.UTC(), Instances: []Check{}}}
	}
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("monitoring metrics: %w", err)
	}
	return h, nil
}

// Spec is the branch "monitoring". further are what else belongs to it, started after
// the checker and the sampler.
func (h *Handle) Spec(further ...supervise.Spec) supervise.Spec {
	children := []supervise.Spec{
		{
			Name: "checker", Kind: "health_checker", Mailbox: supervise.Mailbox{Capacity: 256},
			New: func() supervise.Actor {
				return &checker{h: h, poller: poller{options: &h.options, timeout: h.options.Config.Health.Timeout}}
			},
		},
		{
			Name: "sampler", Kind: "host_sampler", Mailbox: supervise.Mailbox{Capacity: 8}, AwaitReady: true,
			New: func() supervise.Actor {
				return &sampler{h: h, reader: host.NewReader(host.Options{DataDir: h.options.DataDir, Clocks: h.options.Clocks})}
			},
		},
	}
	return supervise.Branch(Name, supervise.DefaultStrategy(), append(children, further...)...)
}

// Close ends idle connections, once the branch has stopped.
func (h *Handle) Close() {
	if h.client != nil {
		h.client.CloseIdleConnections()
	}
}

// Do sends a request to another service, with what it needs to be let in.
func (h *Handle) Do(r *http.Request) (*http.Response, error) { return h.options.Do(r) }

// take keeps the outcome of a round.
func (h *Handle) take(p polled) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rounds++
	for _, service := range h.options.Services {
		r := h.records[service]
		from := r.standing.Status
		checks := p.all[service]
		changed := r.take(checks, p.at, h.options.Config.Health.Checks)
		s := &r.standing
		h.metrics.checked(service, s.Status)
		if !changed || from == Unknown && s.Status == Healthy && !s.Degraded {
			continue
		}
		h.seq++
		h.changes = append(h.changes, Change{
			Seq: h.seq, Time: p.at, Service: service, From: from, To: s.Status, Degraded: s.Degraded, Cause: s.Cause,
		})
		if over := len(h.changes) - h.options.Config.Health.Changes; over > 0 {
			h.changes = append([]Change(nil), h.changes[over:]...)
		}
	}
}

// Standings are how all services are, in order.
func (h *Handle) Standings() []Standing {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]Standing, 0, len(h.options.Services))
	for _, s := range h.options.Services {
		out = append(out, h.records[s].standing)
	}
	return out
}

// Standing is how one service is, and its last checks, oldest first.
func (h *Handle) Standing(service string) (Standing, []Point, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	r := h.records[service]
	if r == nil {
		return Standing{}, nil, ErrNoService
	}
	return r.standing, r.recent(), nil
}

// Changes are the last changes of a service ("" for all), at most limit, the latest
// first.
func (h *Handle) Changes(service string, limit int) []Change {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := []Change{}
	for i := len(h.changes) - 1; i >= 0 && len(out) < limit; i-- {
		if service == "" || h.changes[i].Service == service {
			out = append(out, h.changes[i])
		}
	}
	return out
}

// Rounds counts the rounds of checks since the start.
func (h *Handle) Rounds() uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rounds
}

// Started is when the handle was made.
func (h *Handle) Started() time.Time { return h.started }

// Host is the last sample of the machine; false before the first.
func (h *Handle) Host() (host.Sample, bool) {
	s := h.sample.Load()
	if s == nil {
		return host.Sample{}, false
	}
	return *s, true
}

// CheckAll asks every service now and returns how they are. Errors: those of
// supervise.Ask.
func (h *Handle) CheckAll(ctx context.Context) ([]Standing, error) {
	r := h.checker.Load()
	if r == nil {
		return nil, supervise.ErrStopped
	}
	if _, err := supervise.Ask[checked](ctx, r.system, r.pid, checkNow{}); err != nil {
		return nil, err
	}
	return h.Standings(), nil
}

// Verdict is what a service means for the health of the whole: a fault for one that
// was reached and is not well, a warning for one that is degraded or was never reached,
// neither for one that is well or was not asked yet.
func (s *Standing) Verdict() (fault, warning error) {
	switch {
	case s.Status == Unknown, s.Status == Healthy && !s.Degraded:
		return nil, nil
	case s.Status == Healthy:
		return nil, fmt.Errorf("degraded: %s", s.Cause)
	case s.Status == Unreachable && !s.Seen:
		return nil, fmt.Errorf("not reached since the start, it may run nowhere: %s", s.Cause)
	}
	return fmt.Errorf("%s: %s", s.Status, s.Cause), nil
}
