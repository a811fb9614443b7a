package part_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// export writes n random records, a few at a time, and returns the file's bytes.
func export(t *testing.T, kind market.Kind, n int, fields ...string) (*parquet.File, *market.Batch) {
	t.Helper()
	schema, err := part.NewSchema(kind)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	e, err := part.NewExport(&out, schema, fields)
	if err != nil {
		t.Fatal(err)
	}
	g := persistencetest.NewGenerator(uint64(kind))
	all := new(market.Batch)
	for range n {
		var b market.Batch
		all.Copy(g.Add(&b, kind))
		if err := e.Append(&b); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(map[string]string{"marketprism.rows": "many"}); err != nil {
		t.Fatal(err)
	}
	pq, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return pq, all
}

// TestExport: a file has the records in the order in which they came, every digit
// included, and no part's metadata.
func TestExport(t *testing.T) {
	for _, kind := range persistencetest.StoredKinds() {
		t.Run(kind.String(), func(t *testing.T) {
			pq, want := export(t, kind, 9000)
			if pq.NumRows() != 9000 {
				t.Fatalf("%d rows", pq.NumRows())
			}
			if _, there := pq.Lookup("marketprism.part"); there {
				t.Error("it passes for a part")
			}
			if v, _ := pq.Lookup("marketprism.rows"); v != "many" {
				t.Errorf("metadata %q", v)
			}
			at := map[string]int{}
			for i, path := range pq.Schema().Columns() {
				at[path[0]] = i
			}
			rows := parquet.NewReader(pq)
			defer rows.Close()
			buf := make([]parquet.Row, 100)
			for next := 0; ; {
				n, err := rows.ReadRows(buf)
				for _, row := range buf[:n] {
					compareRow(t, want.At(next), row, at)
					next++
				}
				if errors.Is(err, io.EOF) && next == 9000 {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// compareRow holds times, names and decimals of a row against its record.
func compareRow(t *testing.T, r market.Record, row parquet.Row, at map[string]int) {
	t.Helper()
	h := r.Head()
	if row[at["ts_ns"]].Int64() != h.TS || row[at["symbol"]].String() != h.Instrument.Symbol || row[at["origin"]].String() != h.Origin.String() {
		t.Fatalf("%v of %s, want %d of %s", row[at["ts_ns"]], row[at["symbol"]], h.TS, h.Instrument.Symbol)
	}
	market.Visit(r, &decimalsOf{func(f *market.Field, d *market.Decimal) {
		got, scale, exact := row[at[f.Column]], row[at[f.Column+"_scale"]], row[at[f.Column+"_exact"]]
		switch {
		case !d.IsSet():
			if !got.IsNull() {
				t.Fatalf("%s is %v, want none", f.Column, got)
			}
		case !exact.IsNull():
			if exact.String() != d.String() {
				t.Fatalf("%s is %v, want %v", f.Column, exact, d)
			}
		case market.DecimalFromFloat(got.Double(), uint8(scale.Int32())).String() != d.String():
			t.Fatalf("%s is %v with scale %v, want %v", f.Column, got, scale, d)
		}
	}})
}

// decimalsOf is a Visitor that looks at decimals alone.
type decimalsOf struct {
	see func(*market.Field, *market.Decimal)
}

func (v *decimalsOf) Decimal(f *market.Field, d *market.Decimal) { v.see(f, d) }
func (*decimalsOf) Instrument(**market.Instrument)               {}
func (*decimalsOf) Time(*market.Field, *int64)                   {}
func (*decimalsOf) Count(*market.Field, *int64)                  {}
func (*decimalsOf) Int(*market.Field, *market.OptInt)            {}
func (*decimalsOf) ID(*market.Field, *market.ID)                 {}
func (*decimalsOf) Word(*market.Field, *string)                  {}
func (*decimalsOf) Enum(*market.Field, market.Enum)              {}
func (*decimalsOf) Bool(*market.Field, *bool)                    {}
func (*decimalsOf) Levels(*market.Field, *[]market.Level)        {}
func (*decimalsOf) Flags(*market.Flags)                          {}

// TestExportFields: some fields, and no rows, make a file too; what there is not is
// refused.
func TestExportFields(t *testing.T) {
	for _, tc := range []struct {
		kind   market.Kind
		rows   int
		fields []string
		want   string
	}{
		{market.KindTrade, 5000, []string{"price", "side", "symbol"}, "ts ts_ns symbol price price_scale price_exact side"},
		{market.KindBookDelta, 3, []string{"bids"}, "ts ts_ns bids best_bid"},
		{market.KindTrade, 0, []string{"kind"}, "ts ts_ns"},
		{market.KindGap, 0, nil, "ts ts_ns exchange"},
	} {
		pq, _ := export(t, tc.kind, tc.rows, tc.fields...)
		var names []string
		for _, path := range pq.Schema().Columns() {
			names = append(names, path[0])
		}
		if got := strings.Join(names, " "); pq.NumRows() != int64(tc.rows) || got != tc.want && (tc.fields != nil || !strings.HasPrefix(got, tc.want)) {
			t.Errorf("%v %v: %d rows of %s, want %s", tc.kind, tc.fields, pq.NumRows(), got, tc.want)
		}
	}
	schema, err := part.NewSchema(market.KindTrade)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.NewExport(io.Discard, schema, []string{"depth"}); err == nil {
		t.Error("a trade's depth is exported")
	}
	e, err := part.NewExport(io.Discard, schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b market.Batch
	persistencetest.NewGenerator(1).Add(&b, market.KindCandle)
	if err := e.Append(&b); err == nil {
		t.Error("a candle is among trades")
	}
}
