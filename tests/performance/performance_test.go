// Package performance measures the running program from outside: benchmarks, so
// that they run by `make bench PKG=./tests/performance COUNT=1` and judge nothing.
package performance

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

var received = regexp.MustCompile(`"receive_time_ns":(\d+)`)

// BenchmarkLive is the time from a frame read from the exchange's socket to its
// record in a subscriber of the live plane, in another process, at an even 20,000
// frames a second for five seconds, the first one left out.
func BenchmarkLive(b *testing.B) {
	const rate, seconds = 20_000, 5
	for b.Loop() {
		exchange := newPaced(b, rate/1000, rate*seconds)
		settings := exchange.settings()
		port := freePort(b)
		settings["message-broker-service.nats.port"] = port
		n := harness.Start(b, b.TempDir(), settings)
		delays, took := follow(b, exchange, port, rate*seconds)
		delays = delays[rate:]
		slices.Sort(delays)
		b.ReportMetric(float64(delays[len(delays)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds()), "p99-µs")
		b.ReportMetric(float64(rate*seconds)/took.Seconds(), "records/s")
		n.Stop()
	}
}

// follow takes records from the live plane and tells how old each was.
func follow(b *testing.B, exchange *paced, port, count int) (delays []time.Duration, took time.Duration) {
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("md.v1.trade.>")
	if err != nil {
		b.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil { // the server has the subscription
		b.Fatal(err)
	}
	close(exchange.begin)
	var first time.Time
	for len(delays) < count {
		m, err := sub.NextMsg(30 * time.Second)
		if err != nil {
			b.Fatalf("after %d records: %v", len(delays), err)
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		at := received.FindSubmatch(m.Data)
		if at == nil {
			b.Fatalf("a record without a receive time: %s", m.Data)
		}
		ns, err := strconv.ParseInt(string(at[1]), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		delays = append(delays, now.Sub(time.Unix(0, ns)))
	}
	return delays, time.Since(first)
}

func freePort(b *testing.B) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		b.Fatalf("address %v", l.Addr())
	}
	return a.Port
}

// BenchmarkHTTP reads what a client stored: the last 1000 trades of a symbol, and
// a range of 100,000 rows.
func BenchmarkHTTP(b *testing.B) {
	n := harness.Start(b, b.TempDir(), nil)
	const rows = 100_000
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
	for _, q := range []struct{ name, path string }{
		{"last-1000", "/api/v1/storage/hot/trades/binance/BTC-USDT?limit=1000"},
		{"range-100k-ndjson", "/api/v1/storage/query/trade/binance/BTC-USDT?format=ndjson&limit=100000"},
		{"range-100k-json", "/api/v1/storage/query/trade/binance/BTC-USDT?limit=100000"},
		{"candles-1m", "/api/v1/storage/candles/binance/BTC-USDT?interval=1m"},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				b.SetBytes(read(b, n.URL(harness.Storage, q.path)))
			}
		})
	}
	n.Stop()
}

// plain asks for answers as they are: on loopback, compression costs more than it
// saves.
var plain = &http.Client{Transport: &http.Transport{DisableCompression: true}}

// read takes an answer and throws it away.
func read(b *testing.B, url string) int64 {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	res, err := plain.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	size, err := io.Copy(io.Discard, res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return size
}

// BenchmarkStart is the time from starting the process until every service says
// that it is ready, and the memory that it then takes.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		n := harness.Start(b, b.TempDir(), nil)
		b.StopTimer()
		b.ReportMetric(float64(resident(b, n.PID()))/1e6, "MB")
		n.Stop()
		b.StartTimer()
	}
}

// resident is the memory of a process, in bytes.
func resident(b *testing.B, pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("the memory of a process cannot be told here: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb * 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
