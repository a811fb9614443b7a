package market

// Funding is the rate that longs pay shorts on a perpetual.
type Funding struct {
	Header
	// Rate is a fraction per interval (0.0001 is one basis point), the one that
	// the next funding time will settle, where the exchange says so.
	Rate, PredictedRate Decimal
	// NextFundingTime is Unix ns; 0 when not given.
	NextFundingTime int64
	IntervalHours   OptInt
}

var fundingRow = kindRow{
	name: "funding", table: "funding_rates", aliases: []string{"funding_rate"}, rows: newRows[Funding, *Funding],
}

var (
	fieldRate            = field("rate")
	fieldPredictedRate   = field("predicted_rate")
	fieldNextFundingTime = field("next_funding_time_ns")
	fieldIntervalHours   = field("interval_hours")
)

// Kind implements [Record].
func (*Funding) Kind() Kind { return KindFunding }

// Fields implements [Record].
func (f *Funding) Fields(v Visitor) {
	v.Decimal(fieldRate, &f.Rate)
	v.Decimal(fieldPredictedRate, &f.PredictedRate)
	v.Time(fieldNextFundingTime, &f.NextFundingTime)
	v.Int(fieldIntervalHours, &f.IntervalHours)
}

func (f *Funding) eventTime() int64 { return f.ExchangeTime }

// MarkPrice is the price that positions are valued at.
type MarkPrice struct {
	Header
	Price Decimal
}

var markPriceRow = kindRow{name: "mark_price", table: "mark_prices", rows: newRows[MarkPrice, *MarkPrice]}

// Kind implements [Record].
func (*MarkPrice) Kind() Kind { return KindMarkPrice }

// Fields implements [Record].
func (p *MarkPrice) Fields(v Visitor) { v.Decimal(fieldPrice, &p.Price) }

func (p *MarkPrice) eventTime() int64 { return p.ExchangeTime }

// IndexPrice is the price of the underlying over several markets.
type IndexPrice struct {
	Header
	Price Decimal
}

var indexPriceRow = kindRow{name: "index_price", table: "index_prices", rows: newRows[IndexPrice, *IndexPrice]}

// Kind implements [Record].
func (*IndexPrice) Kind() Kind { return KindIndexPrice }

// Fields implements [Record].
func (p *IndexPrice) Fields(v Visitor) { v.Decimal(fieldPrice, &p.Price) }

func (p *IndexPrice) eventTime() int64 { return p.ExchangeTime }

// OpenInterest is the size of all open positions, in each unit that the exchange
// gives.
type OpenInterest struct {
	Header
	Contracts, Base, Quote Decimal
}

var openInterestRow = kindRow{name: "open_interest", table: "open_interest", rows: newRows[OpenInterest, *OpenInterest]}

var (
	fieldContracts = field("contracts")
	fieldBase      = field("base")
	fieldQuote     = field("quote")
)

// Kind implements [Record].
func (*OpenInterest) Kind() Kind { return KindOpenInterest }

// Fields implements [Record].
func (o *OpenInterest) Fields(v Visitor) {
	v.Decimal(fieldContracts, &o.Contracts)
	v.Decimal(fieldBase, &o.Base)
	v.Decimal(fieldQuote, &o.Quote)
}

func (o *OpenInterest) eventTime() int64 { return o.ExchangeTime }

// LongShortRatio compares long with short accounts or positions.
type LongShortRatio struct {
	Header
	// RatioKind is "all_accounts", "top_accounts" or "top_positions".
	RatioKind string
	// Long and Short are fractions of one; Ratio is long/short.
	Long, Short, Ratio Decimal
	// Period is the interval averaged over: "5m".
	Period string
}

var longShortRatioRow = kindRow{
	name: "long_short_ratio", table: "long_short_ratios",
	key: []string{"ratio_kind", "period"}, rows: newRows[LongShortRatio, *LongShortRatio],
}

var (
	fieldRatioKind = field("ratio_kind")
	fieldLong      = field("long")
	fieldShort     = field("short")
	fieldRatio     = field("ratio")
	fieldPeriod    = field("period")
)

// Kind implements [Record].
func (*LongShortRatio) Kind() Kind { return KindLongShortRatio }

// Fields implements [Record].
func (r *LongShortRatio) Fields(v Visitor) {
	v.Word(fieldRatioKind, &r.RatioKind)
	v.Decimal(fieldLong, &r.Long)
	v.Decimal(fieldShort, &r.Short)
	v.Decimal(fieldRatio, &r.Ratio)
	v.Word(fieldPeriod, &r.Period)
}

func (r *LongShortRatio) eventTime() int64 { return r.ExchangeTime }

// VolatilityIndex is an exchange's index of implied volatility.
type VolatilityIndex struct {
	Header
	// Index is its name: "btc_usd".
	Index string
	// Value is in percent a year.
	Value Decimal
}

var volatilityIndexRow = kindRow{
	name: "volatility_index", table: "volatility_index", key: []string{"index"},
	rows: newRows[VolatilityIndex, *VolatilityIndex],
}

var (
	fieldIndex = field("index")
	fieldValue = field("value")
)

// Kind implements [Record].
func (*VolatilityIndex) Kind() Kind { return KindVolatilityIndex }

// Fields implements [Record].
func (x *VolatilityIndex) Fields(v Visitor) {
	v.Word(fieldIndex, &x.Index)
	v.Decimal(fieldValue, &x.Value)
}

func (x *VolatilityIndex) eventTime() int64 { return x.ExchangeTime }
