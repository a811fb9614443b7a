package client

import (
	"encoding/json"
	"fmt"
	"time"
)

// Record is a stored or live record of one of the kinds.
type Record interface {
	Trade | BookDelta | BookSnapshot | BookTicker | BookTop | Ticker | Candle | Funding | MarkPrice | IndexPrice |
		OpenInterest | Liquidation | LongShortRatio | VolatilityIndex | Gap
}

// Header is what all records have. What a record does not have is zero.
type Header struct {
	Kind     string `json:"kind"` // trade, book_delta, …
	Exchange string `json:"exchange"`
	Market   string `json:"market"`                  // spot, perpetual, future, option
	Symbol   string `json:"symbol"`                  // canonical: BTC-USDT
	Native   string `json:"native_symbol,omitempty"` // the exchange's own spelling
	// ExchangeTimeNS is the event's time by the exchange's clock, Unix ns.
	ExchangeTimeNS int64 `json:"exchange_time_ns,omitempty"`
	// ReceiveTimeNS is when its frame came, by ours, Unix ns.
	ReceiveTimeNS int64  `json:"receive_time_ns,omitempty"`
	Seq           *int64 `json:"seq,omitempty"`      // the exchange's sequence number
	PrevSeq       *int64 `json:"prev_seq,omitempty"` // of the record before, as the exchange says
	Conn          int64  `json:"conn,omitempty"`     // connection within the epoch
	Epoch         int64  `json:"epoch,omitempty"`    // ownership
	// Origin is empty for what was collected here, external for what a client has POSTed.
	Origin string   `json:"origin,omitempty"`
	Flags  []string `json:"flags,omitempty"` // future, backfilled, suspect, …
}

// Time is the event's time, or when it came where the exchange gives none.
func (h *Header) Time() time.Time {
	if h.ExchangeTimeNS == 0 {
		return time.Unix(0, h.ReceiveTimeNS).UTC()
	}
	return time.Unix(0, h.ExchangeTimeNS).UTC()
}

// Trade is one execution, or an aggregate of several.
type Trade struct {
	Header
	ID     string  `json:"id"`
	Price  Decimal `json:"price"`  // quote per base
	Amount Decimal `json:"amount"` // base, or contracts where the exchange says so
	Side   string  `json:"side"`   // the aggressor's: buy, sell, unknown
	// QuoteAmount is price × amount in quote, where the exchange gives it.
	QuoteAmount Decimal `json:"quote_amount,omitempty"`
}

// Candle is one candle as the exchange has sent it.
type Candle struct {
	Header
	Interval    string  `json:"interval"`
	OpenTimeNS  int64   `json:"open_time_ns"`  // Unix ns
	CloseTimeNS int64   `json:"close_time_ns"` // last instant inside
	Open        Decimal `json:"open"`
	High        Decimal `json:"high"`
	Low         Decimal `json:"low"`
	Close       Decimal `json:"close"`
	Volume      Decimal `json:"volume"` // base
	QuoteVolume Decimal `json:"quote_volume,omitempty"`
	Trades      *int64  `json:"trades,omitempty"`
	Closed      bool    `json:"closed"`
}

// Ticker is a rolling summary, mostly of 24 hours.
type Ticker struct {
	Header
	Last          Decimal `json:"last,omitempty"`
	Open          Decimal `json:"open,omitempty"`
	High          Decimal `json:"high,omitempty"`
	Low           Decimal `json:"low,omitempty"`
	Volume        Decimal `json:"volume,omitempty"` // base
	QuoteVolume   Decimal `json:"quote_volume,omitempty"`
	Change        Decimal `json:"change,omitempty"` // last less open
	ChangePercent Decimal `json:"change_percent,omitempty"`
	BidPrice      Decimal `json:"bid_price,omitempty"`
	AskPrice      Decimal `json:"ask_price,omitempty"`
	WindowOpenNS  int64   `json:"window_open_ns,omitempty"`
	WindowCloseNS int64   `json:"window_close_ns,omitempty"`
}

// Gap is one entry of the gap ledger: what a channel is known to have missed.
type Gap struct {
	Header
	Channel       string `json:"channel"` // kind of the channel that missed something
	FromSeq       *int64 `json:"from_seq,omitempty"`
	ToSeq         *int64 `json:"to_seq,omitempty"`
	FromTimeNS    int64  `json:"from_time_ns,omitempty"` // of the last record before
	ToTimeNS      int64  `json:"to_time_ns,omitempty"`   // of the first after; 0 while it is open
	Cause         string `json:"cause"`
	Outcome       string `json:"outcome"` // open, healed, marked
	HealedRecords *int64 `json:"healed_records,omitempty"`
}

// kindOf is the word for the kind of a type of record.
func kindOf[T Record]() string {
	var zero T
	switch any(zero).(type) {
	case Trade:
		return "trade"
	case BookDelta:
		return "book_delta"
	case BookSnapshot:
		return "book_snapshot"
	case BookTicker:
		return "book_ticker"
	case BookTop:
		return "book_top"
	case Ticker:
		return "ticker"
	case Candle:
		return "candle"
	case Funding:
		return "funding"
	case MarkPrice:
		return "mark_price"
	case IndexPrice:
		return "index_price"
	case OpenInterest:
		return "open_interest"
	case Liquidation:
		return "liquidation"
	case LongShortRatio:
		return "long_short_ratio"
	case VolatilityIndex:
		return "volatility_index"
	}
	return "gap"
}

// ParseRecord reads a record from its JSON form. One of another kind is an error.
func ParseRecord[T Record](text []byte) (T, error) {
	var r T
	var kind struct{ Kind string }
	err := json.Unmarshal(text, &kind)
	if err == nil && kind.Kind != "" && kind.Kind != kindOf[T]() {
		err = fmt.Errorf("it is of kind %s", kind.Kind)
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("reading a %s: %w", kindOf[T](), err)
	}
	return r, nil
}
