package collector

import (
	"math/bits"

	"github.com/marketprism/marketprism/internal/market"
)

// kindSet is a set of kinds.
type kindSet uint32

func kindsOf(kinds ...market.Kind) (s kindSet) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

func (s kindSet) has(k market.Kind) bool { return s&(1<<k) != 0 }

func (s kindSet) list() []market.Kind {
	out := make([]market.Kind, 0, bits.OnesCount32(uint32(s)))
	for ; s != 0; s &= s - 1 {
		out = append(out, market.Kind(bits.TrailingZeros32(uint32(s))))
	}
	return out
}

// words are the kinds' names.
func (s kindSet) words() []string {
	out := []string{}
	for _, k := range s.list() {
		out = append(out, k.String())
	}
	return out
}

// derived are kinds that a stream makes itself out of others.
var derived = kindsOf(market.KindBookSnapshot, market.KindBookTop, market.KindGap)
