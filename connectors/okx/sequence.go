package okx

import (
	"hash/crc32"
	"sync"

	"github.com/marketprism/marketprism/internal/market"
)

// Sequence is the rule of channel books:
//
//  1. The first frame is a snapshot, with prevSeqId -1.
//  2. A change follows when its prevSeqId is the seqId before. Ids jump, and are
//     the same on every connection.
//  3. Without changes for about a minute an empty one comes, with seqId equal to
//     prevSeqId.
//  4. After maintenance ids may begin anew: a change then has a seqId below its
//     prevSeqId, which follows by 2 like any other. A lower id therefore tells
//     nothing: only the very same id again is one that came twice.
//  5. Anything else means that something is missing: subscribe anew.
//
// Until 2023 there were no ids, and until June 2026 a checksum instead: without an
// id a change follows, and the checksum of the book proves it. Without either it
// proves nothing.
//
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
type Sequence struct {
	texts *sync.Pool // of *[]byte: what a checksum is taken of; nil allocates
}

// newSequence returns a rule that allocates nothing in the steady state.
func newSequence() Sequence {
	return Sequence{texts: &sync.Pool{New: func() any { return new([]byte) }}}
}

// Splice implements [connectors.Sequence]. A snapshot is a frame of the chain, so
// that a change follows it as it follows another change.
func (Sequence) Splice(snapshotSeq int64, d *market.BookDelta) market.Continuity {
	return Sequence{}.Follow(snapshotSeq, d)
}

// Follow implements [connectors.Sequence]: steps 2 to 5.
func (Sequence) Follow(lastSeq int64, d *market.BookDelta) market.Continuity {
	switch {
	case !d.Seq.OK && d.Checksum.OK:
		return market.Next
	case !d.Seq.OK || !d.PrevSeq.OK:
		return market.Hole
	case d.PrevSeq.V == lastSeq:
		return market.Next
	case d.Seq.V == lastSeq:
		return market.Old
	}
	return market.Hole
}

// checksumDepth is the number of levels a side that the checksum covers.
const checksumDepth = 25

// ChecksumDepth implements stream.Checksummer.
func (Sequence) ChecksumDepth() int { return checksumDepth }

// Checksum implements stream.Checksummer: the CRC-32, as a signed number, of
// bid:amount:ask:amount… from the best on; a side that has ended is left out.
// Prices and amounts are as sent, amounts in contracts.
func (q Sequence) Checksum(i *market.Instrument, bids, asks []market.Level) int64 {
	if q.texts == nil {
		return sum(appendBook(nil, i, bids, asks))
	}
	room := q.texts.Get().(*[]byte)
	defer q.texts.Put(room)
	*room = appendBook((*room)[:0], i, bids, asks)
	return sum(*room)
}

func sum(text []byte) int64 { return int64(int32(crc32.ChecksumIEEE(text))) }

// appendBook appends the text that the checksum is taken of.
func appendBook(text []byte, i *market.Instrument, bids, asks []market.Level) []byte {
	for n := range max(len(bids), len(asks)) {
		if n < len(bids) {
			text = appendLevel(text, i, &bids[n])
		}
		if n < len(asks) {
			text = appendLevel(text, i, &asks[n])
		}
	}
	if len(text) > 0 {
		text = text[:len(text)-1]
	}
	return text
}

func appendLevel(text []byte, i *market.Instrument, l *market.Level) []byte {
	text = append(l.Price.AppendText(text), ':')
	return append(contracts(i, l.Amount).AppendText(text), ':')
}
