package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/http/chassis"
)

// raw asks and reads as far as there is something; err is how the body ended.
func raw(t *testing.T, s *chassis.Server, path string) (res *http.Response, body []byte, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/api/v1/storage/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	body, err = io.ReadAll(res.Body)
	return res, body, err
}

func openParquet(t *testing.T, body []byte) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatalf("%d bytes: %v", len(body), err)
	}
	return f
}

// TestParquet: an answer of any length is one file; limits and cursors hold for it too.
func TestParquet(t *testing.T) {
	s, m := serve(t)
	fill(m, 150_000)
	res, body, err := raw(t, s, "query/trade/binance/BTCUSDT?format=parquet")
	if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/vnd.apache.parquet" || res.Trailer.Get("X-Row-Count") != "150000" {
		t.Fatalf("%d %v %v, %v", res.StatusCode, res.Header, res.Trailer, err)
	}
	f := openParquet(t, body)
	if f.NumRows() != 150_000 || len(f.RowGroups()) != 2 {
		t.Errorf("%d rows in %d groups", f.NumRows(), len(f.RowGroups()))
	}
	if v, _ := f.Lookup("marketprism.symbol"); v != "BTC-USDT" {
		t.Errorf("it is of %q", v)
	}
	type row struct {
		TS    int64   `parquet:"ts_ns"`
		Price float64 `parquet:"price,optional"`
	}
	next, seen := "", int64(0)
	for {
		res, body, err := raw(t, s, "query/trade/binance/BTCUSDT?format=parquet&limit=70000&fields=price&cursor="+url.QueryEscape(next))
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%d %.300s %v", res.StatusCode, body, err)
		}
		rows, err := parquet.Read[row](bytes.NewReader(body), int64(len(body)))
		if err != nil || strconv.Itoa(len(rows)) != res.Trailer.Get("X-Row-Count") {
			t.Fatalf("%d rows, told %s: %v", len(rows), res.Trailer.Get("X-Row-Count"), err)
		}
		for _, r := range rows {
			if want := 1_723_118_400_000_000_000 + seen*1e6; r.TS != want || r.Price < 61837.63 {
				t.Fatalf("row %d is %+v, want %d", seen, r, want)
			}
			seen++
		}
		inside, _ := openParquet(t, body).Lookup("marketprism.next_cursor")
		if next = res.Trailer.Get("X-Next-Cursor"); next != inside {
			t.Errorf("the footer has the cursor %q, the trailer %q", inside, next)
		}
		if next == "" {
			break
		}
	}
	if seen != 150_000 {
		t.Errorf("%d rows in all pages", seen)
	}
	if res, body, err := raw(t, s, "query/trade/binance/ETHUSDT?format=parquet"); err != nil || res.StatusCode != 200 || openParquet(t, body).NumRows() != 0 {
		t.Errorf("of a listed instrument without rows: %d %v", res.StatusCode, err)
	}
	if a := get(t, s, "query/trade/binance/NOPE?format=parquet"); a.status != 404 {
		t.Errorf("of an instrument that nobody knows: %d", a.status)
	}
}

// TestCutOff: an answer that fails after it has begun is never taken for a whole one,
// in any format; one that fails before is a problem document.
func TestCutOff(t *testing.T) {
	for _, format := range []string{"json", "ndjson", "csv", "parquet"} {
		for _, stall := range []bool{false, true} {
			t.Run(fmt.Sprint(format, " stall=", stall), func(t *testing.T) {
				s, m := serve(t)
				rows := 20_000
				if format == "parquet" { // it begins with its first row group
					rows = 140_000
				}
				fill(m, rows)
				m.stall = stall
				m.breakAfter = rows/viewChunk - 1
				res, body, err := raw(t, s, "query/trade/binance/BTCUSDT?format="+format)
				if res.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("begun: %d, %d bytes, %v", res.StatusCode, len(body), err)
				}
				if res.Trailer.Get("X-Row-Count") != "" || res.Trailer.Get("X-Next-Cursor") != "" {
					t.Errorf("it says that it is complete: %v", res.Trailer)
				}
				if format == "json" && bytes.HasSuffix(bytes.TrimSpace(body), []byte("}")) && bytes.Contains(body, []byte(`"count"`)) {
					t.Error("it ends like a whole one")
				}
				if format == "parquet" {
					if _, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body))); err == nil {
						t.Error("it passes for a file")
					}
				}
				m.breakAfter = 1
				want, code := 500, "internal"
				if stall {
					want, code = 503, "deadline_exceeded"
				}
				a := get(t, s, "query/trade/binance/BTCUSDT?fields=price&format="+format)
				if p := problem(t, a); a.status != want || p.Code != code || strings.Contains(a.body, "disk") {
					t.Errorf("not begun: %d %.300s", a.status, a.body)
				}
			})
		}
	}
}

