package storage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/internal/market"
)

// fill stores n collected trades of BTC-USDT, one a millisecond.
func fill(m *memory, n int) {
	var b market.Batch
	i, err := binance()[market.Spot].Resolve("BTC-USDT")
	if err != nil {
		panic(err)
	}
	const start = 1_723_118_400_000_000_000
	for k := range n {
		t := market.Add[market.Trade](&b)
		t.Instrument, t.ExchangeTime, t.ReceiveTime = i, start+int64(k)*1e6, start+int64(k)*1e6+2_345_678+int64(k)*0x85EBCA6B%1_000_003
		t.Seq, t.ID, t.Conn, t.Epoch = market.Int(int64(4_000_000_000+k)), market.NumID(int64(4_000_000_000+k)), 3, 12
		t.Price, t.Amount = market.NewDecimal(6_183_763_000_000+int64(k%1000)*1_000_000, 8), market.NewDecimal(1_250_000+int64(k)*0x9E3779B1%1_000_003_000, 8)
		t.Side = market.Side(1 + k%2)
		market.Stamp(t)
	}
	m.add(&b)
}

type listed struct {
	Status string
	Data   []struct {
		TradeID string `json:"trade_id"`
		ID      string
	}
	Count      int
	NextCursor string `json:"next_cursor"`
}

func list(t *testing.T, a answer) listed {
	t.Helper()
	var l listed
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.status != 200 {
		t.Fatalf("%d %.300s: %v", a.status, a.body, err)
	}
	if l.Count != len(l.Data) {
		t.Fatalf("it counts %d rows and has %d", l.Count, len(l.Data))
	}
	return l
}

// Pages meet without a hole or a repeat.
func TestPages(t *testing.T) {
	s, m := serve(t)
	fill(m, 1050)
	for _, path := range []string{"hot/trades/binance/BTCUSDT?limit=500", "query/trade/binance/BTCUSDT?limit=500&order=desc"} {
		next, total := "", 0
		for page := 1; ; page++ {
			l := list(t, get(t, s, path+"&cursor="+url.QueryEscape(next)))
			for _, row := range l.Data {
				want := strconv.Itoa(4_000_000_000 + 1049 - total)
				if row.TradeID+row.ID != want {
					t.Fatalf("%s: row %d is %s%s, want %s", path, total, row.TradeID, row.ID, want)
				}
				total++
			}
			if next = l.NextCursor; next == "" {
				break
			}
		}
		if total != 1050 {
			t.Errorf("%s: %d rows in all pages", path, total)
		}
	}
	first := list(t, get(t, s, "hot/trades/binance/BTCUSDT?limit=500"))
	for _, other := range []string{"hot/trades/binance/ETHUSDT?limit=500", "hot/trades/binance/BTCUSDT?limit=500&to=2024-08-08T13:00:00Z", "query/trade/binance/BTCUSDT?limit=500&order=desc"} {
		if a := get(t, s, other+"&cursor="+first.NextCursor); a.status != 422 {
			t.Errorf("%s took the cursor of another list: %d", other, a.status)
		}
	}
	lines := get(t, s, "query/trade/binance/BTCUSDT?limit=500&format=ndjson")
	rest := get(t, s, "query/trade/binance/BTCUSDT?format=ndjson&cursor="+lines.next)
	if lines.next == "" || strings.Count(lines.body, "\n") != 499 || strings.Count(rest.body, "\n") != 549 || rest.next != "" {
		t.Errorf("lines: %d, cursor %q; then %d, cursor %q", strings.Count(lines.body, "\n")+1, lines.next, strings.Count(rest.body, "\n")+1, rest.next)
	}
}

// Stored candles of one interval are paged by their open times.
func TestStoredCandlePages(t *testing.T) {
	s, m := serve(t)
	i, err := binance()[market.Spot].Resolve("BTC-USDT")
	if err != nil {
		t.Fatal(err)
	}
	var b market.Batch
	for k := range 60 {
		for _, word := range []string{"1m", "5m"} {
			c := market.Add[market.Candle](&b)
			c.Instrument, c.Interval, c.OpenTime, c.Open = i, word, 1_723_118_400_000_000_000+int64(k)*60e9, market.NewDecimal(int64(k), 0)
			c.Closed = true
			market.Stamp(c)
		}
	}
	m.add(&b)
	for _, order := range []string{"asc", "desc"} {
		next, at := "", []int64{}
		for {
			var l struct {
				Data       []struct{ Open int64 }
				NextCursor string `json:"next_cursor"`
			}
			a := get(t, s, "candles/binance/BTCUSDT?source=exchange&limit=25&order="+order+"&cursor="+next)
			if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			for _, c := range l.Data {
				at = append(at, c.Open)
			}
			if next = l.NextCursor; next == "" {
				break
			}
		}
		for n, got := range at {
			want := int64(n)
			if order == "desc" {
				want = 59 - want
			}
			if got != want {
				t.Fatalf("%s: candle %d is %d", order, n, got)
			}
		}
		if len(at) != 60 {
			t.Errorf("%s: %d candles", order, len(at))
		}
	}
}

