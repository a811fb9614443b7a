package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Collector is the market-data-collector: books and trades as they are now, live streams,
// and how complete everything is.
type Collector struct{ c *Client }

// Status tells what is collected, and how much of it.
func (c *Collector) Status(ctx context.Context) (s CollectorStatus, err error) {
	return s, c.c.call(ctx, get(CollectorService, "/api/v1/status", nil), &s)
}

// Exchanges tells how each exchange is, by its name.
func (c *Collector) Exchanges(ctx context.Context) (map[string]ExchangeStatus, error) {
	var answer struct {
		Exchanges map[string]ExchangeStatus `json:"exchanges"`
	}
	err := c.c.call(ctx, get(CollectorService, "/api/v1/exchanges", nil), &answer)
	return answer.Exchanges, err
}

// Instruments lists the symbols of an exchange that are collected, or all that it lists.
// market may be "".
func (c *Collector) Instruments(ctx context.Context, exchange, market string, all bool) ([]Instrument, error) {
	var p parameters
	p.set("market", market)
	p.flag("all", all)
	var answer struct {
		Symbols []Instrument `json:"symbols"`
	}
	err := c.c.call(ctx, get(CollectorService, join("/api/v1/orderbook/symbols", exchange), p.Values), &answer)
	return answer.Symbols, err
}

// Book is an order book as it is now, to a depth of so many levels a side; 0 is 20. Only
// one whose State is live is proven right.
func (c *Collector) Book(ctx context.Context, exchange, symbol, market string, depth int) (b Book, err error) {
	var p parameters
	p.set("market", market)
	p.number("depth", depth)
	p.set("decimals", "string")
	return b, c.c.call(ctx, get(CollectorService, join("/api/v1/orderbook", exchange, symbol), p.Values), &b)
}

// RefreshBook fetches a new snapshot of a book, which stays live meanwhile.
func (c *Collector) RefreshBook(ctx context.Context, exchange, symbol, market string) error {
	r, err := order(CollectorService, http.MethodPost, join("/api/v1/orderbook", exchange, symbol, "refresh"), nil)
	if err != nil {
		return err
	}
	var p parameters
	p.set("market", market)
	r.query = p.Values
	return c.c.call(ctx, r, nil)
}

// Trades are the newest trades, newest first; 0 is 100 of them.
func (c *Collector) Trades(ctx context.Context, exchange, symbol, market string, limit int) ([]Trade, error) {
	var p parameters
	p.set("market", market)
	p.number("limit", limit)
	p.set("decimals", "string")
	var answer struct {
		Trades []Trade `json:"trades"`
	}
	err := c.c.call(ctx, get(CollectorService, join("/api/v1/trades", exchange, symbol), p.Values), &answer)
	return answer.Trades, err
}

// Change changes what is collected of an exchange, over any restart.
func (c *Collector) Change(ctx context.Context, exchange string, s Subscription) (done Subscribed, err error) {
	r, err := order(CollectorService, http.MethodPost, join("/api/v1/exchanges", exchange, "subscribe"), s)
	if err != nil {
		return done, err
	}
	r.harmless = true
	return done, c.c.call(ctx, r, &done)
}

// Changes lists what was changed at run time, market by market. answered is the name of
// the service that answered.
func (c *Collector) Changes(ctx context.Context) (markets []MarketChanges, answered string, err error) {
	var answer struct {
		Service string          `json:"service"`
		Markets []MarketChanges `json:"markets"`
	}
	err = c.c.call(ctx, get(CollectorService, "/api/v1/subscriptions", nil), &answer)
	return answer.Markets, answer.Service, err
}

// Span is a stretch of time; the zero value is that since the start of the process.
type Span struct{ From, To time.Time }

func (s Span) parameters() (p parameters) {
	p.time("from", s.From)
	p.time("to", s.To)
	return p
}

