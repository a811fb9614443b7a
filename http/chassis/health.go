package chassis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// CheckStatus is the outcome of one health check.
type CheckStatus string

// The outcomes. One warning makes a service degraded, one failure unhealthy.
const (
	Pass CheckStatus = "pass"
	Warn CheckStatus = "warn"
	Fail CheckStatus = "fail"
)

// CheckResult is what a health check found.
type CheckResult struct {
	Status CheckStatus
	Result any            // what was found, for a pass or a warning; nil is "ok"
	Err    error          // why, for a failure or a warning
	Fields map[string]any // further members of the check's object
}

// Passed is a pass that reports result.
func Passed(result any) CheckResult { return CheckResult{Status: Pass, Result: result} }

// Warned is a warning.
func Warned(err error) CheckResult { return CheckResult{Status: Warn, Err: err} }

// Failed is a failure.
func Failed(err error) CheckResult { return CheckResult{Status: Fail, Err: err} }

// Check looks at one thing that the service needs. ctx ends after
// Config.HealthTimeout; a check that does not heed it is reported as failed and
// not called again until it has returned.
type Check func(ctx context.Context) CheckResult

// Section is a further top-level member of the health report. It must be quick;
// ctx is that of the request for the report.
type Section func(ctx context.Context) any

// Service status words of a health report.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"
	Unhealthy = "unhealthy"
)

// HealthReport is the answer of /health.
type HealthReport struct {
	Service       string                    `json:"service" required:"true"`
	Status        string                    `json:"status" enum:"healthy,degraded,unhealthy" required:"true" doc:"degraded: a check warns; unhealthy: one fails"`
	Version       string                    `json:"version" doc:"this and what follows is told to those who show an identity, where one is demanded"`
	Timestamp     time.Time                 `json:"timestamp" required:"true"`
	UptimeSeconds float64                   `json:"uptime_seconds" doc:"since the service began"`
	Checks        map[string]map[string]any `json:"checks" doc:"by name: status (pass, warn, fail), duration_seconds, and result or error"`
}

// Health runs the checks of a service, concurrently, bounded, and at most once
// per Config.HealthCache.
type Health struct {
	server  *Server
	timeout time.Duration
	cache   time.Duration
	running sync.WaitGroup

	mu       sync.Mutex
	checks   map[string]*check
	sections map[string]Section
	last     map[string]map[string]any
	lastAt   time.Time
	round    *round // under way
	closed   bool
}

type check struct {
	run  Check
	busy bool // under Health.mu: a call has not returned yet
}

// round is one evaluation of all checks, shared by those who wait for it.
type round struct {
	done   chan struct{}
	checks map[string]map[string]any
}

func newHealth(s *Server) *Health {
	return &Health{
		server: s, timeout: s.config.HealthTimeout, cache: s.config.HealthCache,
		checks: map[string]*check{}, sections: map[string]Section{},
	}
}

// Add registers a check under a name, replacing an earlier one of that name.
func (h *Health) Add(name string, c Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = &check{run: c}
	h.lastAt = time.Time{}
}

// AddSection adds a top-level member to the report.
func (h *Health) AddSection(name string, section Section) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sections[name] = section
}

// Report evaluates the checks, or reuses a fresh outcome. The further members
// are those of the sections.
func (h *Health) Report(ctx context.Context) (HealthReport, map[string]any, error) {
	checks, err := h.outcome(ctx)
	if err != nil {
		return HealthReport{}, nil, err
	}
	h.mu.Lock()
	sections := maps.Clone(h.sections)
	h.mu.Unlock()
	further := make(map[string]any, len(sections))
	for name, section := range sections {
		further[name] = section(ctx)
	}
	s := h.server
	return HealthReport{
		Service: s.service, Status: overall(checks), Version: s.version,
		Timestamp: s.now().UTC(), UptimeSeconds: s.uptime(), Checks: checks,
	}, further, nil
}

