package questdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
)

// rejectKey says where refused rows go together.
type rejectKey struct {
	stream market.StreamID
	day    int64 // since 1970, UTC
}

// maxRefused is how many rows of one sealed table the server or its client may
// refuse for what they are. More are a fault of the table or of the server, not of
// rows. Those of which it is known that the server has no form for them do not count.
const maxRefused = 100

// refuse sets a row aside that can never be a row of the server's.
func (w *writer) refuse(r market.Record, why error) error {
	e, h := w.e, r.Head()
	if !errors.Is(why, errNoForm) {
		if w.refused++; w.refused > maxRefused {
			return fmt.Errorf("more than %d rows are refused, the last because of: %w", maxRefused, why)
		}
	}
	if e.with.Rejects == nil {
		return fmt.Errorf("a row is refused, and there is no other place for it: %w", why)
	}
	e.log.Error("the server has no form for a row; it goes to the cold store",
		zap.String("table", w.kind.Table()), zap.String("stream", h.Instrument.ID().String()), zap.Int64("ts", h.TS), zap.Error(why))
	b := part.NewBlock(e.schemas[w.kind], e.with.Names)
	b.Append(r, e.with.Names.InstrumentCode(h.Instrument), 1)
	key := rejectKey{h.Instrument.ID(), floorDay(h.TS)}
	w.rejects[key] = append(w.rejects[key], part.NewBlockSource(b, 0, 1, 0))
	return nil
}

const day = int64(24 * time.Hour)

// floorDay counts days since 1970; before that they are negative.
func floorDay(ns int64) int64 {
	if ns < 0 {
		return (ns+1)/day - 1
	}
	return ns / day
}

// reject hands the refused rows to whoever takes them.
func (w *writer) reject(ctx context.Context, t *memtable.Table) error {
	e := w.e
	for key, rows := range w.rejects {
		meta := part.Meta{
			Kind: w.kind, JournalID: t.Position.JournalID, Shard: t.Shard,
			FirstSeq: e.memory.Position(t.Shard).Seq + 1, LastSeq: t.Position.Seq, Created: e.with.Now().UnixNano(),
		}
		err := e.with.Rejects(ctx, Rejected{Meta: meta, Stream: key.stream, Day: key.day * day, Rows: part.NewMerge(rows, false)})
		if err != nil {
			return fmt.Errorf("keeping %d refused rows elsewhere: %w", len(rows), err)
		}
		e.metrics.Dropped.WithLabelValues("rejected").Add(float64(len(rows)))
	}
	return nil
}
