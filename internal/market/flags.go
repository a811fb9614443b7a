package market

import "math/bits"

// Flags say what else is known of a record.
type Flags uint32

// The flags. Their bits are stored: they never change meaning.
const (
	// FlagSnapshot: the record is, or comes from, a whole state, not a change.
	FlagSnapshot Flags = 1 << iota
	// FlagBackfilled: fetched by REST after the stream had missed it.
	FlagBackfilled
	// FlagSuspect: received while the stream's continuity was broken.
	FlagSuspect
	// FlagUnverifiable: the channel has neither a sequence nor a checksum.
	FlagUnverifiable
	// FlagBlock: a block trade.
	FlagBlock
	// FlagAggregate: several fills at one price reported as one trade.
	FlagAggregate
	// FlagFuture: the time given lies ahead of the receive time.
	FlagFuture
	// FlagLossy: the channel leaves records out by design.
	FlagLossy
	// FlagUnkeyed: the record has no identity that outlives its connection; its
	// key also holds receive time, epoch, conn and seq.
	FlagUnkeyed
	// FlagLiquidation: the trade was a forced one.
	FlagLiquidation
	flagEnd
)

var flagWords = []string{
	"snapshot", "backfilled", "suspect", "unverifiable", "block", "aggregate", "future", "lossy", "unkeyed", "liquidation",
}

// Has reports whether every flag of g is set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Each calls yield with the word of each flag that is set, in bit order.
func (f Flags) Each(yield func(string)) {
	for f &= flagEnd - 1; f != 0; f &= f - 1 {
		yield(flagWords[bits.TrailingZeros32(uint32(f))])
	}
}

// Words are the words of the flags that are set, in bit order; never nil.
func (f Flags) Words() []string {
	words := []string{}
	f.Each(func(w string) { words = append(words, w) })
	return words
}

// ParseFlag returns the flag of a word; ok is false for an unknown one.
func ParseFlag(w string) (f Flags, ok bool) {
	for i, have := range flagWords {
		if have == w {
			return 1 << i, true
		}
	}
	return 0, false
}
