package connectorstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Traffic reads a whole capture file, which may be plain text.
func Traffic(t testing.TB, path string) []connectors.CaptureRecord {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read from
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []connectors.CaptureRecord
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		kept := *rec
		kept.Body = bytes.Clone(rec.Body)
		out = append(out, kept)
	}
}

// Frames are the frames of the raw traffic file testdata/<name>.ndjson.
func Frames(t testing.TB, name string) [][]byte {
	t.Helper()
	var out [][]byte
	for _, rec := range Traffic(t, filepath.Join("testdata", name+".ndjson")) {
		if rec.Dir == connectors.CaptureIn {
			out = append(out, rec.Body)
		}
	}
	return out
}

// testGolden decodes every record of testdata/<name>.ndjson and compares what
// comes out with testdata/<name>.golden: records in the one JSON form, and a
// line for each frame that gives none.
func testGolden(t *testing.T, v *connectors.Venue, name string) {
	got := normalised(t, v, filepath.Join("testdata", name+".ndjson"))
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Fatalf("line %d is missing: %s", i+1, w[i])
		case i >= len(w):
			t.Fatalf("line %d is too much: %s", i+1, g[i])
		case !bytes.Equal(g[i], w[i]):
			t.Fatalf("line %d:\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
}

func normalised(t *testing.T, v *connectors.Venue, path string) []byte {
	table := v.Builtin()
	dec := v.NewDecoder(table)
	var batch market.Batch
	var form market.JSON
	var out []byte
	for _, rec := range Traffic(t, path) {
		batch.Reset()
		var note connectors.Note
		var err error
		switch rec.Dir {
		case connectors.CaptureIn:
			note, err = dec.Decode(rec.Body, connectors.Receipt{Time: rec.Time, Conn: rec.Conn}, &batch)
		case connectors.CaptureHTTP:
			err = decodeHTTP(v, table, rec, &batch)
		default:
			continue
		}
		for r := range batch.All() {
			out = append(form.Append(out, r), '\n')
		}
		switch {
		case err != nil:
			out = fmt.Appendf(out, "{\"line\":%d,\"error\":%q}\n", rec.Line, err)
		case batch.Len() == 0:
			text, jerr := json.Marshal(note.Control)
			if jerr != nil {
				t.Fatal(jerr)
			}
			out = fmt.Appendf(out, "{\"line\":%d,\"note\":%q,\"channel\":%d,\"control\":%s}\n", rec.Line, note.Reason, note.Channel, text)
		}
	}
	return out
}

func decodeHTTP(v *connectors.Venue, table *market.Instruments, rec connectors.CaptureRecord, batch *market.Batch) error {
	u, err := url.Parse(rec.URL)
	if err != nil {
		return err
	}
	req, ok := v.REST.Recognise(u, table)
	if !ok {
		return fmt.Errorf("%s is not recognised", rec.URL)
	}
	if req.Kind == connectors.NeedInstruments {
		list, err := v.REST.Instruments(rec.Body)
		if err == nil && len(list) == 0 {
			return errors.New("no instrument of this market")
		}
		return err
	}
	if req.Kind == connectors.NeedVolumes {
		return decodeVolumes(v, rec.Body)
	}
	return v.REST.Decode(req, rec.Body, connectors.Receipt{Time: rec.Time, Conn: rec.Conn}, batch)
}

// decodeVolumes checks a response that ranks instruments.
func decodeVolumes(v *connectors.Venue, body []byte) error {
	ranked, ok := v.REST.(connectors.Ranked)
	if !ok {
		return errors.New("volumes of an exchange that does not rank its instruments")
	}
	list, err := ranked.Volumes(body)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("no volume of this market")
	}
	for _, one := range list {
		if one.Native == "" || !(one.Turnover >= 0) || math.IsInf(one.Turnover, 0) {
			return fmt.Errorf("volume %+v", one)
		}
	}
	return nil
}

// testCuts cuts every frame of records at every byte: none of the pieces is a
// frame, and none may leave a record behind.
func testCuts(t *testing.T, v *connectors.Venue, name string) {
	dec := v.NewDecoder(v.Builtin())
	var batch market.Batch
	for n, frame := range Frames(t, name) {
		batch.Reset()
		if _, err := dec.Decode(frame, connectors.Receipt{}, &batch); err != nil || batch.Len() == 0 {
			continue
		}
		for cut := range frame {
			batch.Reset()
			_, err := dec.Decode(frame[:cut], connectors.Receipt{}, &batch)
			var bad *connectors.FrameError
			if !errors.As(err, &bad) || batch.Len() != 0 || bad.Offset < 0 || bad.Offset > cut {
				t.Fatalf("frame %d cut at %d: %v, %d records", n, cut, err, batch.Len())
			}
		}
	}
}

// longNumber is a number that a coefficient cannot hold: its digits are text, and
// text is memory.
var longNumber = regexp.MustCompile(`[0-9.]{20}`)

// testAlloc decodes each frame of records again and again: it must not allocate.
func testAlloc(t *testing.T, v *connectors.Venue, name string) {
	dec := v.NewDecoder(v.Builtin())
	var batch market.Batch
	for _, frame := range Frames(t, name) {
		batch.Reset()
		if _, err := dec.Decode(frame, connectors.Receipt{}, &batch); err != nil || batch.Len() == 0 || longNumber.Match(frame) {
			continue
		}
		allocs := testing.AllocsPerRun(50, func() {
			batch.Reset()
			if _, err := dec.Decode(frame, connectors.Receipt{}, &batch); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%.0f allocations for %.120s", allocs, frame)
		}
	}
}
