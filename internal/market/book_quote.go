package market

// Quote is the best bid and ask. An absent price or amount is an empty side.
type Quote struct {
	BidPrice, BidAmount, AskPrice, AskAmount Decimal
}

var (
	fieldBidPrice  = field("bid_price")
	fieldBidAmount = field("bid_amount")
	fieldAskPrice  = field("ask_price")
	fieldAskAmount = field("ask_amount")
)

func (q *Quote) fields(v Visitor) {
	v.Decimal(fieldBidPrice, &q.BidPrice)
	v.Decimal(fieldBidAmount, &q.BidAmount)
	v.Decimal(fieldAskPrice, &q.AskPrice)
	v.Decimal(fieldAskAmount, &q.AskAmount)
}

// BookTop is the rebuilt book's best levels after an applied update. It is made
// on request, and never stored.
type BookTop struct {
	Header
	Quote
}

var bookTopRow = kindRow{name: "book_top", rows: newRows[BookTop, *BookTop]}

// Kind implements [Record].
func (*BookTop) Kind() Kind { return KindBookTop }

// Fields implements [Record].
func (t *BookTop) Fields(v Visitor) { t.Quote.fields(v) }

func (t *BookTop) eventTime() int64 { return t.ExchangeTime }

// BookTicker is the best bid and ask as the exchange sent it.
type BookTicker struct {
	Header
	Quote
}

var bookTickerRow = kindRow{
	name: "book_ticker", table: "book_tickers", key: []string{"seq"}, rows: newRows[BookTicker, *BookTicker],
}

// Kind implements [Record].
func (*BookTicker) Kind() Kind { return KindBookTicker }

// Fields implements [Record].
func (t *BookTicker) Fields(v Visitor) { t.Quote.fields(v) }

func (t *BookTicker) eventTime() int64 { return t.ExchangeTime }
