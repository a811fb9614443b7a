package scrape

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// sink writes the series of one target.
type sink struct {
	store  *series.Store
	labels map[string]string

	mu    sync.Mutex // a scrape may be under way when the target leaves
	left  bool
	round uint64
	// known are the series by how the target writes them, so that labels are read
	// once.
	known map[string]*known
	own   []*known // up and its like
}

// known is a series of the target.
type known struct {
	ref    series.Ref
	labels series.Labels
	round  uint64 // of the last scrape that had it
}

// Names of the series that a scrape makes.
const (
	upName       = "up"
	durationName = "scrape_duration_seconds"
	samplesName  = "scrape_samples_scraped"
)

func newSink(store *series.Store, labels map[string]string) *sink {
	s := &sink{store: store, labels: labels, known: map[string]*known{}}
	for _, name := range []string{upName, durationName, samplesName} {
		l := maps.Clone(labels)
		l[series.MetricName] = name
		s.own = append(s.own, &known{labels: series.FromMap(l)})
	}
	return s
}

// sample is one of a page that is not written yet.
type sample struct {
	of *known
	at int64
	v  float64
}

// write writes all samples of a page, or none when it cannot be read to its end, and
// ends the series that it has no more.
func (s *sink) write(at int64, p *page, limit int) (n int, about map[string]promql.Metadata, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return 0, nil, nil
	}
	s.round++
	about = map[string]promql.Metadata{}
	var samples []sample
	err = promql.Exposition{
		Sample: func(key []byte, labels func() series.Labels, t *int64, v float64) error {
			if len(samples) >= limit {
				return ErrSampleLimit
			}
			k := s.known[string(key)]
			if k == nil {
				k = &known{labels: s.merged(labels())}
				s.known[string(key)] = k
			}
			k.round = s.round
			when := at
			if t != nil {
				when = *t
			}
			samples = append(samples, sample{k, when, v})
			return nil
		},
		About: func(metric string, change func(*promql.Metadata)) {
			m := about[metric]
			change(&m)
			about[metric] = m
		},
	}.Read(p.body, p.contentType)
	if err != nil {
		return 0, nil, err
	}
	for _, each := range samples {
		s.append(each.of, each.at, each.v)
	}
	s.sweep(at, func(k *known) bool { return k.round != s.round })
	return len(samples), about, nil
}

// merged are the labels of a series with those of the target, which go before.
func (s *sink) merged(l series.Labels) series.Labels {
	m := l.Map()
	for name, value := range s.labels {
		if theirs, ok := m[name]; ok && theirs != "" {
			m["exported_"+name] = theirs
		}
		m[name] = value
	}
	return series.FromMap(m)
}

// append adds a sample. What the store refuses it has counted.
func (s *sink) append(k *known, at int64, v float64) {
	for range 2 {
		if !k.ref.Valid() {
			ref, err := s.store.Series(k.labels)
			if err != nil {
				return
			}
			k.ref = ref
		}
		if err := s.store.Append(k.ref, at, v); !errors.Is(err, series.ErrCollected) {
			return
		}
		k.ref = series.Ref{}
	}
}

// sweep ends series and forgets them.
func (s *sink) sweep(at int64, gone func(*known) bool) {
	for key, k := range s.known {
		if gone(k) {
			if k.ref.Valid() {
				s.append(k, at, series.Stale())
			}
			delete(s.known, key)
		}
	}
}

// report writes the series of the scrape itself; after a failure all others end.
func (s *sink) report(at int64, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return
	}
	if o.err != nil {
		s.sweep(at, all)
	}
	up := 1.0
	if o.err != nil {
		up = 0
	}
	for i, v := range []float64{up, o.took.Seconds(), float64(o.samples)} {
		s.append(s.own[i], at, v)
	}
}

// leave ends every series: the target is gone. Nothing is written any more.
func (s *sink) leave(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
	s.sweep(at, all)
	for _, k := range s.own {
		if k.ref.Valid() {
			s.append(k, at, series.Stale())
		}
	}
}

func all(*known) bool { return true }

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
