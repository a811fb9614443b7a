package deribit

import "github.com/marketprism/marketprism/internal/market"

// Sequence is the rule of the book:
//
//  1. The first notification of a subscription holds the whole book, with its
//     change_id.
//  2. Every other holds the changes since the one before, whose change_id it
//     repeats as prev_change_id. If that is not the book's, something is missing:
//     subscribe anew.
//
// Amounts are absolute, and how many changes share a notification differs between
// two connections. So a change that begins before the book's change_id and ends
// after it (as when a connection takes over from another) follows too: it repeats
// what the book holds. One that ends at or before it is old.
//
// https://docs.deribit.com/subscriptions/orderbook/bookinstrument_nameinterval
type Sequence struct{}

// Splice implements [connectors.Sequence].
func (Sequence) Splice(snapshotSeq int64, d *market.BookDelta) market.Continuity {
	return Sequence{}.Follow(snapshotSeq, d)
}

// Follow implements [connectors.Sequence].
func (Sequence) Follow(lastSeq int64, d *market.BookDelta) market.Continuity {
	switch {
	case !d.Seq.OK || !d.PrevSeq.OK:
		return market.Hole
	case d.Seq.V <= lastSeq:
		return market.Old
	case d.PrevSeq.V <= lastSeq:
		return market.Next
	}
	return market.Hole
}
