package collector

import (
	"encoding/binary"
	"math/bits"

	"github.com/marketprism/marketprism/internal/market"
)

// tape keeps the newest rows of numbers, packed: thousands of streams remember
// hundreds of rows each. A row is written as what changed since the row before it:
// a mask of columns, and how far each of those has moved. Rows stand in blocks,
// each of which begins anew and is dropped whole.
type tape struct {
	limit  int // rows
	blocks []tapeBlock
	last   tapeRow // of the newest block
}

// tapeRow is a row: columns that change often come first, so that its mask is
// short. A column that is not used stays 0 and takes no room.
type tapeRow [16]int64

type tapeBlock struct {
	text []byte
	rows int
}

const (
	tapeBlockRows = 32
	// tapeExtra, in the mask, says that a text follows the columns.
	tapeExtra = 1 << len(tapeRow{})
)

// push adds a row and a text of its own, mostly none.
func (t *tape) push(row *tapeRow, extra []byte) {
	if n := len(t.blocks); n == 0 || t.blocks[n-1].rows == tapeBlockRows {
		t.turn()
	}
	var mask uint64
	for i := range row {
		if row[i] != t.last[i] {
			mask |= 1 << i
		}
	}
	changed := mask
	if len(extra) > 0 {
		mask |= tapeExtra
	}
	b := &t.blocks[len(t.blocks)-1]
	text := binary.AppendUvarint(b.text, mask)
	for ; changed != 0; changed &= changed - 1 {
		i := bits.TrailingZeros64(changed)
		text = binary.AppendVarint(text, row[i]-t.last[i])
	}
	if len(extra) > 0 {
		text = append(binary.AppendUvarint(text, uint64(len(extra))), extra...)
	}
	b.text, t.last = text, *row
	b.rows++
}

// turn begins a block, in the memory of the oldest when that is not needed.
func (t *tape) turn() {
	t.last = tapeRow{}
	if t.rows() < t.limit || t.rows()-t.blocks[0].rows < t.limit {
		t.blocks = append(t.blocks, tapeBlock{})
		return
	}
	oldest := t.blocks[0]
	copy(t.blocks, t.blocks[1:])
	t.blocks[len(t.blocks)-1] = tapeBlock{text: oldest.text[:0]}
}

func (t *tape) rows() int {
	n := 0
	for i := range t.blocks {
		n += t.blocks[i].rows
	}
	return n
}

// len is how many rows each yields.
func (t *tape) len() int { return min(t.rows(), t.limit) }

// each yields the newest rows up to the limit, oldest first. Row and text are good
// during the call.
func (t *tape) each(yield func(row *tapeRow, extra []byte)) {
	skip := t.rows() - t.len()
	for i := range t.blocks {
		var row tapeRow
		text := t.blocks[i].text
		for range t.blocks[i].rows {
			var extra []byte
			if extra, text = row.next(text); skip > 0 {
				skip--
				continue
			}
			yield(&row, extra)
		}
	}
}

// next makes the row before the one that text begins with.
func (r *tapeRow) next(text []byte) (extra, rest []byte) {
	mask, n := binary.Uvarint(text)
	text = text[n:]
	for changed := mask &^ tapeExtra; changed != 0; changed &= changed - 1 {
		moved, n := binary.Varint(text)
		r[bits.TrailingZeros64(changed)] += moved
		text = text[n:]
	}
	if mask&tapeExtra == 0 {
		return nil, text
	}
	length, n := binary.Uvarint(text)
	return text[n : n+int(length)], text[n+int(length):]
}

// Columns of a trade, those that change from trade to trade first.
const (
	tradeTime     = iota // the exchange's
	tradeReceived        // after it
	tradeID              // where it is a number
	tradePrice           // coefficients
	tradeAmount
	tradeSide
	tradeQuote
	tradeMarks
	tradeScales
	tradeStamp   // after the exchange's time
	tradeSeq     // after the id
	tradePrevSeq // after the sequence number
	tradeFlags
	tradeEpoch
	tradeConn
	tradeOrigin
)

// Marks of a trade: what is there at all, and what is written as text because a
// number cannot hold it.
const (
	markSeq = 1 << iota
	markPrevSeq
	markID
	markIDText
	markDecimals // two bits for each of price, amount and quote amount: set, text
)

