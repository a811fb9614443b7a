// Package book holds one level-2 order book: exact prices and amounts, applied
// as absolute changes, read best first.
//
// A book knows nothing of sequence numbers or of exchanges; internal/stream
// decides what is applied to it and whether it may be called right. In the
// steady state nothing allocates.
package book

import (
	"math"

	"github.com/marketprism/marketprism/internal/market"
)

// Book is one order book. The zero value is an empty book of which nothing is
// known. It is not safe for concurrent use.
type Book struct {
	bids, asks side
}

// Extent says how much of the exchange's book a snapshot held.
type Extent uint8

// The extents.
const (
	// Whole: the snapshot is every level there is.
	Whole Extent = iota
	// Cut: the snapshot was limited to a number of levels. Beyond its last price
	// the book has only what changes have told since, and levels may be missing.
	Cut
)

// Replace makes the book what a snapshot says; nothing of before remains. Levels
// may come in any order; of two with one price the last counts, and amount 0 is
// no level.
func (b *Book) Replace(bids, asks []market.Level, extent Extent) {
	b.bids.replace(bids, true, extent)
	b.asks.replace(asks, false, extent)
}

// Apply makes changes: amounts are absolute, 0 deletes, and deleting a level
// that is not there is normal.
func (b *Book) Apply(bids, asks []market.Level) {
	b.bids.descending = true // the zero Book has seen no snapshot
	for i := range bids {
		b.bids.apply(&bids[i])
	}
	for i := range asks {
		b.asks.apply(&asks[i])
	}
}

// BestBid is the highest bid; ok is false where there is none.
func (b *Book) BestBid() (l market.Level, ok bool) { return b.bids.best() }

// BestAsk is the lowest ask; ok is false where there is none.
func (b *Book) BestAsk() (l market.Level, ok bool) { return b.asks.best() }

// Crossed reports best bid >= best ask, which no whole update of a right book
// leaves behind.
func (b *Book) Crossed() bool {
	bid, haveBid := b.bids.best()
	ask, haveAsk := b.asks.best()
	return haveBid && haveAsk && bid.Price.Cmp(ask.Price) >= 0
}

// AppendBids appends up to n bids, highest first; n < 0 means all.
func (b *Book) AppendBids(dst []market.Level, n int) []market.Level { return b.bids.appendTop(dst, n) }

// AppendAsks appends up to n asks, lowest first; n < 0 means all.
func (b *Book) AppendAsks(dst []market.Level, n int) []market.Level { return b.asks.appendTop(dst, n) }

// Len is the number of levels on each side.
func (b *Book) Len() (bids, asks int) { return b.bids.size(), b.asks.size() }

// Proven is the number of levels on each side, from the best on, among which
// none can be missing: those within the reach of the last snapshot.
func (b *Book) Proven() (bids, asks int) {
	return b.bids.proven(math.MaxInt), b.asks.proven(math.MaxInt)
}

// Narrow reports whether fewer than n levels of a side are proven because the
// price has moved towards the edge of a Cut snapshot: time for a new one.
func (b *Book) Narrow(n int) bool { return b.bids.narrow(n) || b.asks.narrow(n) }

// Clear forgets everything.
func (b *Book) Clear() { b.Replace(nil, nil, Whole) }
