package questdb

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	qdb "github.com/questdb/go-questdb-client/v3"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// cells are the columns of one row, by name; absent ones are left out.
type cells map[string]any

func cellsOf(r market.Record) cells {
	c := cells{"ts": time.Unix(0, r.Head().TS).UTC().Truncate(time.Microsecond)}
	market.Visit(r, c)
	if h := r.Head(); h.Flags&market.FlagUnkeyed != 0 {
		seq := ""
		if h.Seq.OK {
			seq = fmt.Sprint(h.Seq.V)
		}
		c["unkeyed"] = fmt.Sprintf("%d:%d:%d:%s", h.ReceiveTime, h.Epoch, h.Conn, seq)
	}
	return c
}

func (c cells) Instrument(i **market.Instrument) {
	for name, v := range map[string]string{
		"exchange": (*i).Exchange, "market": (*i).Market.String(), "symbol": (*i).Symbol, "native_symbol": (*i).Native,
	} {
		c.text(name, v)
	}
}

func (c cells) text(name, v string) {
	if v != "" {
		c[name] = v
	}
}

func (c cells) Time(f *market.Field, t *int64) {
	if f == market.FieldTS {
		c["ts_ns"] = *t
		return
	}
	c.Count(f, t)
}

func (c cells) Count(f *market.Field, n *int64) {
	if *n != 0 {
		c[f.Column] = *n
	}
}

func (c cells) Int(f *market.Field, n *market.OptInt) {
	if n.OK {
		c[f.Column] = n.V
	}
}

func (c cells) Decimal(f *market.Field, d *market.Decimal) {
	if !d.IsSet() {
		return
	}
	if n := d.Float64(); !math.IsNaN(n) {
		c[f.Column] = n
	}
	if d.FitsFloat() {
		c[f.Column+"_scale"] = int16(d.Scale())
	} else {
		c[f.Column+"_exact"] = d.String()
	}
}

func (c cells) ID(f *market.Field, id *market.ID) {
	if id.IsSet() {
		c[f.Column] = id.String()
	}
}

func (c cells) Word(f *market.Field, w *string)     { c.text(f.Column, *w) }
func (c cells) Enum(f *market.Field, e market.Enum) { c.text(f.Column, e.String()) }
func (c cells) Bool(f *market.Field, b *bool)       { c[f.Column] = *b }
func (c cells) Flags(f *market.Flags)               { c["flags"] = int32(*f) }
func (c cells) Levels(f *market.Field, l *[]market.Level) {
	c[f.Column] = string(part.AppendLevels(nil, *l))
	if len(*l) == 0 {
		return
	}
	if best := (*l)[0].Price.Float64(); !math.IsNaN(best) {
		c[part.BestColumn(f.Column)] = best
	}
}

// String tells two rows apart.
func (c cells) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%s=%v ", name, c[name])
	}
	return b.String()
}

func (c cells) key(t *Table) string {
	var b strings.Builder
	for _, name := range t.Keys {
		fmt.Fprintf(&b, "%v|", c[name])
	}
	return b.String()
}

// TestQuestDBTakesEveryKind writes random records of every kind, many of
// them with equal keys, and reads back the last of each key, digit for digit.
func TestQuestDBTakesEveryKind(t *testing.T) {
	server := sharedServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	db, err := pgx.Connect(ctx, "postgres://admin:quest@"+server.PG+"/qdb?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	sender, err := qdb.LineSenderFromConf(ctx, "http::addr="+server.HTTP+";auto_flush=off;retry_timeout=1000;request_timeout=10000;")
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close(ctx)
	for _, kind := range persistencetest.StoredKinds() {
		t.Run(kind.String(), func(t *testing.T) { throughServer(ctx, t, kind, db, sender) })
	}
}

func throughServer(ctx context.Context, t *testing.T, kind market.Kind, db *pgx.Conn, sender qdb.LineSender) {
	table, err := NewTable(kind)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there
		if _, err := db.Exec(ctx, table.Create()); err != nil {
			t.Fatalf("%v\n%s", err, table.Create())
		}
	}
	want := map[string]string{}
	encoder, g := NewEncoder(sender), persistencetest.NewGenerator(uint64(kind))
	for range 4 {
		var b market.Batch
		for range 150 {
			r := g.Add(&b, kind)
			if err := encoder.Encode(ctx, r); err != nil {
				t.Fatal(err)
			}
			row := cellsOf(r)
			want[row.key(table)] = row.String()
		}
		if err := sender.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	applied(ctx, t, db, table.Name)
	got := rowsOf(ctx, t, db, table)
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d keys", len(got), len(want))
	}
	for key, row := range want {
		if got[key] != row {
			t.Fatalf("row of key %s:\n got %s\nwant %s", key, got[key], row)
		}
	}
}

// applied polls the server until what it has acknowledged is visible.
func applied(ctx context.Context, t *testing.T, db *pgx.Conn, table string) {
	t.Helper()
	for {
		var suspended bool
		var writer, sequencer int64
		err := db.QueryRow(ctx, "SELECT suspended, writerTxn, sequencerTxn FROM wal_tables() WHERE name = $1", table).Scan(&suspended, &writer, &sequencer)
		switch {
		case err != nil:
			t.Fatal(err)
		case suspended:
			t.Fatalf("table %s is suspended", table)
		case writer >= sequencer:
			return
		}
	}
}

func rowsOf(ctx context.Context, t *testing.T, db *pgx.Conn, table *Table) map[string]string {
	t.Helper()
	rows, err := db.Query(ctx, "SELECT * FROM "+table.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		c := cells{}
		for i, f := range rows.FieldDescriptions() {
			// QuestDB has no NULL of BYTE: an absent scale is 0 beside a NULL number.
			if v := values[i]; v != nil {
				c[f.Name] = v
			}
		}
		for _, column := range table.Columns {
			scale, isScale := strings.CutSuffix(column.Name, scaleSuffix)
			if _, exact := c[scale+exactSuffix]; isScale && (c[scale] == nil || exact) {
				delete(c, column.Name)
			}
		}
		out[c.key(table)] = c.String()
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTableOfAKindThatIsNeverStored(t *testing.T) {
	if _, err := NewTable(market.KindBookTop); err == nil {
		t.Error("a table of book_top")
	}
}

func TestTimeBeforeQuestDB(t *testing.T) {
	trade := &market.Trade{Header: market.Header{TS: -1, Instrument: persistencetest.Instruments()[0]}}
	if err := NewEncoder(nil).Encode(t.Context(), trade); err == nil {
		t.Error("a record of 1969 was encoded")
	}
}
