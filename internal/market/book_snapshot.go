package market

// BookSnapshot is the top of the rebuilt book at an instant of the exchange's
// clock.
type BookSnapshot struct {
	Header
	// Depth is the number of levels a side asked for; fewer may exist.
	Depth OptInt
	// Bids and Asks are best first.
	Bids, Asks []Level
	// State is the book's at that instant: "live" for a proven book.
	State string
}

var bookSnapshotRow = kindRow{
	name: "book_snapshot", table: "book_snapshots", aliases: []string{"orderbook", "orderbooks"},
	key: []string{"depth"}, rows: newRows[BookSnapshot, *BookSnapshot],
}

var (
	fieldDepth = field("depth")
	fieldState = field("state")
)

// Kind implements [Record].
func (*BookSnapshot) Kind() Kind { return KindBookSnapshot }

// Fields implements [Record].
func (s *BookSnapshot) Fields(v Visitor) {
	v.Int(fieldDepth, &s.Depth)
	v.Levels(fieldBids, &s.Bids)
	v.Levels(fieldAsks, &s.Asks)
	v.Word(fieldState, &s.State)
}

func (s *BookSnapshot) eventTime() int64 { return s.ExchangeTime }

func (s *BookSnapshot) ownLevels(b *Batch) {
	s.Bids, s.Asks = b.CopyLevels(s.Bids), b.CopyLevels(s.Asks)
}
