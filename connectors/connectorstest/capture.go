package connectorstest

import (
	"errors"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Capture is recorded traffic of one market, and what is known of it.
type Capture struct {
	Market market.Market
	// Path is below the captures' directory, without ".ndjson.gz".
	Path string
	// Trades: the ids of an instrument's trades have no holes.
	Trades bool
	// Books: from each snapshot on the changes of the book follow each other, for
	// the instruments that have a snapshot.
	Books bool
	// Shared: the capture holds other markets of the same host too. What is of an
	// instrument, or asks for a list, that this market does not have is passed over.
	Shared bool
}

// Path is where a capture is: name is its folder and file without .ndjson.gz.
// Where there is none the test is skipped, or fails when
// MARKETPRISM_REQUIRE_CAPTURES is 1. The directory is MARKETPRISM_CAPTURES, or
// ../shared/captures beside the repository.
func Path(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("MARKETPRISM_CAPTURES")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for !exists(filepath.Join(root, "go.mod")) {
			if root == filepath.Dir(root) {
				t.Fatal("not inside the repository")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "captures")
	}
	path := filepath.Join(dir, name+".ndjson.gz")
	if _, err := os.Stat(path); err != nil {
		if !errors.Is(err, os.ErrNotExist) || os.Getenv("MARKETPRISM_REQUIRE_CAPTURES") == "1" {
			t.Fatal(err)
		}
		t.Skipf("NOT TESTED: no recorded traffic at %s; set MARKETPRISM_CAPTURES", path)
	}
	return path
}

// Open opens the capture at [Path].
func Open(t testing.TB, name string) io.ReadCloser {
	t.Helper()
	f, err := os.Open(Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checker follows what a capture's records say of their own completeness.
type checker struct {
	v       *connectors.Venue
	records int
	trades  map[string]int64
	holes   int
	books   map[*market.Instrument]*bookCheck
}

// bookCheck is the chain of one book.
type bookCheck struct {
	synced, spliced  bool
	last             int64
	early            [][3]int64 // U, u, pu of the changes before the snapshot
	next, old, holes int
}

func (c *checker) take(batch *market.Batch) {
	c.records += batch.Len()
	for r := range market.Rows[market.Trade](batch) {
		key := r.Instrument.Symbol + "/trade"
		if r.Flags.Has(market.FlagAggregate) {
			key = r.Instrument.Symbol + "/aggregate"
		}
		if last, ok := c.trades[key]; ok && r.Seq.V != last+1 {
			c.holes++
		}
		c.trades[key] = r.Seq.V
	}
	for d := range market.Rows[market.BookDelta](batch) {
		b := c.books[d.Instrument]
		if b == nil {
			b = &bookCheck{}
			c.books[d.Instrument] = b
		}
		b.take(c.v.Sequence, d)
	}
}

func (b *bookCheck) take(rule connectors.Sequence, d *market.BookDelta) {
	switch {
	case d.IsSnapshot:
		b.synced, b.spliced, b.last = true, false, d.Seq.V
		for _, e := range b.early {
			b.judge(rule, &market.BookDelta{
				FirstSeq: market.Int(e[0]), Header: market.Header{Seq: market.Int(e[1]), PrevSeq: market.Int(e[2])},
			})
		}
		b.early = nil
	case !b.synced:
		b.early = append(b.early, [3]int64{d.FirstSeq.V, d.Seq.V, d.PrevSeq.V})
	default:
		b.judge(rule, d)
	}
}

func (b *bookCheck) judge(rule connectors.Sequence, d *market.BookDelta) {
	var verdict market.Continuity
	if b.spliced {
		verdict = rule.Follow(b.last, d)
	} else {
		verdict = rule.Splice(b.last, d)
	}
	switch verdict {
	case market.Next:
		b.next++
		b.spliced, b.last = true, d.Seq.V
	case market.Old:
		b.old++
	case market.Hole:
		b.holes++
	}
}

// testCapture decodes a capture whole. Instruments come from the capture's own
// REST records, the newest of each part of the list, else from the built-in table.
func testCapture(t *testing.T, s Subject, c Capture) {
	f := Open(t, c.Path)
	defer f.Close()
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		t.Fatal(err)
	}
	v := s.Venue(t, c.Market)
	table := v.Builtin()
	dec := v.NewDecoder(table)
	check := &checker{v: v, trades: map[string]int64{}, books: map[*market.Instrument]*bookCheck{}}
	var batch market.Batch
	parts := map[int][]*market.Instrument{}
	frames := 0
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		batch.Reset()
		switch rec.Dir {
		case connectors.CaptureIn:
			frames++
			note, err := dec.Decode(rec.Body, connectors.Receipt{Time: rec.Time, Conn: rec.Conn}, &batch)
			if err != nil {
				t.Fatalf("line %d: %v", rec.Line, err)
			}
			if c.Shared && note.Reason == connectors.UnknownSymbol {
				continue
			}
			if batch.Len() == 0 && note.Reason != connectors.Ack && note.Reason != connectors.Heartbeat {
				t.Errorf("line %d: no record: %s: %.200s", rec.Line, note.Reason, rec.Body)
			}
		case connectors.CaptureHTTP:
			if instruments(t, v, parts, rec) {
				table = market.NewInstruments(slices.Concat(slices.Collect(maps.Values(parts))...))
				dec = v.NewDecoder(table)
				continue
			}
			if err := decodeHTTP(v, table, *rec, &batch); err != nil && !c.Shared {
				t.Fatalf("line %d: %v", rec.Line, err)
			}
		}
		check.take(&batch)
	}
	check.report(t, c, frames)
}

// instruments takes in a list of instruments, or a part of it; false for another
// call.
func instruments(t *testing.T, v *connectors.Venue, parts map[int][]*market.Instrument, rec *connectors.CaptureRecord) bool {
	t.Helper()
	u, err := url.Parse(rec.URL)
	if err != nil {
		t.Fatal(err)
	}
	req, ok := v.REST.Recognise(u, market.NewInstruments(nil))
	if !ok || req.Kind != connectors.NeedInstruments {
		return false
	}
	list, err := v.REST.Instruments(rec.Body)
	if err != nil {
		t.Fatalf("line %d: %v", rec.Line, err)
	}
	parts[req.Part] = list
	return true
}

func (c *checker) report(t *testing.T, known Capture, frames int) {
	if frames == 0 || c.records == 0 {
		t.Errorf("%d records out of %d frames", c.records, frames)
	}
	if known.Trades && (c.holes > 0 || len(c.trades) == 0) {
		t.Errorf("%d holes in the trade ids of %d series", c.holes, len(c.trades))
	}
	synced := 0
	for i, b := range c.books {
		if !b.synced {
			continue
		}
		if b.spliced {
			synced++
		}
		if b.holes > 0 {
			t.Errorf("%s: %d changes follow, %d are old, %d holes", i.Symbol, b.next, b.old, b.holes)
		}
		t.Logf("%s: %d changes follow, %d are old", i.Symbol, b.next, b.old)
	}
	if known.Books && synced == 0 {
		t.Error("no book was spliced")
	}
	t.Logf("%d frames, %d records", frames, c.records)
}
