package traces

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says what is kept, and where spans go.
type Config struct {
	Slow     time.Duration `yaml:"slow" min:"1ms" max:"1h" doc:"A request that takes longer is slow, and its trace is kept."`
	Kept     int           `yaml:"kept" min:"1" max:"100000" doc:"Last slow or failed traces that are kept."`
	Forward  bool          `yaml:"forward" doc:"Whether a process without the monitoring-service sends what it keeps there, through the stream SERVICE_LOGS."`
	Endpoint string        `yaml:"otlp_endpoint" doc:"Base address of an OTLP collector over HTTP, such as http://127.0.0.1:4318; empty exports nothing."`
	Share    float64       `yaml:"otlp_share" min:"0" max:"1" doc:"Share of the traces that is exported; slow and failed ones always are."`
}

// DefaultConfig keeps what takes longer than a second.
func DefaultConfig() Config { return Config{Slow: time.Second, Kept: 500, Forward: true, Share: 1} }

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	if c.Slow < time.Millisecond || c.Slow > time.Hour {
		errs = append(errs, fmt.Errorf("slow: %v, allowed 1ms to 1h", c.Slow))
	}
	if c.Kept < 1 || c.Kept > 100_000 {
		errs = append(errs, fmt.Errorf("kept: %d, allowed 1 to 100000", c.Kept))
	}
	if c.Share < 0 || c.Share > 1 {
		errs = append(errs, fmt.Errorf("otlp_share: %v, allowed 0 to 1", c.Share))
	}
	if _, err := endpoint(c.Endpoint); err != nil {
		errs = append(errs, fmt.Errorf("otlp_endpoint: %w", err))
	}
	return errors.Join(errs...)
}

// Bounds of what waits for the end of its trace.
const (
	maxSpans   = 200
	maxWaiting = 10_000
	maxOpen    = 100_000
	waitsFor   = time.Minute // a child may end after its parent, but not for ever
)

// Recorder takes spans. It is safe for concurrent use.
type Recorder struct {
	config  Config
	node    string
	export  func(Span) // nil: none
	metrics *metrics

	mu        sync.Mutex
	open      map[[8]byte]struct{} // spans that have begun here
	waiting   map[[16]byte]*Trace
	kept      []*Trace // oldest first
	byID      map[[16]byte]*Trace
	leaving   *leaving // nil: nobody is sent what is kept
	forgotten uint64   // traces that could not wait
	swept     time.Time
}

// Options are what a recorder is made of.
type Options struct {
	Config Config
	Node   string     // of the spans that are recorded here
	Export func(Span) // nil exports none
	// Registerer is where the metrics go; nil is nowhere.
	Registerer prometheus.Registerer
}

// NewRecorder makes a recorder that keeps nothing yet.
func NewRecorder(o Options) (*Recorder, error) {
	r := &Recorder{
		config: o.Config, node: o.Node, export: o.Export,
		open: map[[8]byte]struct{}{}, waiting: map[[16]byte]*Trace{}, byID: map[[16]byte]*Trace{},
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	var err error
	if r.metrics, err = newMetrics(r, o.Registerer); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return r, nil
}

// Begin notes a span that has begun, so that those below it wait for it.
func (r *Recorder) Begin(id [8]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) < maxOpen {
		r.open[id] = struct{}{}
	}
}

// End takes a span that was noted by Begin.
func (r *Recorder) End(s Span) {
	r.mu.Lock()
	delete(r.open, s.ID)
	_, here := r.open[s.Parent]
	r.mu.Unlock()
	s.Remote = !here
	r.Record(s)
}

