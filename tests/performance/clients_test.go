package performance

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/tests/harness"
)

// BenchmarkLiveSocket is the time from a frame read from the exchange's socket to
// its record in clients of the WebSocket, in another process: one client at 20,000
// records a second, and a thousand at 20 a second each, without and with one among
// them that does not read its connection.
func BenchmarkLiveSocket(b *testing.B) {
	for _, tc := range []struct {
		name                   string
		clients, rate, seconds int
		frozen                 bool
	}{
		{"1-client", 1, 20_000, 4, false},
		{"1000-clients", 1000, 20, 10, false},
		{"1000-clients-1-frozen", 999, 20, 10, true},
	} {
		b.Run(tc.name, func(b *testing.B) {
			var all []time.Duration
			var used time.Duration
			for b.Loop() {
				found, took := followers(b, tc.clients, tc.rate, tc.rate*tc.seconds, tc.frozen)
				all, used = append(all, found...), used+took
			}
			b.ReportMetric(0, "ns/op") // starting processes, mostly
			b.ReportMetric(at(all, 0.50), "p50-µs")
			b.ReportMetric(at(all, 0.99), "p99-µs")
			b.ReportMetric(float64(used.Microseconds())/float64(len(all)), "cpu-µs/message")
		})
	}
}

// TestLiveClients is a tenth of the benchmark: each client gets each record, once
// and in order, while one among them does not read.
func TestLiveClients(t *testing.T) {
	delays, _ := followers(t, 99, 200, 2000, true)
	t.Logf("p50 %v µs, p99 %v µs", at(delays, 0.50), at(delays, 0.99))
}

// followers connects clients to a program whose exchange sends total trades at an
// even rate, and tells how old each message was and what CPU the program took. The
// first second is left out.
func followers(t testing.TB, clients, rate, total int, frozen bool) (delays []time.Duration, used time.Duration) {
	t.Helper()
	exchange := newPaced(t, rate, total)
	settings := exchange.settings()
	// So that a client that does not read is too slow before long.
	settings["market-data-collector.live.queue_records"] = 4096
	settings["market-data-collector.live.max_subscriptions"] = asks + 1
	settings["market-data-collector.live.max_requests_per_second"] = asks + 1
	n := harness.Start(t, t.TempDir(), settings)
	address := strings.TrimPrefix(n.URL(harness.Collector, ""), "http://")
	harness.Await(t, time.Minute, "a stream", func() bool {
		var status struct {
			Exchanges map[string]struct {
				Active int `json:"active_subscriptions"`
			} `json:"exchanges"`
		}
		harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/status"), &status)
		return status.Exchanges["binance"].Active > 0
	})
	if frozen {
		freeze(t, address)
	}
	conns := make([]*websocket.Conn, clients)
	for i := range conns {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+address+"/ws/v1/stream?kinds=trade", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.Close() })
		if _, ack, err := ws.ReadMessage(); err != nil || !bytes.Contains(ack, []byte(`"streams":1,`)) {
			t.Fatal(err, string(ack))
		}
		conns[i] = ws
	}
	before := cpu(t, n.PID())
	close(exchange.begin)
	found, faults := make([][]time.Duration, clients), make([]error, clients)
	var reading sync.WaitGroup
	for i, ws := range conns {
		reading.Go(func() { found[i], faults[i] = readTrades(ws, rate, total) })
	}
	reading.Wait()
	used = cpu(t, n.PID()) - before
	for i := range conns {
		if faults[i] != nil {
			t.Fatalf("client %d: %v", i, faults[i])
		}
		delays = append(delays, found[i]...)
	}
	if frozen {
		var status struct {
			Live struct {
				Slow int `json:"slow_disconnects"`
			} `json:"live_streams"`
		}
		harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/status"), &status)
		if status.Live.Slow != 1 {
			t.Errorf("%d clients were ended for being slow, want the frozen one", status.Live.Slow)
		}
	}
	n.Stop()
	return delays, used
}

// readTrades reads all trades, each once and in order.
func readTrades(ws *websocket.Conn, rate, total int) ([]time.Duration, error) {
	delays := make([]time.Duration, 0, total)
	if err := ws.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	for number := 1; number <= total; number++ {
		_, text, err := ws.ReadMessage()
		now := time.Now().UnixNano()
		if err != nil {
			return nil, fmt.Errorf("after %d trades: %w", number-1, err)
		}
		id, err := numberAfter(text, `"id":"`)
		if err != nil || id != int64(number) {
			return nil, fmt.Errorf("%w: trade %d is due: %s", err, number, text)
		}
		read, err := numberAfter(text, `"receive_time_ns":`)
		if err != nil {
			return nil, err
		}
		if number > rate {
			delays = append(delays, time.Duration(now-read))
		}
	}
	return delays, nil
}

// asks is how often the client that does not read asks for everything.
const asks = 400

// freeze connects a client that asks for everything many times, and reads nothing
// of it.
func freeze(t testing.TB, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /ws/v1/stream?kinds=trade HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", address); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(err, resp)
	}
	const ask = `{"op":"subscribe","kinds":["trade"]}`
	for range asks { // masked with zeros, as RFC 6455, 5.3, lets it be
		if _, err := conn.Write(append([]byte{0x81, 0x80 | byte(len(ask)), 0, 0, 0, 0}, ask...)); err != nil {
			t.Fatal(err)
		}
	}
}
