package binance

import "github.com/marketprism/marketprism/internal/market"

// SpotSequence is the rule of the spot market's book:
//
//  1. Buffer the events of <symbol>@depth.
//  2. Get a snapshot. If its lastUpdateId is below the first event's U, get
//     another.
//  3. Drop the events with u <= lastUpdateId; the first one left has
//     U <= lastUpdateId+1 <= u.
//  4. From then on: an event with u <= the book's id is old; one with
//     U > the book's id + 1 means that something is missing: start over.
//
// https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly
type SpotSequence struct{}

// Splice implements [connectors.Sequence]: steps 2 and 3.
func (SpotSequence) Splice(snapshotSeq int64, d *market.BookDelta) market.Continuity {
	return SpotSequence{}.Follow(snapshotSeq, d)
}

// Follow implements [connectors.Sequence]: step 4.
func (SpotSequence) Follow(lastSeq int64, d *market.BookDelta) market.Continuity {
	switch {
	case !d.Seq.OK || !d.FirstSeq.OK:
		return market.Hole
	case d.Seq.V <= lastSeq:
		return market.Old
	case d.FirstSeq.V > lastSeq+1:
		return market.Hole
	}
	return market.Next
}

// FuturesSequence is the rule of the USD-M book:
//
//  1. Buffer the events of <symbol>@depth.
//  2. Get a snapshot with lastUpdateId L. Drop the events with u < L.
//  3. The first one left has U <= L <= u, or pu == L. (u == L repeats the
//     snapshot, which is common and harmless: amounts are absolute.)
//  4. From then on each event's pu is the previous event's u; else start over.
//
// The ids of a symbol are not contiguous, so that U tells nothing in step 4.
//
// https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly
type FuturesSequence struct{}

// Splice implements [connectors.Sequence]: steps 2 and 3.
func (FuturesSequence) Splice(snapshotSeq int64, d *market.BookDelta) market.Continuity {
	switch {
	case !d.Seq.OK || !d.FirstSeq.OK:
		return market.Hole
	case d.Seq.V < snapshotSeq:
		return market.Old
	case d.FirstSeq.V <= snapshotSeq, d.PrevSeq.OK && d.PrevSeq.V == snapshotSeq:
		return market.Next
	}
	return market.Hole
}

// Follow implements [connectors.Sequence]: step 4. An event that ends at or
// before the book's id is one that came twice.
func (FuturesSequence) Follow(lastSeq int64, d *market.BookDelta) market.Continuity {
	switch {
	case !d.Seq.OK || !d.PrevSeq.OK:
		return market.Hole
	case d.PrevSeq.V == lastSeq:
		return market.Next
	case d.Seq.V <= lastSeq:
		return market.Old
	}
	return market.Hole
}
