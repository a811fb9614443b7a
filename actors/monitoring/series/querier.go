package series

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// Querier implements storage.Queryable: what the store holds in [from, to], Unix
// milliseconds.
func (s *Store) Querier(from, to int64) (storage.Querier, error) {
	return &querier{store: s, from: from, to: to}, nil
}

type querier struct {
	store    *Store
	from, to int64
}

// Close implements storage.Querier.
func (q *querier) Close() error { return nil }

// selected returns the series with samples in [from, to] that match.
func (q *querier) selected(matchers []*Matcher) []*memory {
	q.store.mu.RLock()
	found := q.store.index.matching(matchers)
	q.store.mu.RUnlock()
	return slices.DeleteFunc(found, func(m *memory) bool { return !m.touches(q.from, q.to) })
}

// Select implements storage.Querier.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*Matcher) storage.SeriesSet {
	if err := ctx.Err(); err != nil {
		return storage.ErrSeriesSet(err)
	}
	set := &seriesSet{from: q.from, to: q.to, series: q.selected(matchers), at: -1}
	if hints != nil {
		set.from, set.to = max(set.from, hints.Start), min(set.to, hints.End)
		if hints.Limit > 0 && len(set.series) > hints.Limit {
			set.series = set.series[:hints.Limit]
		}
	}
	if sorted {
		slices.SortFunc(set.series, func(a, b *memory) int { return labels.Compare(a.labels, b.labels) })
	}
	return set
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(_ context.Context, name string, hints *storage.LabelHints, matchers ...*Matcher) ([]string, annotations.Annotations, error) {
	found := map[string]bool{}
	for _, m := range q.selected(matchers) {
		if v := m.labels.Get(name); v != "" {
			found[v] = true
		}
	}
	return sortedKeys(found, hints), nil, nil
}

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(_ context.Context, hints *storage.LabelHints, matchers ...*Matcher) ([]string, annotations.Annotations, error) {
	found := map[string]bool{}
	for _, m := range q.selected(matchers) {
		m.labels.Range(func(l labels.Label) { found[l.Name] = true })
	}
	return sortedKeys(found, hints), nil, nil
}

func sortedKeys(m map[string]bool, hints *storage.LabelHints) []string {
	limited, _ := hints.ApplyLimit(slices.Sorted(maps.Keys(m)))
	return limited
}

// seriesSet goes through the series that were selected.
type seriesSet struct {
	from, to int64
	series   []*memory
	at       int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *seriesSet) At() storage.Series                { return &entry{s.series[s.at], s.from, s.to} }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

type entry struct {
	memory   *memory
	from, to int64
}

func (e *entry) Labels() labels.Labels { return e.memory.labels }

// Iterator implements storage.Series. Samples of the first and last chunk may lie
// outside of the time that was asked for: the engine skips them.
func (e *entry) Iterator(again chunkenc.Iterator) chunkenc.Iterator {
	chunks := e.memory.between(e.from, e.to)
	if len(chunks) == 0 { // dropped since it was selected
		return chunkenc.NewNopIterator()
	}
	return storage.ChainSampleIteratorFromIterables(again, chunks)
}