// A client that leaves ends the scan and releases the view.
func TestClientLeavesQuery(t *testing.T) {
	s, m := serve(t)
	fill(m, 300_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/api/v1/storage/query/trade/binance/BTCUSDT?format=ndjson", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	if err := s.Stop(t.Context()); err != nil { // waits for the request
		t.Fatal(err)
	}
	if m.chunks >= 300_000/viewChunk || m.open != 0 {
		t.Errorf("%d chunks were read for nobody, %d views are open", m.chunks, m.open)
	}
}

// An error of the store is an answer before the first row, and half an answer
// is never taken for a whole one.
func TestStoreFails(t *testing.T) {
	s, m := serve(t)
	m.failing = errors.New("the disk is gone")
	for _, path := range []string{"hot/trades/binance/BTCUSDT", "hot/tickers/binance/BTCUSDT", "query/trade/binance/BTCUSDT", "candles/binance/BTCUSDT", "stats"} {
		a := get(t, s, path)
		if p := problem(t, a); a.status != 500 || strings.Contains(a.body, "disk") || p.RequestID == "" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestHostile(t *testing.T) {
	s, m := serve(t)
	fill(m, 10)
	endpoints := chassistest.Described(t, s.URL())
	for i, e := range endpoints {
		if strings.Contains(e.Path, "{symbol}") {
			endpoints[i].Params = map[string]string{"exchange": "binance", "symbol": "BTCUSDT", "kind": "trade"}
		}
		switch {
		case e.Body == "":
		case strings.HasSuffix(e.Path, "hot/trades"):
			endpoints[i].Body = trade1
		case strings.HasSuffix(e.Path, "hot/tickers"):
			endpoints[i].Body = `{"timestamp":"2024-08-08T12:00:00Z","symbol":"BTCUSDT","exchange":"binance","last_price":"1","volume_24h":1,"price_change_24h":-1,"high_24h":1,"low_24h":1}`
		case strings.HasSuffix(e.Path, "hot/orderbooks"):
			endpoints[i].Body = `{"timestamp":1723118401,"symbol":"ETHUSDT","exchange":"binance","bids":[[1,"2"]],"asks":[]}`
		}
	}
	chassistest.Run(t, s.URL(), endpoints)
}

func TestEveryRouteIsDescribed(t *testing.T) {
	s, _ := serve(t)
	var doc struct {
		Paths map[string]map[string]struct {
			Summary   string
			Responses map[string]any
		}
	}
	a := call(t, s, http.MethodGet, "/openapi.json", "", "")
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			if op.Summary == "" || len(op.Responses) < 2 {
				t.Errorf("%s %s says too little", method, path)
			}
		}
	}
	for _, want := range []string{`"3456789012"`, `"61837.63"`, `2024-08-08T12:00:00.123Z`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no example %s", want)
		}
	}
}

func BenchmarkOverHTTP(b *testing.B) {
	for _, tc := range []struct {
		name, path string
		rows       int
	}{
		{"last 1000 trades", "hot/trades/binance/BTCUSDT?limit=1000", 1000},
		{"100k rows ndjson", "query/trade/binance/BTCUSDT?format=ndjson&limit=100000", 100_000},
		{"100k rows json", "query/trade/binance/BTCUSDT?limit=100000", 100_000},
		{"100k rows csv", "query/trade/binance/BTCUSDT?format=csv&limit=100000", 100_000},
	} {
		b.Run(tc.name, func(b *testing.B) {
			s, m := serve(b)
			fill(m, 100_000)
			m.preload(market.KindTrade)
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			buf := make([]byte, 256<<10)
			b.ReportAllocs()
			var bytes int64
			for b.Loop() {
				resp, err := client.Get(s.URL() + "/api/v1/storage/" + tc.path)
				if err != nil {
					b.Fatal(err)
				}
				bytes = 0
				for {
					n, err := resp.Body.Read(buf)
					bytes += int64(n)
					if err != nil {
						break
					}
				}
				resp.Body.Close()
			}
			b.SetBytes(bytes)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tc.rows), "ns/row")
		})
	}
}

// BenchmarkPost is one trade and an array of 1000, through the journal's fake:
// what the façade itself costs.
func BenchmarkPost(b *testing.B) {
	for _, rows := range []int{1, 1000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			s, m := serve(b)
			m.forget = true
			body := trade1
			if rows > 1 {
				body = "[" + strings.TrimSuffix(strings.Repeat(trade1+",", rows), ",") + "]"
			}
			b.ReportAllocs()
			for b.Loop() {
				if a := post(b, s, "hot/trades", body); a.status != 200 {
					b.Fatal(a.body)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
		})
	}
}
