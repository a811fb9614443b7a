package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Imported says what came of records that were imported.
type Imported struct {
	// Records are in the journal now; Known were stored before. Only of records without
	// an identity beyond their connection must that be found out: any other replaces
	// itself.
	Records, Known int
}

// Import takes records of the past that were recorded elsewhere, in the one JSON form,
// one a line, as `normalize` makes them of a capture: they are stored as collected, with
// the flag backfilled. It returns once the journal has all of them; after an error, some
// of them. The same lines again do no harm. Errors: [market.ErrJSONRecord],
// [UnknownError], [ErrNoStore], those of the recorder.
func (c *Collector) Import(ctx context.Context, lines []byte) (done Imported, err error) {
	if c.opts.Reader == nil {
		return done, ErrNoStore
	}
	var b market.Batch
	order, of, err := c.importable(lines, &b)
	if err != nil {
		return done, err
	}
	settled := make(chan error, len(order))
	waiting := 0
	for _, id := range order {
		var fresh []market.Record
		if fresh, err = c.unknown(ctx, id, of[id]); err != nil {
			break
		}
		done.Known += len(of[id]) - len(fresh)
		if len(fresh) == 0 {
			continue
		}
		e := &persistence.Entry{Done: func(_ *persistence.Entry, o persistence.Outcome) { settled <- o.Err }}
		for _, r := range fresh {
			e.Batch.Copy(r)
		}
		if err = c.opts.Recorder(id).Record(e); err != nil {
			break
		}
		waiting++
		done.Records += len(fresh)
	}
	for ; waiting > 0; waiting-- {
		select {
		case e := <-settled:
			err = errors.Join(err, e)
		case <-ctx.Done():
			return done, ctx.Err()
		}
	}
	return done, err
}

// importable reads and stamps records, by stream, in the order in which they begin.
func (c *Collector) importable(lines []byte, into *market.Batch) (order []market.StreamID, of map[market.StreamID][]market.Record, err error) {
	var reader market.JSONReader
	of = map[market.StreamID][]market.Record{}
	known := map[string]error{}
	number := 0
	for line := range bytes.Lines(lines) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		r, err := reader.Read(line, into)
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", number, err)
		}
		if r.Kind().Table() == "" {
			continue
		}
		id := r.Head().Instrument.ID()
		unknown, asked := known[id.Exchange]
		if !asked {
			_, unknown = c.exchange(id.Exchange)
			known[id.Exchange] = unknown
		}
		if unknown != nil {
			return nil, nil, fmt.Errorf("line %d: %w", number, unknown)
		}
		h := r.Head()
		h.Epoch, h.Origin = c.opts.Epoch, market.Collected
		h.Flags |= market.FlagBackfilled
		market.Stamp(r)
		if of[id] == nil {
			order = append(order, id)
		}
		of[id] = append(of[id], r)
	}
	return order, of, nil
}

// receipt tells records without identity apart.
type receipt struct {
	kind                market.Kind
	received, conn, seq int64
}

func receiptOf(r market.Record) receipt {
	h := r.Head()
	return receipt{r.Kind(), h.ReceiveTime, h.Conn, h.Seq.V}
}

// unknown leaves out what an earlier import of the same recording has stored: of
// records whose key has the ownership in it, under which they would be others.
func (c *Collector) unknown(ctx context.Context, id market.StreamID, all []market.Record) ([]market.Record, error) {
	type bounds struct{ from, to int64 }
	times := map[market.Kind]*bounds{}
	for _, r := range all {
		h := r.Head()
		if !h.Flags.Has(market.FlagUnkeyed) {
			continue
		}
		b := times[r.Kind()]
		if b == nil {
			b = &bounds{h.TS, h.TS}
			times[r.Kind()] = b
		}
		b.from, b.to = min(b.from, h.TS), max(b.to, h.TS)
	}
	stored := map[receipt]bool{}
	for k, b := range times {
		if err := c.receipts(ctx, id, k, b.from, b.to+1, stored); err != nil {
			return nil, err
		}
	}
	if len(stored) == 0 {
		return all, nil
	}
	var fresh []market.Record
	for _, r := range all {
		if !r.Head().Flags.Has(market.FlagUnkeyed) || !stored[receiptOf(r)] {
			fresh = append(fresh, r)
		}
	}
	return fresh, nil
}

// receipts reads which records of a kind were imported before.
func (c *Collector) receipts(ctx context.Context, id market.StreamID, k market.Kind, from, to int64, into map[receipt]bool) (err error) {
	rows, err := c.opts.Reader.Query(ctx, persistence.Query{
		Kind: k, Stream: &id, From: from, To: to, Origin: persistence.OriginCollected,
		Columns: []string{market.FieldReceiveTime.Column, market.FieldConn.Column, market.FieldSeq.Column, market.FieldFlags.Column},
	})
	if err != nil {
		return fmt.Errorf("looking for %s records of %v that were imported before: %w", k, id, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b market.Batch
	for {
		b.Reset()
		n, err := rows.Next(ctx, &b)
		for r := range b.All() {
			if r.Head().Flags.Has(market.FlagBackfilled) {
				into[receiptOf(r)] = true
			}
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for %s records of %v that were imported before: %w", k, id, err)
		}
	}
}
