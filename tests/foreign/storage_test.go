package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// counted is a number of rows and the sum of price times amount.
type counted [2]float64

// seenByTools is what read.py found.
type seenByTools struct {
	Versions map[string]string `json:"versions"`
	Looks    []struct {
		Files   int                           `json:"files"`
		Cold    int                           `json:"cold"`
		Symbols map[string]map[string]counted `json:"symbols"`
		Hive    map[string][][2]any           `json:"hive"`
	} `json:"looks"`
	Answers map[string]struct {
		Counted counted           `json:"counted"`
		DuckDB  counted           `json:"duckdb"`
		Ordered bool              `json:"ordered"`
		Columns map[string]string `json:"columns"`
		Some    [2]any            `json:"some"`
	} `json:"answers"`
	Seen   []string          `json:"seen"`
	Arrow  map[string]string `json:"arrow"`
	DuckDB map[string]string `json:"duckdb"`
	Pandas map[string]string `json:"pandas"`
	Long   []string          `json:"long"`
}

// longPrice, of longSymbol, has more digits than a DOUBLE.
const (
	longPrice  = "12345678901234567890.123456789"
	longSymbol = "LONGUSDT"
)

// TestTools: DuckDB, pyarrow and pandas read hot parts and cold files while clients
// write, rows are archived and files are joined: what they count and sum of rows that
// are complete is what the service answers, at every look. They find the partitions,
// and take times for times, in UTC.
func TestTools(t *testing.T) {
	library := packages(t, filepath.Join("storage", "requirements.txt"))
	const at = harness.Storage + ".storage."
	n := harness.Start(t, t.TempDir(), harness.Settings{
		harness.Storage + ".embedded.publish_interval": "1s",
		at + "lifecycle.interval":                      "2s",
		at + "lifecycle.archive_after":                 "3s",
		at + "cold_storage.join_files":                 2,
	})
	write := func(ctx context.Context, symbol string, first, rows int) error {
		var b bytes.Buffer
		from := time.Date(2021, 5, 19, 12, 0, 0, 0, time.UTC) // into the next days
		for i := first; i < first+rows; i++ {
			price := fmt.Sprintf("%d.25", 100+i%50)
			if symbol == longSymbol {
				price = longPrice
			}
			fmt.Fprintf(&b, `{"timestamp":%d,"symbol":%q,"exchange":"lab","price":%q,"amount":"0.5","side":"buy","trade_id":"%d"}`+"\n",
				from.Add(time.Duration(i)*time.Minute).UnixNano(), symbol, price, i)
		}
		a, err := harness.Post(ctx, n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/x-ndjson", b.Bytes())
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return err
	}
	symbols := []string{"BTCUSDT", "ETHUSDT"} // as they are stored of an exchange that nobody knows
	const rows = 3000
	if err := write(t.Context(), longSymbol, 0, 1); err != nil {
		t.Fatal(err)
	}
	for part := range 3 { // archived apart, and joined
		for _, symbol := range symbols {
			if err := write(t.Context(), symbol, part*rows/3, rows/3); err != nil {
				t.Fatal(err)
			}
		}
		if part < 2 {
			a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/cold/archive"), "application/json", []byte(`{"cutoff_hours":0}`))
			if err != nil || a.Status != http.StatusOK {
				t.Fatalf("%v %+v", err, a)
			}
		}
	}
	harness.Await(t, 30*time.Second, "a file of what was written last", func() bool {
		var list struct {
			Data []struct{ Rows int }
		}
		harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/parts?kind=trade"), &list)
		sum := 0
		for _, p := range list.Data {
			sum += p.Rows
		}
		return sum == len(symbols)*rows+1
	})
	ctx, stop := context.WithCancel(t.Context())
	wrote := make(chan error, 1)
	go func() { // the writer that does not stop
		var err error
		for i := 0; ctx.Err() == nil && err == nil; i += 100 {
			err = write(ctx, "MOREUSDT", i, 100)
		}
		if ctx.Err() != nil {
			err = nil
		}
		wrote <- err
	}()
	got := look(t, library, map[string]any{
		"url": n.URL(harness.Storage, ""), "cold": filepath.Join(n.Data, "cold", "trades"), "symbols": symbols, "looks": 4, "seconds": 30,
	})
	stop()
	if err := <-wrote; err != nil {
		t.Errorf("the writer: %v", err)
	}
	checkLooks(t, got, symbols, rows)
	checkColumns(t, got)
	checkAnswers(t, got, symbols, rows)
	t.Logf("%v: %d looks at up to %d files of %v", got.Versions, len(got.Looks), got.Looks[len(got.Looks)-1].Files, got.Seen)
}

// look runs read.py.
func look(t *testing.T, library string, task map[string]any) seenByTools {
	t.Helper()
	in, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out, said bytes.Buffer
	c := exec.CommandContext(ctx, "python3", filepath.Join("storage", "read.py"))
	c.Env = append(os.Environ(), "PYTHONPATH="+library)
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, last(said.String(), 3000))
	}
	var got seenByTools
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %.300s", err, out.String())
	}
	return got
}

