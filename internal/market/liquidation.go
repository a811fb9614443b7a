package market

// Liquidation is a forced order.
type Liquidation struct {
	Header
	// ID is absent on exchanges that give none.
	ID ID
	// Price is the average fill where known, Amount the filled amount in base.
	Price, Amount Decimal
	// Side is the forced order's: buy means that a short was liquidated.
	Side Side
	// Status is the exchange's word in lower case: "filled".
	Status string
}

var liquidationRow = kindRow{
	name: "liquidation", table: "liquidations",
	key: []string{"id", "side", "price", "amount"}, rows: newRows[Liquidation, *Liquidation],
}

var (
	fieldID     = field("id")
	fieldStatus = field("status")
)

// Kind implements [Record].
func (*Liquidation) Kind() Kind { return KindLiquidation }

// Fields implements [Record].
func (l *Liquidation) Fields(v Visitor) {
	v.ID(fieldID, &l.ID)
	v.Decimal(fieldPrice, &l.Price)
	v.Decimal(fieldAmount, &l.Amount)
	v.Enum(fieldSide, &l.Side)
	v.Word(fieldStatus, &l.Status)
}

func (l *Liquidation) eventTime() int64 { return l.ExchangeTime }