// packTrade makes a row of a trade, all of it but the instrument; dst is memory for
// the text.
func packTrade(t *market.Trade, dst []byte) (row tapeRow, extra []byte) {
	row = tapeRow{
		tradeTime: t.ExchangeTime, tradeReceived: t.ReceiveTime - t.ExchangeTime, tradeStamp: t.TS - t.ExchangeTime,
		tradeSide: int64(t.Side.Code()), tradeFlags: int64(t.Flags), tradeEpoch: t.Epoch, tradeConn: t.Conn,
		tradeOrigin: int64(t.Origin.Code()),
	}
	var marks int64
	n, numeric := t.ID.Num()
	switch {
	case numeric:
		marks, row[tradeID] = markID, n
	case t.ID.IsSet():
		marks, extra = markID|markIDText, appendExtra(dst, t.ID.AppendText(nil))
	}
	if t.Seq.OK {
		marks, row[tradeSeq] = marks|markSeq, t.Seq.V-n
	}
	if t.PrevSeq.OK {
		marks, row[tradePrevSeq] = marks|markPrevSeq, t.PrevSeq.V-t.Seq.V
	}
	for i, d := range [...]*market.Decimal{&t.Price, &t.Amount, &t.QuoteAmount} {
		if !d.IsSet() {
			continue
		}
		marks |= markDecimals << (2 * i)
		coef, ok := d.Coefficient()
		if !ok {
			marks |= 2 * markDecimals << (2 * i)
			extra = appendExtra(extra, d.AppendText(nil))
			continue
		}
		row[[...]int{tradePrice, tradeAmount, tradeQuote}[i]] = coef
		row[tradeScales] |= int64(d.Scale()) << (8 * i)
	}
	row[tradeMarks] = marks
	return row, extra
}

func appendExtra(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// unpackTrade is the way back.
func unpackTrade(row *tapeRow, extra []byte, i *market.Instrument) (t market.Trade) {
	next := func() []byte {
		length, n := binary.Uvarint(extra)
		text := extra[n : n+int(length)]
		extra = extra[n+int(length):]
		return text
	}
	marks := row[tradeMarks]
	t.Instrument, t.ExchangeTime = i, row[tradeTime]
	t.ReceiveTime, t.TS = row[tradeReceived]+t.ExchangeTime, row[tradeStamp]+t.ExchangeTime
	t.Flags, t.Epoch, t.Conn = market.Flags(row[tradeFlags]), row[tradeEpoch], row[tradeConn]
	t.Side.SetCode(uint8(row[tradeSide]))
	t.Origin.SetCode(uint8(row[tradeOrigin]))
	switch {
	case marks&markIDText != 0:
		t.ID = market.TextID(string(next()))
	case marks&markID != 0:
		t.ID = market.NumID(row[tradeID])
	}
	if marks&markSeq != 0 {
		t.Seq = market.Int(row[tradeSeq] + row[tradeID])
	}
	if marks&markPrevSeq != 0 {
		t.PrevSeq = market.Int(row[tradePrevSeq] + t.Seq.V)
	}
	for i, d := range [...]*market.Decimal{&t.Price, &t.Amount, &t.QuoteAmount} {
		switch marks / markDecimals >> (2 * i) & 3 {
		case 1:
			*d = market.NewDecimal(row[[...]int{tradePrice, tradeAmount, tradeQuote}[i]], uint8(row[tradeScales]>>(8*i)))
		case 3:
			*d = longDecimal(next())
		}
	}
	return t
}

// longDecimal reads back what a Decimal has written.
func longDecimal(text []byte) market.Decimal {
	d, err := market.ParseDecimal(text)
	if err != nil {
		panic("collector: a Decimal's own text is not a number: " + err.Error())
	}
	return d
}

// Columns of a quarter of an hour.
const (
	quarterStart    = iota // in bucketLengths since 1970
	quarterRecords         // of the streamed kinds
	quarterUnproven        // of them
	quarterSeen            // seconds, rounded, so that most are alike
	quarterDown            // ms of the time seen
	quarterGaps
)

func packBucket(b *bucket) tapeRow {
	return tapeRow{
		quarterStart: b.start / int64(bucketLength), quarterRecords: b.records, quarterUnproven: b.records - b.verified,
		quarterSeen: (b.seen + 5e8) / 1e9, quarterDown: (b.seen - b.live) / 1e6, quarterGaps: b.gaps,
	}
}

func unpackBucket(row *tapeRow) bucket {
	seen := row[quarterSeen] * 1e9
	return bucket{
		start: row[quarterStart] * int64(bucketLength), records: row[quarterRecords], verified: row[quarterRecords] - row[quarterUnproven],
		seen: seen, live: max(0, seen-row[quarterDown]*1e6), gaps: row[quarterGaps],
	}
}