func overall(checks map[string]map[string]any) string {
	status := Healthy
	for _, c := range checks {
		switch c["status"] {
		case Pass:
		case Warn:
			if status == Healthy {
				status = Degraded
			}
		default:
			return Unhealthy
		}
	}
	return status
}

// outcome returns the cached round, joins the one under way, or starts one.
func (h *Health) outcome(ctx context.Context) (map[string]map[string]any, error) {
	h.mu.Lock()
	now := h.server.now()
	if h.last != nil && !h.lastAt.IsZero() && now.Sub(h.lastAt) < h.cache {
		defer h.mu.Unlock()
		return h.last, nil
	}
	r := h.round
	if r == nil {
		if h.closed {
			h.mu.Unlock()
			return nil, Unavailable(defaultRetry, "the server has stopped")
		}
		r = h.begin()
	}
	h.mu.Unlock()
	select {
	case <-r.done:
		return r.checks, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin starts a round; h.mu is held.
func (h *Health) begin() *round {
	r := &round{done: make(chan struct{})}
	h.round = r
	pending := maps.Clone(h.checks)
	h.running.Go(func() {
		found := h.runAll(pending)
		h.mu.Lock()
		h.round, h.last, h.lastAt = nil, found, h.server.now()
		h.mu.Unlock()
		r.checks = found
		close(r.done)
	})
	return r
}

func (h *Health) runAll(pending map[string]*check) map[string]map[string]any {
	ctx, cancel := context.WithTimeout(h.server.base, h.timeout)
	defer cancel()
	type named struct {
		name  string
		found map[string]any
	}
	results := make(chan named, len(pending))
	for name, c := range pending {
		h.mu.Lock()
		busy := c.busy
		c.busy = true
		h.mu.Unlock()
		if busy {
			results <- named{name, rendered(Failed(errors.New("the previous call of this check has not returned yet")), h.timeout)}
			continue
		}
		h.running.Go(func() {
			start := h.server.now()
			found := safely(ctx, c.run)
			h.mu.Lock()
			c.busy = false
			h.mu.Unlock()
			took := h.server.now().Sub(start)
			if took >= h.timeout {
				found = h.late()
			}
			results <- named{name, rendered(found, took)}
		})
	}
	found := make(map[string]map[string]any, len(pending))
	for len(found) < len(pending) {
		select {
		case r := <-results:
			found[r.name] = r.found
			continue
		case <-ctx.Done():
		}
		// What is there already counts, though the time is up.
		select {
		case r := <-results:
			found[r.name] = r.found
		default:
			h.timedOut(found, pending)
		}
	}
	return found
}

// timedOut marks the checks that have not answered.
func (h *Health) timedOut(found map[string]map[string]any, pending map[string]*check) {
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		if found[name] == nil {
			found[name] = rendered(h.late(), h.timeout)
		}
	}
}

func (h *Health) late() CheckResult { return Failed(fmt.Errorf("no answer within %v", h.timeout)) }

// safely turns a panicking check into a failed one.
func safely(ctx context.Context, run Check) (found CheckResult) {
	defer func() {
		if v := recover(); v != nil {
			found = Failed(fmt.Errorf("the check panicked: %v", v))
		}
	}()
	return run(ctx)
}

func rendered(c CheckResult, took time.Duration) map[string]any {
	m := make(map[string]any, len(c.Fields)+3)
	maps.Copy(m, c.Fields)
	status := c.Status
	if status != Pass && status != Warn {
		status = Fail
	}
	m["status"] = status
	m["duration_seconds"] = max(took.Seconds(), 1e-9)
	switch {
	case c.Err != nil:
		m["error"] = c.Err.Error()
	case status == Fail:
		m["error"] = "failed"
	case c.Result == nil:
		m["result"] = "ok"
	}
	if c.Result != nil {
		m["result"] = c.Result
	}
	return m
}

// wait returns when no check runs any more; none is started after it.
func (h *Health) wait() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.running.Wait()
}
