package client

// BookDelta is a change of a book or, with IsSnapshot, the whole book that replaces
// whatever was there.
type BookDelta struct {
	Header
	IsSnapshot bool    `json:"is_snapshot"`
	Bids       []Level `json:"bids"` // amounts are absolute; 0 deletes the price
	Asks       []Level `json:"asks"`
	Checksum   *int64  `json:"checksum,omitempty"` // the exchange's own, of the book after the change
}

// BookSnapshot is a whole book as it was proven.
type BookSnapshot struct {
	Header
	Depth *int64  `json:"depth,omitempty"` // levels a side that were asked for
	Bids  []Level `json:"bids"`            // best first
	Asks  []Level `json:"asks"`
	State string  `json:"state,omitempty"` // live for a book that is proven
}

// Quote is the best of both sides.
type Quote struct {
	BidPrice  Decimal `json:"bid_price,omitempty"`
	BidAmount Decimal `json:"bid_amount,omitempty"`
	AskPrice  Decimal `json:"ask_price,omitempty"`
	AskAmount Decimal `json:"ask_amount,omitempty"`
}

// BookTicker is the best of both sides as the exchange sends it.
type BookTicker struct {
	Header
	Quote
}

// BookTop is the best of both sides of the book that is kept here. It is followed live,
// and not stored.
type BookTop struct {
	Header
	Quote
}

// Funding is the rate that holders of a perpetual pay each other.
type Funding struct {
	Header
	Rate              Decimal `json:"rate,omitempty"`
	PredictedRate     Decimal `json:"predicted_rate,omitempty"`
	NextFundingTimeNS int64   `json:"next_funding_time_ns,omitempty"`
	IntervalHours     *int64  `json:"interval_hours,omitempty"`
}

// MarkPrice is the price by which positions are valued.
type MarkPrice struct {
	Header
	Price Decimal `json:"price"`
}

// IndexPrice is the price of the underlying, over several exchanges.
type IndexPrice struct {
	Header
	Price Decimal `json:"price"`
}

// OpenInterest is how much is held.
type OpenInterest struct {
	Header
	Contracts Decimal `json:"contracts,omitempty"`
	Base      Decimal `json:"base,omitempty"`
	Quote     Decimal `json:"quote,omitempty"`
}

// Liquidation is a position that the exchange has closed.
type Liquidation struct {
	Header
	ID     string  `json:"id,omitempty"`
	Price  Decimal `json:"price,omitempty"`
	Amount Decimal `json:"amount,omitempty"`
	Side   string  `json:"side"`
	Status string  `json:"status,omitempty"`
}

// LongShortRatio is how accounts or positions are divided.
type LongShortRatio struct {
	Header
	RatioKind string  `json:"ratio_kind"`
	Long      Decimal `json:"long,omitempty"`
	Short     Decimal `json:"short,omitempty"`
	Ratio     Decimal `json:"ratio,omitempty"`
	Period    string  `json:"period,omitempty"`
}

// VolatilityIndex is the volatility that options imply.
type VolatilityIndex struct {
	Header
	Index string  `json:"index"`
	Value Decimal `json:"value"`
}
