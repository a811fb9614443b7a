package market

// Trade is one execution, or an aggregate of several ([FlagAggregate]).
type Trade struct {
	Header
	ID ID
	// Price is in quote per base; Amount in base, or in contracts where the
	// exchange's page says so.
	Price, Amount Decimal
	// Side is the aggressor's.
	Side Side
	// QuoteAmount is price × amount in quote, where the exchange gives it.
	QuoteAmount Decimal
}

var tradeRow = kindRow{name: "trade", table: "trades", key: []string{"trade_id"}, rows: newRows[Trade, *Trade]}

var (
	fieldTradeID     = fieldIn("id", "trade_id")
	fieldPrice       = field("price")
	fieldAmount      = field("amount")
	fieldSide        = field("side")
	fieldQuoteAmount = field("quote_amount")
)

// Kind implements [Record].
func (*Trade) Kind() Kind { return KindTrade }

// Fields implements [Record].
func (t *Trade) Fields(v Visitor) {
	v.ID(fieldTradeID, &t.ID)
	v.Decimal(fieldPrice, &t.Price)
	v.Decimal(fieldAmount, &t.Amount)
	v.Enum(fieldSide, &t.Side)
	v.Decimal(fieldQuoteAmount, &t.QuoteAmount)
}

// Number is what rises by one from trade to trade of an instrument, where
// anything does: the exchange's sequence number of trades, else a numeric id.
func (t *Trade) Number() (n int64, ok bool) {
	if t.Seq.OK {
		return t.Seq.V, true
	}
	return t.ID.Num()
}

func (t *Trade) eventTime() int64 { return t.ExchangeTime }
