package market

// Candle is the trades of one interval in five numbers.
type Candle struct {
	Header
	// Interval is "1m", "4h", "1d", "1w", "1M".
	Interval string
	// OpenTime is inclusive and CloseTime the last instant inside, as the exchange
	// gives them, Unix ns.
	OpenTime, CloseTime    int64
	Open, High, Low, Close Decimal
	// Volume is in base, QuoteVolume in quote.
	Volume, QuoteVolume Decimal
	// Trades is the number of trades.
	Trades OptInt
	// Closed is false while the interval is still running.
	Closed bool
}

var candleRow = kindRow{
	name: "candle", table: "candles", aliases: []string{"kline", "klines"},
	key: []string{"interval"}, rows: newRows[Candle, *Candle],
}

var (
	fieldInterval  = field("interval")
	fieldOpenTime  = field("open_time_ns")
	fieldCloseTime = field("close_time_ns")
	fieldClose     = field("close")
	fieldTrades    = field("trades")
	fieldClosed    = field("closed")
)

// Kind implements [Record].
func (*Candle) Kind() Kind { return KindCandle }

// Fields implements [Record].
func (c *Candle) Fields(v Visitor) {
	v.Word(fieldInterval, &c.Interval)
	v.Time(fieldOpenTime, &c.OpenTime)
	v.Time(fieldCloseTime, &c.CloseTime)
	v.Decimal(fieldOpen, &c.Open)
	v.Decimal(fieldHigh, &c.High)
	v.Decimal(fieldLow, &c.Low)
	v.Decimal(fieldClose, &c.Close)
	v.Decimal(fieldVolume, &c.Volume)
	v.Decimal(fieldQuoteVolume, &c.QuoteVolume)
	v.Int(fieldTrades, &c.Trades)
	v.Bool(fieldClosed, &c.Closed)
}

func (c *Candle) eventTime() int64 { return c.OpenTime }
