package performance

import (
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/tests/harness"
)

// BenchmarkEngines is the same on both engines, in turn: trades that a client POSTs,
// until they are where they belong (in files; shown by the QuestDB server), and then
// read over HTTP. The figures of reading are medians. The QuestDB server runs beside
// the program all the time, as it would.
func BenchmarkEngines(b *testing.B) {
	const rows, reads = 200_000, 9
	server := questdbtest.Start(b)
	engines := []struct {
		name     string
		settings harness.Settings
	}{
		{"embedded", harness.Settings{
			harness.Storage + ".embedded.publish_interval": "1s",
		}},
		{"questdb", harness.Settings{
			harness.Storage + ".engine":           "questdb",
			harness.Storage + ".questdb.http":     server.HTTP,
			harness.Storage + ".questdb.pg":       server.PG,
			harness.Storage + ".questdb.password": "quest",
		}},
	}
	asked := map[string]string{
		"last-1000":  "hot/trades/binance/BTC-USDT?limit=1000",
		"range-100k": "query/trade/binance/BTC-USDT?format=ndjson&limit=100000",
	}
	into, bytes := map[string]time.Duration{}, map[string]float64{}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, e := range engines {
			n := harness.Start(b, b.TempDir(), e.settings)
			begin := time.Now()
			store(b, n, rows)
			awaitPublished(b, n)
			into[e.name] += time.Since(begin)
			for what, path := range asked {
				at := n.URL(harness.Storage, "/api/v1/storage/"+path)
				read(b, at) // once to warm up
				for range reads {
					begin := time.Now()
					read(b, at)
					took[e.name+"-"+what] = append(took[e.name+"-"+what], time.Since(begin))
				}
			}
			bytes[e.name] = bytesPerTrade(b, n)
			n.Stop()
		}
	}
	b.ReportMetric(0, "ns/op") // the sum says nothing
	for _, e := range engines {
		b.ReportMetric(rows*float64(b.N)/into[e.name].Seconds(), e.name+"-rows/s")
		b.ReportMetric(bytes[e.name], e.name+"-B/row")
		for what := range asked {
			all := took[e.name+"-"+what]
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, e.name+"-"+what+"-ms")
		}
	}
}

// awaitPublished waits until all of the journal is where it belongs.
func awaitPublished(b *testing.B, n *harness.Node) {
	b.Helper()
	harness.Await(b, 2*time.Minute, "everything published", func() bool {
		var answer struct {
			Data struct {
				Shards []struct {
					Published uint64 `json:"published_to"`
					Journal   struct {
						Last uint64 `json:"last"`
					} `json:"journal"`
				} `json:"shards"`
			} `json:"data"`
		}
		harness.GetJSON(b, n.URL(harness.Storage, "/api/v1/storage/status"), &answer)
		s := answer.Data.Shards[0]
		return s.Journal.Last > 0 && s.Published >= s.Journal.Last
	})
}

// bytesPerTrade is what a stored trade takes.
func bytesPerTrade(b *testing.B, n *harness.Node) float64 {
	b.Helper()
	var answer struct {
		Data struct {
			Tables []struct {
				Table string  `json:"table"`
				Rows  float64 `json:"rows"`
				Bytes float64 `json:"bytes"`
			} `json:"tables"`
		} `json:"data"`
	}
	harness.GetJSON(b, n.URL(harness.Storage, "/api/v1/storage/stats"), &answer)
	for _, t := range answer.Data.Tables {
		if t.Table == "trades" && t.Rows > 0 {
			return t.Bytes / t.Rows
		}
	}
	b.Fatal("no trades are counted")
	return 0
}
