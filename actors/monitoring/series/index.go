package series

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Labels name a series; they are sorted, and never change.
type Labels = labels.Labels

// Label is one of them.
type Label = labels.Label

// Matcher selects series by one label.
type Matcher = labels.Matcher

// MetricName is the label that holds the metric's name.
const MetricName = model.MetricNameLabel

// FromMap makes labels.
func FromMap(m map[string]string) Labels { return labels.FromMap(m) }

// FromStrings makes labels of names and values in turn; it panics on an odd number.
func FromStrings(pairs ...string) Labels { return labels.FromStrings(pairs...) }

// index finds series by their labels. Its owner locks it.
type index struct {
	all  map[uint32]*memory
	hash map[uint64][]*memory
	// postings are the ids of the series that have a label, ascending.
	postings map[string]map[string][]uint32
	next     uint32
}

func newIndex() index {
	return index{all: map[uint32]*memory{}, hash: map[uint64][]*memory{}, postings: map[string]map[string][]uint32{}}
}

func (x *index) find(hash uint64, l Labels) *memory {
	for _, m := range x.hash[hash] {
		if labels.Equal(m.labels, l) {
			return m
		}
	}
	return nil
}

func (x *index) add(hash uint64, l Labels) *memory {
	x.next++
	m := &memory{id: x.next, labels: l}
	x.all[m.id] = m
	x.hash[hash] = append(x.hash[hash], m)
	l.Range(func(each labels.Label) {
		values := x.postings[each.Name]
		if values == nil {
			values = map[string][]uint32{}
			x.postings[each.Name] = values
		}
		values[each.Value] = append(values[each.Value], m.id)
	})
	return m
}

// remove forgets series; the postings of each label are gone through once.
func (x *index) remove(gone []*memory) {
	touched := map[labels.Label]bool{}
	for _, m := range gone {
		delete(x.all, m.id)
		h := m.labels.Hash()
		if x.hash[h] = slices.DeleteFunc(x.hash[h], func(o *memory) bool { return o == m }); len(x.hash[h]) == 0 {
			delete(x.hash, h)
		}
		m.labels.Range(func(l labels.Label) { touched[l] = true })
	}
	for l := range touched {
		values := x.postings[l.Name]
		left := slices.DeleteFunc(slices.Clone(values[l.Value]), func(id uint32) bool { return x.all[id] == nil })
		if len(left) > 0 {
			values[l.Value] = left
			continue
		}
		delete(values, l.Value)
		if len(values) == 0 {
			delete(x.postings, l.Name)
		}
	}
}

// matching returns the series that all matchers match.
func (x *index) matching(matchers []*Matcher) []*memory {
	var out []*memory
	for _, id := range x.candidates(matchers) {
		if m := x.all[id]; m != nil && matches(m.labels, matchers) {
			out = append(out, m)
		}
	}
	return out
}

func matches(l Labels, matchers []*Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// candidates returns a set that holds all series that match: the smallest that one
// matcher alone leaves.
func (x *index) candidates(matchers []*Matcher) []uint32 {
	var best []uint32
	found := false
	for _, m := range matchers {
		if m.Matches("") {
			continue // says nothing of series without the label
		}
		ids := x.having(m)
		if !found || len(ids) < len(best) {
			best, found = ids, true
		}
	}
	if found {
		return best
	}
	ids := make([]uint32, 0, len(x.all))
	for id := range x.all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// having returns the series that have the label of a matcher with a value that it
// matches.
func (x *index) having(m *Matcher) []uint32 {
	values := x.postings[m.Name]
	if m.Type == labels.MatchEqual {
		return values[m.Value]
	}
	var ids []uint32
	if set := m.SetMatches(); m.Type == labels.MatchRegexp && len(set) > 0 {
		for _, v := range set {
			ids = append(ids, values[v]...)
		}
		return ids
	}
	for v, of := range values {
		if m.Matches(v) {
			ids = append(ids, of...)
		}
	}
	slices.Sort(ids)
	return ids
}