// Record takes a span that has ended.
func (r *Recorder) Record(s Span) {
	s.Node = r.node
	slow := r.slow(&s)
	if r.export != nil && (slow || s.Failed || share(s.TraceID) < r.config.Share) {
		r.export(s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.byID[s.TraceID]; t != nil { // kept already: a span that is late
		if t.add(s, slow) {
			r.leave(&s)
		}
		return
	}
	t := r.waiting[s.TraceID]
	if s.Remote { // the last of this process
		if t != nil {
			delete(r.waiting, s.TraceID)
		}
		if !slow && !s.Failed && (t == nil || !t.Slow && !t.Failed) {
			return
		}
		if t == nil {
			t = &Trace{ID: s.TraceID}
		}
		t.add(s, slow)
		r.keep(t)
		r.leaveAll(t)
		return
	}
	if t == nil {
		if len(r.waiting) >= maxWaiting {
			r.sweep(s.Start)
		}
		if len(r.waiting) >= maxWaiting {
			r.forgotten++
			return
		}
		t = &Trace{ID: s.TraceID}
		r.waiting[s.TraceID] = t
	}
	t.add(s, slow)
}

// has says whether a span is there.
func (t *Trace) has(id [8]byte) bool {
	return slices.ContainsFunc(t.Spans, func(s Span) bool { return s.ID == id })
}

// add adds a span, and reports whether there is still room for it.
func (t *Trace) add(s Span, slow bool) bool {
	if len(t.Spans) >= maxSpans {
		t.Missing++
		return false
	}
	at, _ := slices.BinarySearchFunc(t.Spans, s, func(a, b Span) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(b.Took, a.Took)) })
	t.Spans = slices.Insert(t.Spans, at, s)
	t.Start, t.Took = t.Spans[0].Start, max(t.Took, s.Took)
	t.Failed, t.Slow = t.Failed || s.Failed, t.Slow || slow
	return true
}

func (r *Recorder) keep(t *Trace) {
	r.kept, r.byID[t.ID] = append(r.kept, t), t
	if over := len(r.kept) - r.config.Kept; over > 0 {
		for _, old := range r.kept[:over] {
			delete(r.byID, old.ID)
		}
		r.kept = slices.Delete(r.kept, 0, over)
	}
}

// leaveAll sends the spans of a trace that is kept from now on.
func (r *Recorder) leaveAll(t *Trace) {
	for i := range t.Spans {
		r.leave(&t.Spans[i])
	}
}

// leave sends a span to the monitoring-service, where that is in another process.
func (r *Recorder) leave(s *Span) {
	if r.leaving == nil {
		return
	}
	lost := r.leaving.add(wireOf(s, r.slow(s)))
	r.metrics.spans.WithLabelValues(outcomeLost).Add(float64(lost))
}

// slow says whether a span took long, and ought not to.
func (r *Recorder) slow(s *Span) bool { return s.Took >= r.config.Slow && !s.Endless }

// sweep decides about traces whose last span has not come for long.
func (r *Recorder) sweep(now time.Time) {
	if now.Sub(r.swept) < time.Second {
		return
	}
	r.swept = now
	for id, t := range r.waiting {
		if now.Sub(t.Start) > waitsFor {
			delete(r.waiting, id)
			if t.Slow || t.Failed {
				r.keep(t)
				r.leaveAll(t)
			}
		}
	}
}

// share is where a trace id lies between 0 and 1; every process says the same.
func share(id [16]byte) float64 {
	var n uint64
	for _, b := range id[8:] {
		n = n<<8 | uint64(b)
	}
	return float64(n>>11) / (1 << 53)
}

// Filter says which traces are wanted; zero fields want all.
type Filter struct {
	Service string
	Failed  bool          // only those
	Least   time.Duration // took at least
	From    time.Time
}

// List are the kept traces that are wanted, the latest first, at most limit. They are
// not to be changed.
func (r *Recorder) List(f Filter, limit int) []Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []Trace{}
	for i := len(r.kept) - 1; i >= 0 && len(out) < limit; i-- {
		t := r.kept[i]
		if f.Failed && !t.Failed || t.Took < f.Least || t.Start.Before(f.From) ||
			f.Service != "" && !slices.ContainsFunc(t.Spans, func(s Span) bool { return s.Service == f.Service }) {
			continue
		}
		out = append(out, t.clone())
	}
	return out
}

// Find is a kept trace by its id, 32 hex digits.
func (r *Recorder) Find(id string) (Trace, bool) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 {
		return Trace{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.byID[[16]byte(raw)]; t != nil {
		return t.clone(), true
	}
	return Trace{}, false
}

func (t *Trace) clone() Trace {
	c := *t
	c.Spans = slices.Clone(t.Spans)
	return c
}

// Counts are how many traces are kept, and how many were forgotten unseen.
func (r *Recorder) Counts() (kept int, forgotten uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.kept), r.forgotten
}
