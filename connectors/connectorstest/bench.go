package connectorstest

import (
	"errors"
	"io"
	"net/url"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Venue is a market of an exchange with its default settings.
func Venue(t testing.TB, x connectors.Exchange, m market.Market) *connectors.Venue {
	t.Helper()
	v, err := x.Venue(m, x.DefaultConfig().Markets[m.String()])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Recorded are the frames of a capture ([Path]) in order, and the instruments of the
// lists in it; the built-in ones where it has none.
func Recorded(t testing.TB, v *connectors.Venue, name string) (table *market.Instruments, frames [][]byte) {
	t.Helper()
	f := Open(t, name)
	defer f.Close()
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		t.Fatal(err)
	}
	table = v.Builtin()
	var list []*market.Instrument
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			if len(list) > 0 {
				table = market.NewInstruments(list)
			}
			return table, frames
		}
		if err != nil {
			t.Fatal(err)
		}
		switch rec.Dir {
		case connectors.CaptureIn:
			frames = append(frames, append([]byte(nil), rec.Body...))
		case connectors.CaptureHTTP:
			list = append(list, listed(t, v, table, rec)...)
		}
	}
}

// listed are the instruments that an answer lists; none when it is of something else,
// or of another market.
func listed(t testing.TB, v *connectors.Venue, table *market.Instruments, rec *connectors.CaptureRecord) []*market.Instrument {
	t.Helper()
	u, err := url.Parse(rec.URL)
	if err != nil {
		t.Fatal(err)
	}
	req, ours := v.REST.Recognise(u, table)
	if !ours || req.Kind != connectors.NeedInstruments {
		return nil
	}
	list, err := v.REST.Instruments(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// ByKind sorts frames by the kind of their first record. Those that give none are
// left out.
func ByKind(t testing.TB, v *connectors.Venue, table *market.Instruments, frames [][]byte) map[market.Kind][][]byte {
	t.Helper()
	dec := v.NewDecoder(table)
	var batch market.Batch
	out := map[market.Kind][][]byte{}
	for _, f := range frames {
		batch.Reset()
		if _, err := dec.Decode(f, connectors.Receipt{}, &batch); err != nil {
			t.Fatal(err)
		}
		if batch.Len() > 0 {
			k := batch.At(0).Kind()
			out[k] = append(out[k], f)
		}
	}
	return out
}

// BenchDecode measures whole frames to records, each kind by itself.
func BenchDecode(b *testing.B, name string, v *connectors.Venue, table *market.Instruments, byKind map[market.Kind][][]byte) {
	for _, k := range market.Kinds() {
		if frames := byKind[k]; len(frames) > 0 {
			b.Run(name+"/"+k.String(), func(b *testing.B) { benchFrames(b, v.NewDecoder(table), frames) })
		}
	}
}

func benchFrames(b *testing.B, dec connectors.Decoder, frames [][]byte) {
	var batch market.Batch
	levels, bytes, i := 0, 0, 0
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if _, err := dec.Decode(frames[i], connectors.Receipt{}, &batch); err != nil {
			b.Fatal(err)
		}
		levels += batch.LevelMark()
		bytes += len(frames[i])
		if i++; i == len(frames) {
			i = 0
		}
	}
	if levels > 0 {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(levels), "ns/level")
	}
	b.SetBytes(int64(bytes / b.N))
}

// Text is a batch as lines of JSON, to compare it.
func Text(b *market.Batch) string {
	var form market.JSON
	var out []byte
	for r := range b.All() {
		out = append(form.Append(out, r), '\n')
	}
	return string(out)
}

// SameWay decodes a frame the fast way, and when that takes it the slow way too: the
// records and what is said of them must be alike.
func SameWay(t *testing.T, frame []byte, fast func(*market.Batch) (connectors.Note, bool), slow func(*market.Batch) (connectors.Note, error)) {
	t.Helper()
	var one, other market.Batch
	note, ok := fast(&one)
	if !ok {
		return
	}
	again, err := slow(&other)
	if err != nil || again != note || Text(&one) != Text(&other) {
		t.Fatalf("frame %q\nfast %+v %s\nslow %+v %s %v", frame, note, Text(&one), again, Text(&other), err)
	}
}
