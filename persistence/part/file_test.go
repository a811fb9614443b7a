package part_test

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// create writes n random records of a kind, merged as a publication does.
func create(t *testing.T, dir string, kind market.Kind, n int) (part.Meta, *part.Schema, *part.Names, []string) {
	t.Helper()
	schema, err := part.NewSchema(kind)
	if err != nil {
		t.Fatal(err)
	}
	names := part.NewNames()
	g := persistencetest.NewGenerator(uint64(kind))
	g.Times = 1_000_000
	var b market.Batch
	model := persistencetest.NewModel()
	streams := map[market.StreamID][]part.Source{}
	var order []market.StreamID
	for i := range n {
		r := g.Add(&b, kind)
		r.Head().Epoch = 1
		id := r.Head().Instrument.ID()
		if streams[id] == nil {
			order = append(order, id)
		}
		block := part.NewBlock(schema, names)
		block.Append(r, names.InstrumentCode(r.Head().Instrument), uint64(i))
		streams[id] = append(streams[id], part.NewBlockSource(block, 0, 1, 0))
	}
	model.Apply(&b)
	slices.SortFunc(order, part.CompareStreams)
	meta, err := part.Create(part.Disk{}, dir, schema, names, part.Meta{Kind: kind, File: filepath.Join(kind.Table(), "p.parquet"), FirstSeq: 3, LastSeq: 9, JournalID: "j"}, func(w *part.Writer) error {
		for _, id := range order {
			w.Begin(id)
			m := part.NewMerge(streams[id], false)
			for {
				span, err := m.Next(context.Background())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
				if err := w.Append(span); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return meta, schema, names, model.Select(persistence.Query{Kind: kind})
}

// TestFileIsPlainParquet reads a file row by row with the library alone: every
// field of the JSON form is a column, absent ones are null, the sort order and the
// journal range are in the footer.
func TestFileIsPlainParquet(t *testing.T) {
	for _, kind := range persistencetest.StoredKinds() {
		t.Run(kind.String(), func(t *testing.T) {
			dir := t.TempDir()
			meta, schema, _, want := create(t, dir, kind, 500)
			f, err := os.Open(filepath.Join(dir, meta.File))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			pq, err := parquet.OpenFile(f, meta.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if pq.NumRows() != int64(len(want)) || meta.Rows != pq.NumRows() {
				t.Fatalf("%d rows, described as %d, want %d", pq.NumRows(), meta.Rows, len(want))
			}
			columns := map[string]bool{}
			for _, path := range pq.Schema().Columns() {
				columns[strings.Join(path, ".")] = true
			}
			for _, c := range append([]string{"ts", "ts_ns", "market", "symbol", "native_symbol"}, columnNames(schema)...) {
				if !columns[c] {
					t.Errorf("no column %s", c)
				}
			}
			if got := pq.Schema().Columns()[0][0]; got != "ts" {
				t.Errorf("the first column is %s", got)
			}
			sorting := pq.Metadata().RowGroups[0].SortingColumns
			if len(sorting) != 4 {
				t.Errorf("sorting metadata %v", sorting)
			}
			checkRows(t, pq)
			again, err := part.ReadMeta(f, meta.Bytes)
			if err != nil || again.FirstSeq != 3 || again.LastSeq != 9 || again.JournalID != "j" || again.Rows != meta.Rows || len(again.Ranges) != len(meta.Ranges) {
				t.Errorf("footer %+v, %v", again, err)
			}
		})
	}
}

func columnNames(s *part.Schema) (names []string) {
	for _, c := range s.Columns {
		names = append(names, c.Name)
	}
	return names
}

// checkRows holds each row to what its columns say of each other.
func checkRows(t *testing.T, pq *parquet.File) {
	t.Helper()
	at := map[string]int{}
	for i, path := range pq.Schema().Columns() {
		at[path[0]] = i
	}
	rows := parquet.NewReader(pq)
	defer rows.Close()
	buf := make([]parquet.Row, 64)
	last := ""
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			ns := row[at["ts_ns"]].Int64()
			if got := row[at["ts"]].Int64(); got != ns/1000 {
				t.Fatalf("ts %d beside ts_ns %d", got, ns)
			}
			key := row[at["exchange"]].String() + "\x00" + row[at["market"]].String() + "\x00" + row[at["symbol"]].String()
			if key < last {
				t.Fatalf("%q follows %q", key, last)
			}
			last = key
			for name, i := range at {
				scale, ok := at[name+"_scale"]
				if !ok {
					continue
				}
				if row[i].IsNull() != row[scale].IsNull() {
					t.Fatalf("%s is %v with scale %v", name, row[i], row[scale])
				}
				if exact := row[at[name+"_exact"]]; !exact.IsNull() {
					d := market.MustDecimal(exact.String())
					if d.FitsFloat() || d.Float64() != row[i].Double() || int32(d.Scale()) != row[scale].Int32() {
						t.Fatalf("%s: %v, scale %v, exact %v", name, row[i], row[scale], exact)
					}
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestScan reads files back through the page index, both ways.
func TestScan(t *testing.T) {
	for _, kind := range persistencetest.StoredKinds() {
		dir := t.TempDir()
		meta, schema, names, want := create(t, dir, kind, 400)
		f, err := part.Open(dir, &meta, schema, names)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Verify(); err != nil {
			t.Fatal(err)
		}
		for _, access := range []part.Access{part.InOrder, part.Interleaved} {
			scan := f.NewScan(nil, access, false)
			var merges []*part.Merge
			for i := range meta.Ranges {
				merges = append(merges, part.NewMerge([]part.Source{scan.Source(&meta.Ranges[i], math.MinInt64, math.MaxInt64, 1)}, false))
			}
			var got []string
			if access == part.Interleaved {
				got = read(t, part.NewFan(merges, false))
			} else {
				for _, m := range merges {
					got = append(got, read(t, m)...)
				}
			}
			slices.Sort(got)
			sorted := slices.Sorted(slices.Values(want))
			if !slices.Equal(got, sorted) {
				t.Fatalf("%v, access %d: read %d records, want %d", kind, access, len(got), len(want))
			}
			scan.Close()
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, spans interface {
	Next(context.Context) (part.Span, error)
}) (texts []string) {
	t.Helper()
	var filler part.Filler
	for {
		span, err := spans.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		for row := span.Lo; row < span.Hi; row++ {
			var b market.Batch
			r, err := filler.Fill(span.Block, row, &b)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, persistencetest.Text(r))
		}
	}
}

// TestSchemaNeedsTable: a kind that is never stored has no schema.
func TestSchemaNeedsTable(t *testing.T) {
	if _, err := part.NewSchema(market.KindBookTop); err == nil {
		t.Error("book_top got a schema")
	}
	if _, err := part.NewSchema(0); err == nil {
		t.Error("no kind got a schema")
	}
}
