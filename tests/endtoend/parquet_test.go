package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// duckdb returns where the Python package is installed: in a folder of the user's
// cache, for its pinned version and this Python, whole or not at all.
func duckdb(t *testing.T) string {
	t.Helper()
	path, err := installDuckDB(t.Context())
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_SERVERS", fmt.Sprint("no DuckDB to read with: ", err))
	return path
}

func installDuckDB(ctx context.Context) (string, error) {
	text, err := os.ReadFile(filepath.Join("parquet", "requirements.txt"))
	if err != nil {
		return "", err
	}
	python, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2], end='')").Output()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "marketprism", "clients")
	path := filepath.Join(home, strings.ReplaceAll(strings.TrimSpace(string(text)), "==", "-")+"-python"+string(python))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	part, err := os.MkdirTemp(home, "part-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(part) }() // what is left of it is in nobody's way
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "--quiet", "--no-input", "--only-binary=:all:", "--target", part,
		"-r", filepath.Join("parquet", "requirements.txt"))
	if said, err := pip.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pip: %w: %s", err, bytes.TrimSpace(said))
	}
	if err := errors.Join(os.Chmod(part, 0o755), os.Rename(part, path)); err != nil {
		if _, there := os.Stat(path); there != nil {
			return "", err
		}
	}
	return path, nil
}

// found is what read.py found.
type found struct {
	Version    string   `json:"version"`
	Count      int      `json:"count"`
	Price      float64  `json:"price"`
	Low        int64    `json:"low"` // µs
	High       int64    `json:"high"`
	Partitions [][7]any `json:"partitions"`
	Pruned     int      `json:"pruned"`
	Exact      int      `json:"exact"`
	Listed     [2]float64
	Answered   [2]float64
}

// TestOtherTools: DuckDB reads the cold store by its hive partitions, and the files
// that parts lists, hot ones and cold ones, while the program runs, and the answer of a
// query. Counts and sums are those of what was stored.
func TestOtherTools(t *testing.T) {
	library := duckdb(t)
	n := harness.Start(t, t.TempDir(), harness.Settings{
		harness.Storage + ".embedded.publish_interval":             "1s",
		harness.Storage + ".storage.cold_storage.checkpoint_every": 2,
	})
	const rows = 3000
	post := func(exchange, symbol string, from time.Time, first int) (sum float64) {
		t.Helper()
		var b bytes.Buffer
		for i := range rows {
			fmt.Fprintf(&b, `{"timestamp":%d,"symbol":%q,"exchange":%q,"price":%d.25,"amount":"0.5","side":"buy","trade_id":"%d"}`+"\n",
				from.Add(time.Duration(i)*time.Minute).UnixNano(), symbol, exchange, first+i, first+i)
			sum += float64(first+i) + 0.25
		}
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/x-ndjson", b.Bytes())
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("%v %+v", err, a)
		}
		return sum
	}
	archive := func() {
		t.Helper()
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/cold/archive"), "application/json", []byte(`{"cutoff_hours":0}`))
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("%v %+v", err, a)
		}
	}
	start := time.Date(2021, 5, 19, 0, 0, 0, 0, time.UTC) // 1440 minutes a day
	lab := post("lab", "BTC-USDT", start, 1)
	cold := lab
	archive()
	cold += post("My Venue", "ETH/BTC", start, 10_001)
	archive()
	hot := post("lab", "BTC-USDT", start.AddDate(0, 0, 10), 100_001)

	var parts struct {
		Data []struct {
			Path, Table, Tier string
		}
	}
	tiers := map[string]int{}
	harness.Await(t, 30*time.Second, "a hot file", func() bool {
		harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/parts?kind=trade"), &parts)
		clear(tiers)
		for _, p := range parts.Data {
			tiers[p.Tier]++
		}
		return tiers["hot"] == 1
	})
	paths := []string{}
	for _, p := range parts.Data {
		paths = append(paths, p.Path)
	}
	list := filepath.Join(t.TempDir(), "files.json")
	text, err := json.Marshal(paths)
	if err == nil {
		err = os.WriteFile(list, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	answer := filepath.Join(t.TempDir(), "answer.parquet")
	harness.Must(t, time.Minute, "query", "trade", "lab", "BTC-USDT", "--url", n.URL(harness.Storage, ""), "--fields", "price", "--out", answer)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "python3", filepath.Join("parquet", "read.py"), filepath.Join(n.Data, "cold"), list, answer)
	var said bytes.Buffer
	c.Env, c.Stderr = append(os.Environ(), "PYTHONPATH="+library), &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("DuckDB: %v\n%s", err, said.String())
	}
	var got found
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Count != 2*rows || got.Price != cold || got.Exact != 2*rows || got.Pruned != 2*1440 {
		t.Errorf("the tree: %d rows (%d with equal times) of %v, %d of one day; want %d of %v, %d", got.Count, got.Exact, got.Price, got.Pruned, 2*rows, cold, 2*1440)
	}
	if got.Listed != [2]float64{3 * rows, cold + hot} {
		t.Errorf("the listed files: %v, want %d rows of %v", got.Listed, 3*rows, cold+hot)
	}
	if got.Answered != [2]float64{2 * rows, lab + hot} {
		t.Errorf("the answer: %v, want %d rows of %v", got.Answered, 2*rows, lab+hot)
	}
	if last := start.Add((rows - 1) * time.Minute); got.Low != start.UnixMicro() || got.High != last.UnixMicro() {
		t.Errorf("from %d to %d, want %d to %d", got.Low, got.High, start.UnixMicro(), last.UnixMicro())
	}
	want := `[["lab","spot","BTCUSDT","2021-05-19",1440,` // and two more days of it, and three of the other
	partitions, err := json.Marshal(got.Partitions)
	if err != nil || len(got.Partitions) != 6 || !strings.HasPrefix(string(partitions), want) {
		t.Errorf("%d partitions: %s, %v", len(got.Partitions), partitions, err)
	}
	t.Logf("DuckDB %s read %d files: %v", got.Version, len(paths), tiers)
}
