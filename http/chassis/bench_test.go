package chassis_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/http/chassis"
)

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkOverhead is a request through everything but the network: what the
// chassis adds to a handler that writes two bytes.
func BenchmarkOverhead(b *testing.B) {
	for name, headers := range map[string]map[string]string{
		"plain":  {},
		"traced": {"X-Request-Id": "abc-1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"gzip":   {"Accept-Encoding": "gzip"},
	} {
		b.Run(name, func(b *testing.B) {
			s := benchServer(b, get("/trades/{exchange}/{symbol}", func(w http.ResponseWriter, _ *http.Request) error {
				_, err := w.Write([]byte("{}"))
				return err
			}))
			r := httptest.NewRequest("GET", "/trades/binance/BTC-USDT", nil)
			for k, v := range headers {
				r.Header.Set(k, v)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkBare is the same handler on net/http's own terms, for comparison.
func BenchmarkBare(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) })
	r := httptest.NewRequest("GET", "/trades/binance/BTC-USDT", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&discard{http.Header{}}, r)
	}
}

func benchServer(b *testing.B, routes ...chassis.Route) *chassis.Server {
	b.Helper()
	registry := prometheus.NewRegistry()
	s, err := chassis.New(chassis.Options{Service: "bench", Listen: "127.0.0.1:0", Config: chassis.DefaultConfig(),
		Logger: zap.NewNop(), Registerer: registry, Gatherer: registry})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Handle(routes...); err != nil {
		b.Fatal(err)
	}
	if err := s.Seal(); err != nil {
		b.Fatal(err)
	}
	return s
}

const tradeBody = `{"timestamp":"2024-02-29T12:00:00.123Z","symbol":"BTC-USDT","exchange":"binance","price":"62345.10","amount":0.015,"side":"buy","trade_id":"3456789012"}`

func BenchmarkDecodeJSON(b *testing.B) {
	type trade struct {
		Timestamp string `json:"timestamp" required:"true"`
		Symbol    string `json:"symbol" required:"true"`
		Exchange  string `json:"exchange" required:"true"`
		Price     price  `json:"price" required:"true"`
		Amount    price  `json:"amount" required:"true"`
		Side      string `json:"side" enum:"buy,sell"`
		TradeID   string `json:"trade_id"`
	}
	data := []byte(tradeBody)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var t trade
		if err := chassis.DecodeJSON(data, &t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckJSON(b *testing.B) {
	data := []byte("[" + strings.Repeat(tradeBody+",", 999) + tradeBody + "]")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := chassis.CheckJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	s := benchServer(b, get("/rows", func(w http.ResponseWriter, r *http.Request) error {
		lines := chassis.NewLines(w, r)
		defer lines.Release()
		row := []byte(tradeBody)
		for range 1000 {
			if err := lines.WriteRaw(row); err != nil {
				return err
			}
		}
		return lines.Close(nil)
	}))
	r := httptest.NewRequest("GET", "/rows", nil)
	b.SetBytes(1000 * int64(len(tradeBody)))
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(&discard{http.Header{}}, r)
	}
}