// AllQuality tells how complete every stream is. missing are nodes that did not say.
func (c *Collector) AllQuality(ctx context.Context, s Span) (streams []Quality, missing []string, err error) {
	var answer struct {
		Missing []string  `json:"missing_nodes"`
		Streams []Quality `json:"streams"`
	}
	p := s.parameters()
	err = c.c.call(ctx, get(CollectorService, "/api/v1/quality", p.Values), &answer)
	return answer.Streams, answer.Missing, err
}

// Quality tells how complete one stream is.
func (c *Collector) Quality(ctx context.Context, exchange, symbol, market string, s Span) (q Quality, err error) {
	p := s.parameters()
	p.set("market", market)
	return q, c.c.call(ctx, get(CollectorService, join("/api/v1/quality", exchange, symbol), p.Values), &q)
}

// The states of a [Backfill].
const (
	BackfillQueued    = "queued"
	BackfillRunning   = "running"
	BackfillSucceeded = "succeeded"
	BackfillCancelled = "cancelled"
	BackfillFailed    = "failed"
)

// Over reports whether a backfill has ended.
func (b *Backfill) Over() bool { return b.State != BackfillQueued && b.State != BackfillRunning }

// Backfill begins to fetch the past of a stream from its exchange.
func (c *Collector) Backfill(ctx context.Context, exchange, symbol, market string, want BackfillRequest) (Backfill, error) {
	var answer struct {
		Operation Backfill `json:"operation"`
	}
	r, err := order(CollectorService, http.MethodPost, join("/api/v1/quality", exchange, symbol, "backfill"), want)
	if err != nil {
		return answer.Operation, err
	}
	var p parameters
	p.set("market", market)
	r.query = p.Values
	err = c.c.call(ctx, r, &answer)
	return answer.Operation, err
}

// Backfills lists what is being fetched, and was lately, newest first.
func (c *Collector) Backfills(ctx context.Context) ([]Backfill, error) {
	var answer struct {
		Operations []Backfill `json:"operations"`
	}
	err := c.c.call(ctx, get(CollectorService, "/api/v1/backfills", nil), &answer)
	return answer.Operations, err
}

// BackfillStatus tells how far a backfill is: when it is over, or after so long, at most
// 30 s; 0 is at once.
func (c *Collector) BackfillStatus(ctx context.Context, id string, within time.Duration) (b Backfill, err error) {
	var p parameters
	if within > 0 {
		p.set("wait", within.String())
	}
	return b, c.c.call(ctx, get(CollectorService, join("/api/v1/backfills", id), p.Values), &b)
}

// AwaitBackfill waits for the end of a backfill, however it ends, and tells of each look
// at it; told may be nil.
func (c *Collector) AwaitBackfill(ctx context.Context, id string, told func(Backfill)) (Backfill, error) {
	for {
		b, err := c.BackfillStatus(ctx, id, lookEvery)
		if err != nil {
			return b, err
		}
		if told != nil {
			told(b)
		}
		if b.Over() {
			return b, nil
		}
	}
}

// CancelBackfill ends a backfill; what it has brought stays.
func (c *Collector) CancelBackfill(ctx context.Context, id string) (b Backfill, err error) {
	r, err := order(CollectorService, http.MethodDelete, join("/api/v1/backfills", id), nil)
	if err != nil {
		return b, err
	}
	r.harmless = true
	return b, c.c.call(ctx, r, &b)
}

// Import sends records of the past that were recorded elsewhere, in the one JSON form, a
// line each. What was stored already is not stored again.
func (c *Collector) Import(ctx context.Context, lines []byte) (done Imported, err error) {
	r := &request{service: CollectorService, method: http.MethodPost, path: "/api/v1/backfills", body: lines, media: mediaLines, harmless: true}
	return done, c.c.call(ctx, r, &done)
}

// ImportRecords is Import of records of one kind.
func ImportRecords[T Record](ctx context.Context, c *Client, records ...T) (Imported, error) {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for i := range records {
		if err := lines.Encode(&records[i]); err != nil {
			return Imported{}, fmt.Errorf("encoding record %d: %w", i, err)
		}
	}
	return c.Collector.Import(ctx, b.Bytes())
}
