package collector

import (
	"slices"

	"github.com/marketprism/marketprism/internal/market"
)

// topOf chooses the n most traded instruments. One that was chosen before stays
// until it has fallen below rank 1.25 n, so that neighbours in rank do not take
// turns.
func topOf(n int, ranked, before []*market.Instrument) []*market.Instrument {
	rank := make(map[*market.Instrument]int, len(ranked))
	for at, i := range ranked {
		rank[i] = at
	}
	var kept []*market.Instrument
	for _, i := range before {
		if at, ok := rank[i]; ok && at < n+n/4 {
			kept = append(kept, i)
		}
	}
	slices.SortFunc(kept, func(a, b *market.Instrument) int { return rank[a] - rank[b] })
	kept = kept[:min(n, len(kept))]
	have := make(map[*market.Instrument]bool, n)
	for _, i := range kept {
		have[i] = true
	}
	for _, i := range ranked {
		if len(kept) == n {
			break
		}
		if !have[i] {
			kept = append(kept, i)
		}
	}
	return kept
}

// chooseTop brings the choice of the most traded instruments up to date. Without
// a ranking the choice that there is stays.
func (v *venue) chooseTop(n int) []*market.Instrument {
	var before []*market.Instrument
	if p := v.top.Load(); p != nil {
		before = *p
	}
	ranking := v.ranking.Load()
	switch {
	case n == 0:
		before = nil
	case ranking == nil:
		return before
	default:
		table := v.instruments()
		var ranked []*market.Instrument
		for _, native := range *ranking {
			if i, ok := table.Native([]byte(native)); ok && i.Trading {
				ranked = append(ranked, i)
			}
		}
		before = topOf(n, ranked, before)
	}
	v.top.Store(&before)
	return before
}
