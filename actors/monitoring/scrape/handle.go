package scrape

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/series"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Options are what scraping stands on.
type Options struct {
	Config Config
	Store  *series.Store
	// Targets are asked before each round of the pool; nil is none beside the
	// configured ones.
	Targets Targets
	// Begin is closed once this process's own services answer; nil begins at once.
	Begin <-chan struct{}
	// Transport carries the requests, with what they need to be let in; nil is a plain
	// one.
	Transport  http.RoundTripper
	Registerer prometheus.Registerer
	Now        func() time.Time // nil is time.Now
}

// Name of the branch.
const Name = "scrape"

// Health of a target.
const (
	Unknown = "unknown"
	Up      = "up"
	Down    = "down"
)

// Status is how a target is.
type Status struct {
	Target
	Health   string
	Err      string // why it is down
	Last     time.Time
	Duration time.Duration
	Samples  int
}

// Handle shows what was scraped. It outlives the actors and is safe for concurrent
// use.
type Handle struct {
	options Options
	client  *http.Client
	metrics *metrics

	mu       sync.RWMutex
	status   map[string]Status // by task
	metadata map[string]map[string]promql.Metadata
}

// New makes the handle of a branch that starts with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if o.Store == nil {
		return nil, errors.New("scraping: Store is needed")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("scraping: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Begin == nil {
		begun := make(chan struct{})
		close(begun)
		o.Begin = begun
	}
	if o.Targets == nil {
		o.Targets = nobody
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: 10 * o.Config.Interval}
	}
	h := &Handle{
		options: o, status: map[string]Status{}, metadata: map[string]map[string]promql.Metadata{},
		client: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("scrape metrics: %w", err)
	}
	return h, nil
}

// Spec is the branch "scrape".
func (h *Handle) Spec() supervise.Spec {
	strategy := supervise.DefaultStrategy()
	strategy.Restarts = 100 // one bad target of many is no reason to stop all
	return supervise.Branch(Name, strategy, supervise.Spec{
		Name: "pool", Kind: "scrape_pool", Mailbox: supervise.Mailbox{Capacity: 1024},
		New: func() supervise.Actor { return &pool{h: h, running: map[string]bool{}} },
	})
}

// Close ends idle connections, once the branch has stopped.
func (h *Handle) Close() { h.client.CloseIdleConnections() }

// Targets lists how all targets are, by job and instance.
func (h *Handle) Targets() []Status {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.SortedFunc(maps.Values(h.status), func(a, b Status) int {
		return strings.Compare(a.Job+"\xff"+a.Instance+"\xff"+a.URL, b.Job+"\xff"+b.Instance+"\xff"+b.URL)
	})
}

// Metadata says what targets say of their metrics; each is there once for each way in
// which it is described. "" is every metric.
func (h *Handle) Metadata(metric string) map[string][]promql.Metadata {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := map[string][]promql.Metadata{}
	for _, of := range h.metadata {
		for name, m := range of {
			if (metric == "" || name == metric) && !slices.Contains(out[name], m) {
				out[name] = append(out[name], m)
			}
		}
	}
	return out
}

func (h *Handle) begin(key string, t Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.status[key]; !ok {
		h.status[key] = Status{Target: t, Health: Unknown}
	}
}

func (h *Handle) note(key string, s Status, about map[string]promql.Metadata) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status[key] = s
	if about != nil {
		h.metadata[key] = about
	}
}

func (h *Handle) forget(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.status, key)
	delete(h.metadata, key)
}
