package supervise

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// seconds converts nanoseconds.
func seconds(nanos int64) float64 { return float64(nanos) / float64(time.Second) }

// sampled is a series of durations: one writer, any number of readers.
type sampled struct {
	last, mean, max atomic.Int64 // nanoseconds
	spread          spread
}

func (s *sampled) add(nanos int64) {
	if s.max.Load() == 0 && s.mean.Load() == 0 {
		s.mean.Store(nanos)
	} else {
		mean := s.mean.Load()
		s.mean.Store(mean + (nanos-mean)/8)
	}
	s.last.Store(nanos)
	s.spread.add(nanos)
	if nanos > s.max.Load() {
		s.max.Store(nanos)
	}
}

func (s *sampled) read() (last, mean, max float64) {
	return seconds(s.last.Load()), seconds(s.mean.Load()), seconds(s.max.Load())
}

// p99 is what 99 of 100 recent durations stay below, in seconds.
func (s *sampled) p99() float64 { return min(s.spread.quantile(0.99)/1e9, seconds(s.max.Load())) }

// typeMeter counts one type of message of one actor.
type typeMeter struct {
	name    string
	pending uint64 // handled since the last flush; runner only
	total   atomic.Uint64
	handle  sampled
	counter prometheus.Counter
	seconds prometheus.Observer
}

// meter counts the messages of one actor. Its hot path is plain arithmetic on the
// actor's own goroutine; flush, at every pause and every 64 messages, publishes.
type meter struct {
	kind *kindMetrics

	// Runner only.
	last  reflect.Type
	cur   *typeMeter
	types map[reflect.Type]*typeMeter
	dirty []*typeMeter
	n     uint64

	handled atomic.Uint64
	mu      sync.Mutex
	list    []*typeMeter // for readers, in order of first appearance
}

func newMeter(kind *kindMetrics) *meter {
	return &meter{kind: kind, types: make(map[reflect.Type]*typeMeter)}
}

// count notes that message is about to be handled; sample asks for a measurement.
func (m *meter) count(message any) (t *typeMeter, sample bool) {
	if typ := reflect.TypeOf(message); typ != m.last {
		m.cur = m.of(typ)
		m.last = typ
	}
	t = m.cur
	if t.pending == 0 {
		m.dirty = append(m.dirty, t)
	}
	t.pending++
	sample = m.n%sampleEvery == 0
	m.n++
	if sample {
		m.flush()
	}
	return t, sample
}

func (m *meter) of(typ reflect.Type) *typeMeter {
	if t, ok := m.types[typ]; ok {
		return t
	}
	name := typeName(typ)
	t := &typeMeter{name: name, counter: m.kind.message(name), seconds: m.kind.handle(name)}
	m.types[typ] = t
	m.mu.Lock()
	m.list = append(m.list, t)
	m.mu.Unlock()
	return t
}

func (t *typeMeter) observe(nanos int64) {
	t.handle.add(nanos)
	t.seconds.Observe(seconds(nanos))
}

func (m *meter) flush() {
	if len(m.dirty) == 0 {
		return
	}
	var handled uint64
	for _, t := range m.dirty {
		t.total.Add(t.pending)
		t.counter.Add(float64(t.pending))
		handled += t.pending
		t.pending = 0
	}
	m.handled.Add(handled)
	m.dirty = m.dirty[:0]
}

// messages is the handling by type, for readers.
func (m *meter) messages() []MessageStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]MessageStatus, len(m.list))
	for i, t := range m.list {
		_, mean, most := t.handle.read()
		out[i] = MessageStatus{Message: t.name, Handled: t.total.Load(), HandleMean: mean, HandleP99: t.handle.p99(), HandleMax: most}
	}
	return out
}

// typeName is the Go type without pointer and package path: "stream.tick".
func typeName(typ reflect.Type) string {
	if typ == nil {
		return "nil"
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	return typ.String()
}

// nameOf is typeName of a message, out of its envelope.
func nameOf(message any) string { return typeName(reflect.TypeOf(message)) }
