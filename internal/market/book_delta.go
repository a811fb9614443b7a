package market

// BookDelta is a change of a book, or (IsSnapshot) the whole book that replaces
// whatever was there.
type BookDelta struct {
	Header
	IsSnapshot bool
	// Bids and Asks are absolute amounts by price, as the exchange ordered them;
	// amount 0 deletes the price.
	Bids, Asks []Level
	// Checksum is the exchange's own, of the book after this change.
	Checksum OptInt

	// FirstSeq is the first of several updates that the exchange put into this
	// one; Seq is the last. It proves the splice and is not part of the record.
	FirstSeq OptInt
}

var bookDeltaRow = kindRow{
	name: "book_delta", table: "book_deltas",
	key: []string{"seq", "is_snapshot"}, rows: newRows[BookDelta, *BookDelta],
}

var (
	fieldIsSnapshot = field("is_snapshot")
	fieldBids       = field("bids")
	fieldAsks       = field("asks")
	fieldChecksum   = field("checksum")
)

// Kind implements [Record].
func (*BookDelta) Kind() Kind { return KindBookDelta }

// Fields implements [Record].
func (d *BookDelta) Fields(v Visitor) {
	v.Bool(fieldIsSnapshot, &d.IsSnapshot)
	v.Levels(fieldBids, &d.Bids)
	v.Levels(fieldAsks, &d.Asks)
	v.Int(fieldChecksum, &d.Checksum)
}

func (d *BookDelta) eventTime() int64 { return d.ExchangeTime }

func (d *BookDelta) ownLevels(b *Batch) {
	d.Bids, d.Asks = b.CopyLevels(d.Bids), b.CopyLevels(d.Asks)
}
