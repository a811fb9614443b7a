package connectors_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
)

func writeCapture(t *testing.T, records []connectors.CaptureRecord, end func(*connectors.CaptureWriter) error) []byte {
	t.Helper()
	var file bytes.Buffer
	w := connectors.NewCaptureWriter(&file)
	for i := range records {
		if err := w.Write(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(w); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func readCapture(t *testing.T, file []byte) (records []connectors.CaptureRecord, err error) {
	t.Helper()
	r, err := connectors.NewCaptureReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		c := *rec
		c.Body = bytes.Clone(rec.Body)
		records = append(records, c)
	}
}

var traffic = []connectors.CaptureRecord{
	{Time: 1, Conn: 1, Dir: connectors.CaptureOpen, URL: "wss://example/ws", Line: 1},
	{Time: 2, Conn: 1, Dir: connectors.CaptureOut, URL: "wss://example/ws", Body: []byte(`{"method":"SUBSCRIBE"}`), Line: 2},
	{Time: 3, Conn: 1, Dir: connectors.CaptureIn, Body: []byte("quote \" slash \\ line\n"), Line: 3},
	{Time: 4, Conn: 1, Dir: connectors.CaptureIn, Body: []byte{0x1f, 0x8b, 0xff, 0x00}, Line: 4},
	{Time: 5, Dir: connectors.CaptureHTTP, URL: "https://example/depth", Body: []byte(strings.Repeat("x", 400<<10)), Line: 5},
}

func TestCaptureRoundTrip(t *testing.T) {
	got, err := readCapture(t, writeCapture(t, traffic, (*connectors.CaptureWriter).Close))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(traffic) {
		t.Fatalf("%d records, want %d", len(got), len(traffic))
	}
	for i, want := range traffic {
		g := got[i]
		if g.Time != want.Time || g.Conn != want.Conn || g.Dir != want.Dir || g.URL != want.URL || g.Line != want.Line || !bytes.Equal(g.Body, want.Body) {
			t.Errorf("record %d came back as %+v", i, g)
		}
	}
}

func TestCaptureCutOff(t *testing.T) {
	flushed := writeCapture(t, traffic, (*connectors.CaptureWriter).Flush)
	got, err := readCapture(t, flushed)
	if !errors.Is(err, connectors.ErrTruncated) || len(got) != len(traffic) {
		t.Errorf("killed after a flush: %d records, %v; want %d and ErrTruncated", len(got), err, len(traffic))
	}
	whole := writeCapture(t, traffic, (*connectors.CaptureWriter).Close)
	for n := 3; n < len(whole); n += 7 {
		if got, err := readCapture(t, whole[:n]); err == nil {
			t.Fatalf("cut at %d of %d: %d records and no error", n, len(whole), len(got))
		}
	}
}

func TestNotACapture(t *testing.T) {
	zip := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := `{"ts":1,"conn":1,"dir":"in","body":"x"}` + "\n"
	for _, tc := range []struct {
		name string
		file []byte
		line int
	}{
		{"text", []byte("hello\nworld\n"), 1},
		{"JSON of something else", []byte(`{"a":1}` + "\n"), 1},
		{"unknown direction", []byte(good + `{"ts":1,"conn":1,"dir":"sideways"}` + "\n"), 2},
		{"compressed", zip(good + "\n" + good + "[]\n"), 4},
		{"cut line", []byte(good + `{"ts":1,"con`), 2},
		{"bad gzip", []byte{0x1f, 0x8b, 1, 2, 3}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := readCapture(t, tc.file)
			var at *connectors.CaptureError
			if !errors.As(err, &at) || at.Line != tc.line {
				t.Errorf("error %v, want one that names line %d", err, tc.line)
			}
		})
	}
	if got, err := readCapture(t, nil); err != nil || len(got) != 0 {
		t.Errorf("an empty file: %d records, %v", len(got), err)
	}
}
