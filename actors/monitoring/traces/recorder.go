package traces

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Config says what is kept, and where spans go.
type Config struct {
	Slow     time.Duration `yaml:"slow" min:"1ms" max:"1h" doc:"A request that takes longer is slow, and its trace is kept."`
	Kept     int           `yaml:"kept" min:"1" max:"100000" doc:"Last slow or failed traces that are kept."`
	Endpoint string        `yaml:"otlp_endpoint" doc:"Base address of an OTLP collector over HTTP, such as http://127.0.0.1:4318; empty exports nothing."`
	Share    float64       `yaml:"otlp_share" min:"0" max:"1" doc:"Share of the traces that is exported; slow and failed ones always are."`
}

// DefaultConfig keeps what takes longer than a second.
func DefaultConfig() Config { return Config{Slow: time.Second, Kept: 500, Share: 1} }

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
	config Config
	export func(Span) // nil: none

	mu        sync.Mutex
	open      map[[8]byte]struct{} // spans that have begun here
	waiting   map[[16]byte]*Trace
	kept      []*Trace // oldest first
	forgotten uint64   // traces that could not wait
	swept     time.Time
}

// NewRecorder makes a recorder that exports through export, nil for none.
func NewRecorder(c Config, export func(Span)) *Recorder {
	return &Recorder{config: c, export: export, open: map[[8]byte]struct{}{}, waiting: map[[16]byte]*Trace{}}
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
	slow := s.Took >= r.config.Slow && !s.Endless
	if r.export != nil && (slow || s.Failed || share(s.TraceID) < r.config.Share) {
		r.export(s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.find(s.TraceID); t != nil { // kept already: a span that is late
		t.add(s, slow)
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

// add adds a span.
func (t *Trace) add(s Span, slow bool) {
	if len(t.Spans) >= maxSpans {
		t.Missing++
		return
	}
	at, _ := slices.BinarySearchFunc(t.Spans, s, func(a, b Span) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(b.Took, a.Took)) })
	t.Spans = slices.Insert(t.Spans, at, s)
	t.Start, t.Took = t.Spans[0].Start, max(t.Took, s.Took)
	t.Failed, t.Slow = t.Failed || s.Failed, t.Slow || slow
}

func (r *Recorder) keep(t *Trace) {
	r.kept = append(r.kept, t)
	if over := len(r.kept) - r.config.Kept; over > 0 {
		r.kept = slices.Delete(r.kept, 0, over)
	}
}

// late is how many of the last traces a span that is late is looked for among.
const late = 32

func (r *Recorder) find(id [16]byte) *Trace {
	for i := len(r.kept) - 1; i >= max(0, len(r.kept)-late); i-- {
		if r.kept[i].ID == id {
			return r.kept[i]
		}
	}
	return nil
}

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
	for i := len(r.kept) - 1; i >= 0; i-- {
		if r.kept[i].ID == [16]byte(raw) {
			return r.kept[i].clone(), true
		}
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
