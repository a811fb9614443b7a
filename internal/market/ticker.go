package market

// Ticker is the statistics of a rolling window, usually 24 hours.
type Ticker struct {
	Header
	Last, Open, High, Low Decimal
	// Volume is in base, QuoteVolume in quote.
	Volume, QuoteVolume Decimal
	// Change is last − open; ChangePercent the same in percent of open.
	Change, ChangePercent Decimal
	BidPrice, AskPrice    Decimal
	// WindowOpen and WindowClose are Unix ns; 0 when not given.
	WindowOpen, WindowClose int64
}

var tickerRow = kindRow{name: "ticker", table: "tickers", rows: newRows[Ticker, *Ticker]}

var (
	fieldLast          = field("last")
	fieldOpen          = field("open")
	fieldHigh          = field("high")
	fieldLow           = field("low")
	fieldVolume        = field("volume")
	fieldQuoteVolume   = field("quote_volume")
	fieldChange        = field("change")
	fieldChangePercent = field("change_percent")
	fieldWindowOpen    = field("window_open_ns")
	fieldWindowClose   = field("window_close_ns")
)

// Kind implements [Record].
func (*Ticker) Kind() Kind { return KindTicker }

// Fields implements [Record].
func (t *Ticker) Fields(v Visitor) {
	v.Decimal(fieldLast, &t.Last)
	v.Decimal(fieldOpen, &t.Open)
	v.Decimal(fieldHigh, &t.High)
	v.Decimal(fieldLow, &t.Low)
	v.Decimal(fieldVolume, &t.Volume)
	v.Decimal(fieldQuoteVolume, &t.QuoteVolume)
	v.Decimal(fieldChange, &t.Change)
	v.Decimal(fieldChangePercent, &t.ChangePercent)
	v.Decimal(fieldBidPrice, &t.BidPrice)
	v.Decimal(fieldAskPrice, &t.AskPrice)
	v.Time(fieldWindowOpen, &t.WindowOpen)
	v.Time(fieldWindowClose, &t.WindowClose)
}

func (t *Ticker) eventTime() int64 { return t.ExchangeTime }