func checkLooks(t *testing.T, got seenByTools, symbols []string, rows int) {
	t.Helper()
	if !slices.Equal(got.Seen, []string{"cold", "hot"}) || len(got.Looks) < 4 {
		t.Errorf("%d looks, at files of %v", len(got.Looks), got.Seen)
	}
	for i, l := range got.Looks {
		for _, symbol := range symbols {
			by := l.Symbols[symbol]
			want := by["service"]
			for _, tool := range []string{"service", "duckdb", "pyarrow", "pandas"} {
				if c := by[tool]; int(c[0]) != rows || math.Abs(c[1]-want[1]) > 1e-9*want[1] {
					t.Errorf("look %d, %s: %s counts %v and sums %v; the service answers %v and %v, %d were written", i, symbol, tool, c[0], c[1], want[0], want[1], rows)
				}
			}
		}
		if l.Cold == 0 {
			continue
		}
		days := 0.0
		for _, tool := range []string{"duckdb", "pyarrow"} {
			list := l.Hive[tool]
			if len(list) < 2 || list[0][0] != "2021-05-19" || list[0][1] != 720.0 && i > 0 {
				t.Errorf("look %d: %s finds %v", i, tool, list)
			}
			sum := 0.0
			for _, d := range list {
				n, _ := d[1].(float64)
				sum += n
			}
			if days == 0 {
				days = sum
			}
			if sum != days || sum > float64(rows) || sum < float64(2*rows/3) {
				t.Errorf("look %d: %s finds %v rows in the partitions, the other %v", i, tool, sum, days)
			}
		}
	}
}

// checkAnswers: what the service answers as Parquet is a file to pyarrow, and its rows a
// table to DuckDB, with the same rows as its other answers.
func checkAnswers(t *testing.T, got seenByTools, symbols []string, rows int) {
	t.Helper()
	for _, symbol := range symbols {
		a := got.Answers[symbol]
		want := got.Looks[0].Symbols[symbol]["service"]
		for tool, c := range map[string]counted{"pyarrow": a.Counted, "duckdb": a.DuckDB} {
			if int(c[0]) != rows || math.Abs(c[1]-want[1]) > 1e-9*want[1] {
				t.Errorf("%s as Parquet: %s counts %v and sums %v, want %d and %v", symbol, tool, c[0], c[1], rows, want[1])
			}
		}
		if !a.Ordered {
			t.Errorf("%s as Parquet: the rows are not in order of time", symbol)
		}
		for name, kind := range map[string]string{"ts": "timestamp[us, tz=UTC]", "ts_ns": "int64", "price": "double", "trade_id": "string"} {
			if a.Columns[name] != kind {
				t.Errorf("%s as Parquet: pyarrow takes %s for %q, want %q", symbol, name, a.Columns[name], kind)
			}
		}
		text := fmt.Sprint(a.Some)
		if a.Some[0] != 100.0 || !strings.Contains(text, "price") || !strings.Contains(text, "amount") || strings.Contains(text, "trade_id") {
			t.Errorf("%s as Parquet, some columns: %s", symbol, text)
		}
	}
}

func checkColumns(t *testing.T, got seenByTools) {
	t.Helper()
	for _, c := range []struct {
		tool         string
		columns      map[string]string
		name, wanted string
	}{
		{"pyarrow", got.Arrow, "ts", "timestamp[us, tz=UTC]"},
		{"pyarrow", got.Arrow, "ts_ns", "int64"},
		{"pyarrow", got.Arrow, "price", "double"},
		{"pyarrow", got.Arrow, "price_exact", "string"},
		{"pyarrow", got.Arrow, "trade_id", "string"},
		{"pyarrow", got.Arrow, "symbol", "string"},
		{"DuckDB", got.DuckDB, "ts", "TIMESTAMP WITH TIME ZONE"},
		{"DuckDB", got.DuckDB, "ts_ns", "BIGINT"},
		{"DuckDB", got.DuckDB, "price", "DOUBLE"},
		{"DuckDB", got.DuckDB, "side", "VARCHAR"},
		{"pandas", got.Pandas, "ts", "datetime64[us, UTC]"},
		{"pandas", got.Pandas, "price", "float64"},
	} {
		if c.columns[c.name] != c.wanted {
			t.Errorf("%s takes %s for %q, want %q", c.tool, c.name, c.columns[c.name], c.wanted)
		}
	}
	if strings.Join(got.Long, " ") != longPrice {
		t.Errorf("the long price is %q", got.Long)
	}
}
