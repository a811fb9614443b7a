package collector

import (
	"cmp"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// dollars are the quotes that others are compared in.
var dollars = []string{"USDT", "USD", "USDC"}

// rank lists native symbols, the most traded first and equal ones by name. A
// turnover in a quote of its own is reckoned in dollars by the last prices; one
// whose quote has no price in dollars counts as none.
func rank(volumes []connectors.Volume, listed []*market.Instrument) []string {
	of := make(map[string]*market.Instrument, len(listed))
	for _, i := range listed {
		of[i.Native] = i
	}
	worth := map[string]float64{} // of an asset, in dollars
	for _, d := range dollars {
		worth[d] = 1
	}
	for _, v := range volumes {
		switch i := of[v.Native]; {
		case i == nil || v.Price == 0:
		case slices.Contains(dollars, i.Quote) && worth[i.Base] == 0:
			worth[i.Base] = v.Price
		case slices.Contains(dollars, i.Base) && worth[i.Quote] == 0:
			worth[i.Quote] = 1 / v.Price
		}
	}
	volumes = slices.Clone(volumes)
	for n, v := range volumes {
		if i := of[v.Native]; i != nil && v.Price != 0 {
			volumes[n].Turnover *= worth[i.Quote]
		}
	}
	slices.SortFunc(volumes, func(a, b connectors.Volume) int {
		return cmp.Or(cmp.Compare(b.Turnover, a.Turnover), strings.Compare(a.Native, b.Native))
	})
	out := make([]string, len(volumes))
	for n := range volumes {
		out[n] = volumes[n].Native
	}
	return out
}

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
