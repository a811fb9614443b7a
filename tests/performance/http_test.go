package performance

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// BenchmarkHTTP reads what a client stored: the last 1000 trades of a symbol,
// candles, and a range of 100,000 rows in both forms. In turn with the range runs
// a server that sends as many bytes, made beforehand, in pieces of the same size.
// The figures are medians.
func BenchmarkHTTP(b *testing.B) {
	const rows = 100_000
	n := harness.Start(b, b.TempDir(), nil)
	store(b, n, rows)
	_, floor, stop := startFloor(b, "bytes")
	at := func(path string) string { return n.URL(harness.Storage, "/api/v1/storage/"+path) }
	asked := []struct{ name, url string }{
		{"last-1000", at("hot/trades/binance/BTC-USDT?limit=1000")},
		{"candles-1m", at("candles/binance/BTC-USDT?interval=1m")},
		{"json-100k", at("query/trade/binance/BTC-USDT?limit=100000")},
		{"ndjson-100k", at("query/trade/binance/BTC-USDT?format=ndjson&limit=100000")},
		{"bytes-floor", floor},
	}
	took := make(map[string][]time.Duration)
	size := make(map[string]int64)
	for _, a := range asked { // once to warm up
		size[a.name] = read(b, a.url)
	}
	for b.Loop() {
		for _, a := range asked {
			begin := time.Now()
			read(b, a.url)
			took[a.name] = append(took[a.name], time.Since(begin))
		}
	}
	b.ReportMetric(0, "ns/op") // the sum says nothing
	median := func(name string) float64 {
		all := took[name]
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds()) / 1000
	}
	for _, a := range asked {
		b.ReportMetric(median(a.name), a.name+"-ms")
	}
	b.ReportMetric(float64(size["json-100k"])/1e6, "json-MB")
	b.ReportMetric(float64(size["ndjson-100k"])/1e6, "ndjson-MB")
	b.ReportMetric(median("json-100k")/median("bytes-floor"), "json/floor")
	b.ReportMetric(median("ndjson-100k")/median("bytes-floor"), "ndjson/floor")
	stop()
	n.Stop()
}

// store posts trades, a millisecond apart.
func store(b *testing.B, n *harness.Node, rows int) {
	b.Helper()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := 0; at < rows; at += 1000 {
		var body bytes.Buffer
		for i := at; i < at+1000; i++ {
			fmt.Fprintf(&body, `{"timestamp":%q,"symbol":"BTC-USDT","exchange":"binance","price":"%d.%02d","amount":"0.%05d","side":"buy","trade_id":"%d"}`+"\n",
				begin.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), 60_000+i%500, i%100, 1+i%99_999, i+1)
		}
		a, err := harness.Post(b.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/x-ndjson", body.Bytes())
		if err != nil || a.Status != 200 {
			b.Fatalf("storing trades: %v %v", a, err)
		}
	}
}

// plain asks for answers as they are: on loopback, compression costs more than it
// saves. It reads in pieces that suit answers of megabytes.
var plain = &http.Client{Transport: &http.Transport{DisableCompression: true, ReadBufferSize: 256 << 10}}

// read takes an answer and throws it away.
func read(b *testing.B, url string) int64 {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	res, err := plain.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	size, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, piece)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return size
}

var piece = make([]byte, 256<<10)

// serveBytes is the main function of the floor of BenchmarkHTTP.
func serveBytes() error {
	const size, chunk = 26 << 20, 128 << 10
	body := bytes.Repeat([]byte(`{"kind":"trade"}`+"\n"), chunk/17)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { // ends with the process
		failed <- http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for sent := 0; sent < size; sent += len(body) {
				if _, err := w.Write(body); err != nil {
					return // the client has left
				}
			}
		}))
	}()
	return await("http://"+l.Addr().String(), failed)
}
