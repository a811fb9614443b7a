package series

import (
	"errors"
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// chunkSamples is how many samples a chunk holds: enough to compress, few enough
// that the oldest can be dropped piecemeal.
const chunkSamples = 120

// What an append may meet.
var (
	// ErrOutOfOrder: the series has a later sample.
	ErrOutOfOrder = errors.New("sample is older than the last one of its series")
	// ErrDuplicate: the series has another value at that time.
	ErrDuplicate = errors.New("series has another value at that time")
	// ErrCollected: the series is gone; resolve it anew.
	ErrCollected = errors.New("series was collected")
	// ErrSeriesLimit: there are as many series as are allowed.
	ErrSeriesLimit = errors.New("there are as many series as are allowed")
	// ErrSampleLimit: there are as many samples as are allowed.
	ErrSampleLimit = errors.New("there are as many samples as are allowed")
)

// Stale is the value that ends a series: it is exported no longer.
func Stale() float64 { return math.Float64frombits(value.StaleNaN) }

// IsStale reports whether v is [Stale].
func IsStale(v float64) bool { return value.IsStaleNaN(v) }

// chunk is a run of samples that is complete, or the last one of its series.
type chunk struct {
	data     *chunkenc.XORChunk
	min, max int64 // times of the first and last sample, ms
}

// memory is one series.
type memory struct {
	id     uint32
	labels Labels

	mu        sync.Mutex
	chunks    []chunk // by time; the last one may be open
	app       chunkenc.Appender
	last      int64 // time of the last sample, ms
	value     float64
	collected bool
}

// append adds a sample, and reports how many more samples and bytes that makes.
func (m *memory) append(t int64, v float64) (samples, bytes int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.collected:
		return 0, 0, ErrCollected
	case len(m.chunks) == 0:
	case t < m.last:
		return 0, 0, ErrOutOfOrder
	case t == m.last && math.Float64bits(v) == math.Float64bits(m.value):
		return 0, 0, nil
	case t == m.last:
		return 0, 0, ErrDuplicate
	}
	if m.app == nil || m.chunks[len(m.chunks)-1].data.NumSamples() >= chunkSamples {
		if bytes, err = m.cut(t); err != nil {
			return 0, 0, err
		}
	}
	head := &m.chunks[len(m.chunks)-1]
	before := len(head.data.Bytes())
	m.app.Append(0, t, v)
	head.max, m.last, m.value = t, t, v
	return 1, bytes + len(head.data.Bytes()) - before, nil
}

// cut begins a new chunk.
func (m *memory) cut(t int64) (bytes int, err error) {
	if n := len(m.chunks); n > 0 {
		m.chunks[n-1].data.Compact()
	}
	c := chunk{data: chunkenc.NewXORChunk(), min: t, max: t}
	if m.app, err = c.data.Appender(); err != nil {
		return 0, err
	}
	m.chunks = append(m.chunks, c)
	return len(c.data.Bytes()), nil
}

// trim drops the chunks that end before cutoff.
func (m *memory) trim(cutoff int64) (samples, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for n < len(m.chunks) && m.chunks[n].max < cutoff {
		samples += m.chunks[n].data.NumSamples()
		bytes += len(m.chunks[n].data.Bytes())
		n++
	}
	if n == 0 {
		return 0, 0
	}
	m.chunks = append([]chunk(nil), m.chunks[n:]...)
	if len(m.chunks) == 0 {
		m.app = nil
	}
	return samples, bytes
}

// collect ends the series.
func (m *memory) collect() (samples, bytes int) {
	samples, bytes = m.trim(math.MaxInt64)
	m.mu.Lock()
	m.collected = true
	m.mu.Unlock()
	return samples, bytes
}

// between copies the chunks that reach into [from, to] in a form that no append
// touches: a complete chunk as it is, the open one as a copy.
func (m *memory) between(from, to int64) []chunkenc.Iterable {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []chunkenc.Iterable
	for i, c := range m.chunks {
		if c.max < from || c.min > to {
			continue
		}
		if i < len(m.chunks)-1 {
			out = append(out, c.data)
			continue
		}
		open := chunkenc.NewXORChunk()
		open.Reset(append([]byte(nil), c.data.Bytes()...))
		out = append(out, open)
	}
	return out
}

// touches reports whether the series has a chunk that reaches into [from, to].
func (m *memory) touches(from, to int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.chunks {
		if c.max >= from && c.min <= to {
			return true
		}
	}
	return false
}

// age says when the last sample was, and whether there is any.
func (m *memory) age() (last int64, empty bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, len(m.chunks) == 0
}
