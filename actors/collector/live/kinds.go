package live

import "github.com/marketprism/marketprism/internal/market"

// Policy says what becomes of a kind's records that a client is too slow for.
type Policy uint8

// The policies.
const (
	// Sequenced records are each given, or the client is ended.
	Sequenced Policy = iota
	// Merged: changes that wait are put into one, level by level; too many are
	// replaced by the whole book.
	Merged
	// Latest: a newer record replaces those that wait, because each says all.
	Latest
	// passed: another node's, whose policy it went by.
	passed
)

// PolicyOf is the policy of a kind.
func PolicyOf(k market.Kind) Policy {
	switch k {
	case market.KindBookDelta:
		return Merged
	case market.KindBookSnapshot, market.KindBookTop, market.KindBookTicker, market.KindTicker, market.KindFunding,
		market.KindMarkPrice, market.KindIndexPrice, market.KindOpenInterest:
		return Latest
	}
	return Sequenced
}

// kinds is a set of kinds.
type kinds uint32

func kindsOf(list ...market.Kind) (s kinds) {
	for _, k := range list {
		s |= 1 << k
	}
	return s
}

var allKinds = kindsOf(market.Kinds()...)

func (s kinds) has(k market.Kind) bool { return s&(1<<k) != 0 }

// each calls yield with every kind of the set, in order.
func (s kinds) each(yield func(market.Kind)) {
	for _, k := range market.Kinds() {
		if s.has(k) {
			yield(k)
		}
	}
}

func (s kinds) count() (n int) {
	s.each(func(market.Kind) { n++ })
	return n
}

// words are the kinds' names.
func (s kinds) words() []string {
	words := []string{}
	s.each(func(k market.Kind) { words = append(words, k.String()) })
	return words
}

// standing are kinds whose last record says how things stand until the next one:
// a new follower is given it.
var standing = kindsOf(market.KindBookTicker, market.KindBookTop, market.KindTicker, market.KindCandle, market.KindFunding,
	market.KindMarkPrice, market.KindIndexPrice, market.KindOpenInterest, market.KindLongShortRatio, market.KindVolatilityIndex)

// aspect tells apart the records of one kind that stand beside each other.
func aspect(r market.Record) string {
	switch r := r.(type) {
	case *market.Candle:
		return r.Interval
	case *market.LongShortRatio:
		return r.RatioKind + "/" + r.Period
	case *market.VolatilityIndex:
		return r.Index
	}
	return ""
}
