package connectorstest

import (
	"errors"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// FuzzDecoder feeds a venue's decoder with anything: it must not panic, keep
// nothing of a frame that it refuses, say why a frame gives nothing, and not
// make more records or levels than the frame has room for.
func FuzzDecoder(f *testing.F, v *connectors.Venue, seeds [][]byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	table := v.Builtin()
	f.Fuzz(func(t *testing.T, frame []byte) {
		Decode(t, v, v.NewDecoder(table), frame)
	})
}

// Decode decodes a frame and checks everything that holds for every frame. It
// returns the records in the one JSON form, "" for a frame that is refused.
func Decode(t testing.TB, v *connectors.Venue, dec connectors.Decoder, frame []byte) string {
	t.Helper()
	var batch market.Batch
	market.Add[market.Trade](&batch) // what was there before
	note, err := dec.Decode(frame, connectors.Receipt{Time: 1, Conn: 1}, &batch)
	if err != nil {
		var bad *connectors.FrameError
		if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(frame) {
			t.Fatalf("error %v of %q", err, frame)
		}
		if batch.Len() != 1 {
			t.Fatalf("a refused frame left %d records: %q", batch.Len()-1, frame)
		}
		return ""
	}
	if note.Channel < -1 || note.Channel >= len(v.Channels) {
		t.Fatalf("channel %d of %q", note.Channel, frame)
	}
	if (batch.Len() > 1) != (note.Reason == connectors.Records) {
		t.Fatalf("%d records with reason %s: %q", batch.Len()-1, note.Reason, frame)
	}
	if batch.LevelMark() > len(frame) || batch.Len() > 1+len(frame) {
		t.Fatalf("%d records and %d levels out of %d bytes", batch.Len()-1, batch.LevelMark(), len(frame))
	}
	var form market.JSON
	var out []byte
	for i := 1; i < batch.Len(); i++ {
		r := batch.At(i)
		if h := r.Head(); h.Instrument == nil || h.ReceiveTime != 1 || h.Conn != 1 || h.ExchangeTime < 0 {
			t.Fatalf("incomplete header %+v of %q", h, frame)
		}
		out = append(form.Append(out, r), '\n')
	}
	return string(out)
}
