package series

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Store keeps samples. It is safe for concurrent use.
type Store struct {
	config  Config
	metrics *metrics

	mu    sync.RWMutex
	index index

	count, samples, bytes atomic.Int64
}

// New makes an empty store.
func New(c Config, reg prometheus.Registerer) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("series store: %w", err)
	}
	s := &Store{config: c, index: newIndex()}
	var err error
	if s.metrics, err = newMetrics(s, reg); err != nil {
		return nil, fmt.Errorf("series metrics: %w", err)
	}
	return s, nil
}

// Ref is a series that was resolved.
type Ref struct{ memory *memory }

// Labels are those of the series.
func (r Ref) Labels() Labels { return r.memory.labels }

// Valid reports whether the Ref was ever resolved.
func (r Ref) Valid() bool { return r.memory != nil }

// Series resolves a series, and makes it when there is none. Error: ErrSeriesLimit.
func (s *Store) Series(l Labels) (Ref, error) {
	hash := l.Hash()
	s.mu.RLock()
	m := s.index.find(hash, l)
	s.mu.RUnlock()
	if m != nil {
		return Ref{m}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m = s.index.find(hash, l); m != nil {
		return Ref{m}, nil
	}
	if len(s.index.all) >= s.config.MaxSeries {
		s.metrics.refused.WithLabelValues(seriesLimit).Inc()
		return Ref{}, ErrSeriesLimit
	}
	m = s.index.add(hash, l)
	s.count.Add(1)
	s.metrics.created.Inc()
	return Ref{m}, nil
}

// Append adds a sample to a series: t in Unix milliseconds. An exact repetition of
// the last sample does nothing. Errors: ErrOutOfOrder, ErrDuplicate, ErrCollected,
// ErrSampleLimit; all but ErrCollected are counted.
func (s *Store) Append(r Ref, t int64, v float64) error {
	if s.samples.Load() >= s.hardLimit() {
		s.metrics.refused.WithLabelValues(sampleLimit).Inc()
		return ErrSampleLimit
	}
	samples, bytes, err := r.memory.append(t, v)
	switch {
	case err == nil:
		s.samples.Add(int64(samples))
		s.bytes.Add(int64(bytes))
		s.metrics.appended.Add(float64(samples))
	case errors.Is(err, ErrOutOfOrder):
		s.metrics.refused.WithLabelValues(outOfOrder).Inc()
	case errors.Is(err, ErrDuplicate):
		s.metrics.refused.WithLabelValues(duplicate).Inc()
	}
	return err
}

// Record resolves a series and adds a sample. Errors: those of Series and Append but
// ErrCollected.
func (s *Store) Record(l Labels, t int64, v float64) error {
	for {
		r, err := s.Series(l)
		if err != nil {
			return err
		}
		if err = s.Append(r, t, v); !errors.Is(err, ErrCollected) {
			return err
		}
	}
}

// hardLimit is a little above MaxSamples, so that Maintain has time to make room.
func (s *Store) hardLimit() int64 { return int64(s.config.MaxSamples) + int64(s.config.MaxSamples)/8 }

// Stats are the figures of a store.
type Stats struct {
	Series  int64
	Samples int64
	Bytes   int64 // of compressed samples; labels and the index are not in it
}

// Stats returns the figures.
func (s *Store) Stats() Stats {
	return Stats{Series: s.count.Load(), Samples: s.samples.Load(), Bytes: s.bytes.Load()}
}

// Maintain drops what is too old, the oldest of what is too much, and series without
// samples; with the series at their limit also those that are idle. It is to be
// called every few seconds, by one caller at a time.
func (s *Store) Maintain(now time.Time) {
	s.mu.RLock()
	all := make([]*memory, 0, len(s.index.all))
	for _, m := range s.index.all {
		all = append(all, m)
	}
	s.mu.RUnlock()

	cutoff := now.Add(-s.config.Retention).UnixMilli()
	s.trim(all, cutoff)
	// An eighth of the retention at a time: what is dropped is always the oldest of all.
	for step := s.config.Retention / 8; s.samples.Load() > int64(s.config.MaxSamples) && cutoff < now.UnixMilli(); {
		cutoff += step.Milliseconds()
		s.trim(all, cutoff)
		s.metrics.shortened.Inc()
	}

	idle := now.Add(-s.config.Idle).UnixMilli()
	full := len(all) >= s.config.MaxSeries*9/10
	var gone []*memory
	for _, m := range all {
		last, empty := m.age()
		if last < idle && (empty || full) {
			gone = append(gone, m)
		}
	}
	s.collect(gone)
}

func (s *Store) trim(all []*memory, cutoff int64) {
	for _, m := range all {
		samples, bytes := m.trim(cutoff)
		s.samples.Add(-int64(samples))
		s.bytes.Add(-int64(bytes))
	}
}

func (s *Store) collect(gone []*memory) {
	if len(gone) == 0 {
		return
	}
	s.mu.Lock()
	s.index.remove(gone)
	s.mu.Unlock()
	for _, m := range gone {
		samples, bytes := m.collect()
		s.samples.Add(-int64(samples))
		s.bytes.Add(-int64(bytes))
	}
	s.count.Add(-int64(len(gone)))
	s.metrics.removed.Add(float64(len(gone)))
}
