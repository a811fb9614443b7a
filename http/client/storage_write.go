package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// NewTrade is a trade to be stored. Its key is exchange, market, symbol, time and id: the
// same trade may be sent again, and is there once.
type NewTrade struct {
	Timestamp time.Time `json:"timestamp"` // of the event
	Exchange  string    `json:"exchange"`  // any name
	Symbol    string    `json:"symbol"`    // any spelling
	Market    string    `json:"market,omitempty"`
	TradeID   string    `json:"trade_id"`
	Price     Decimal   `json:"price"`  // quote per base, not negative
	Amount    Decimal   `json:"amount"` // base, not negative
	Side      string    `json:"side"`   // the aggressor's: buy, sell or unknown
}

// NewTicker is a ticker to be stored. Its key is exchange, market, symbol and time.
type NewTicker struct {
	Timestamp      time.Time `json:"timestamp"`
	Exchange       string    `json:"exchange"`
	Symbol         string    `json:"symbol"`
	Market         string    `json:"market,omitempty"`
	LastPrice      Decimal   `json:"last_price"`
	Volume24H      Decimal   `json:"volume_24h,omitempty"` // base
	PriceChange24H Decimal   `json:"price_change_24h,omitempty"`
	High24H        Decimal   `json:"high_24h,omitempty"`
	Low24H         Decimal   `json:"low_24h,omitempty"`
}

// NewOrderbook is an order book to be stored. Its key is exchange, market, symbol, time
// and depth.
type NewOrderbook struct {
	Timestamp time.Time `json:"timestamp"`
	Exchange  string    `json:"exchange"`
	Symbol    string    `json:"symbol"`
	Market    string    `json:"market,omitempty"`
	Bids      []Level   `json:"bids"`
	Asks      []Level   `json:"asks"`
}

// Stored is what came of a write, and where it is in the journal.
type Stored struct {
	Written
	// Position is shard:sequence, for [Storage.AwaitApplied]; empty when nothing was sent.
	Position string `json:"-"`
}

// StoreTrades stores trades, all of them or, with an error, none. It may be repeated: rows
// that were stored are replaced by themselves.
func (s *Storage) StoreTrades(ctx context.Context, trades ...NewTrade) (Stored, error) {
	return store(ctx, s.c, "trades", trades)
}

// StoreTickers stores tickers, as StoreTrades does.
func (s *Storage) StoreTickers(ctx context.Context, tickers ...NewTicker) (Stored, error) {
	return store(ctx, s.c, "tickers", tickers)
}

// StoreOrderbooks stores order books, as StoreTrades does.
func (s *Storage) StoreOrderbooks(ctx context.Context, books ...NewOrderbook) (Stored, error) {
	return store(ctx, s.c, "orderbooks", books)
}

func store[T any](ctx context.Context, c *Client, noun string, rows []T) (w Stored, err error) {
	if len(rows) == 0 {
		return Stored{Written: Written{Visible: true}}, nil
	}
	r, err := order(StorageService, http.MethodPost, storagePath+"/hot/"+noun, rows)
	if err != nil {
		return w, err
	}
	r.harmless = true // the last write of a key wins
	head, err := c.callHead(ctx, r, &w.Written)
	w.Position = head.Get("X-Journal-Position")
	return w, err
}

// StoreTradeLines stores any number of trades that fit one body of 32 MiB, a line each. It
// is faster than StoreTrades and not atomic: with an error, the lines before the first bad
// one are stored.
func (s *Storage) StoreTradeLines(ctx context.Context, trades ...NewTrade) (w Stored, err error) {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for i := range trades {
		if err := lines.Encode(&trades[i]); err != nil {
			return w, fmt.Errorf("encoding trade %d: %w", i, err)
		}
	}
	r := &request{service: StorageService, method: http.MethodPost, path: storagePath + "/hot/trades", body: b.Bytes(), media: mediaLines, harmless: true}
	head, err := s.c.callHead(ctx, r, &w.Written)
	w.Position = head.Get("X-Journal-Position")
	return w, err
}