// TestServerTiming: a short answer says what it took in its head, a long one behind it.
func TestServerTiming(t *testing.T) {
	s, m := serve(t)
	fill(m, 50_000)
	for _, path := range []string{"query/trade/binance/BTCUSDT?limit=10", "query/trade/binance/BTCUSDT?limit=10&format=csv", "hot/trades/binance/BTCUSDT?limit=10", "cold/trades/binance/BTCUSDT?limit=10", "candles/binance/BTCUSDT?limit=10"} {
		a := get(t, s, path)
		if v := a.header.Get("Server-Timing"); !strings.Contains(v, "open;dur=") || !strings.Contains(v, "read;dur=") {
			t.Errorf("%s: %d, Server-Timing %q", path, a.status, v)
		}
	}
	for _, format := range []string{"json", "ndjson", "csv"} {
		res, _, err := raw(t, s, "query/trade/binance/BTCUSDT?format="+format)
		if v := res.Trailer.Get("Server-Timing"); err != nil || !strings.Contains(v, `desc="50000 rows"`) {
			t.Errorf("%s: trailer %q, %v", format, v, err)
		}
	}
}

// TestHead: nobody gets the rows, and none are read.
func TestHead(t *testing.T) {
	s, m := serve(t)
	fill(m, 10_000)
	for _, format := range []string{"json", "parquet"} {
		a := call(t, s, http.MethodHead, "/api/v1/storage/query/trade/binance/BTCUSDT?format="+format, "", "")
		if a.status != 200 || a.body != "" || !strings.Contains(a.header.Get("Content-Type"), format) {
			t.Errorf("%s: %d %v", format, a.status, a.header)
		}
	}
	if m.chunks != 0 {
		t.Errorf("%d chunks were read", m.chunks)
	}
}

// TestForgedCursor: whatever bytes a cursor has, the answer is a refusal or the list
// from some place on, in order.
func TestForgedCursor(t *testing.T) {
	s, m := serve(t)
	fill(m, 100)
	good := list(t, get(t, s, "query/trade/binance/BTCUSDT?limit=10")).NextCursor
	if good == "" {
		t.Fatal("no cursor")
	}
	for i := range good {
		forged := []byte(good)
		forged[i] ^= 1
		if a := get(t, s, "query/trade/binance/BTCUSDT?limit=10&cursor="+url.QueryEscape(string(forged))); a.status != 422 {
			// The last character's lowest bits carry nothing in base64.
			if i != len(good)-1 {
				t.Errorf("byte %d changed: %d", i, a.status)
			}
		}
	}
	for _, other := range []string{
		"query/trade/binance/BTCUSDT?limit=10&order=desc", "query/trade/binance/BTCUSDT?origin=collected", "query/trade/binance/BTCUSDT?tier=hot",
		"query/ticker/binance/BTCUSDT?limit=10", "query/trade/binance/BTCUSDT?market=perpetual", "candles/binance/BTCUSDT?limit=10", "cold/trades/binance/BTCUSDT?limit=10",
	} {
		if a := get(t, s, other+"&cursor="+url.QueryEscape(good)); a.status != 422 {
			t.Errorf("%s took the cursor of another list: %d", other, a.status)
		}
	}
}
