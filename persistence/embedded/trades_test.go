package embedded

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

var btc = &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

// capturedTrades reads the trades of a capture, as a connector would record them.
func capturedTrades(t testing.TB, name string) []market.Trade {
	t.Helper()
	dir := os.Getenv("MARKETPRISM_CAPTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "captures")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		if os.Getenv("MARKETPRISM_REQUIRE_CAPTURES") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no captured trades: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var trades []market.Trade
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(`@trade`)) {
			continue
		}
		var frame struct {
			TS   int64
			Conn int64
			Body string
		}
		var body struct {
			Data struct {
				Event string          `json:"e"`
				Time  int64           `json:"T"`
				Sent  int64           `json:"E"`
				ID    int64           `json:"t"`
				Price json.RawMessage `json:"p"`
				Size  json.RawMessage `json:"q"`
				Maker bool            `json:"m"`
				Best  bool            `json:"M"` // keeps it from being taken for m
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &frame); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(frame.Body), &body); err != nil || body.Data.Event != "trade" {
			continue
		}
		d := &body.Data
		trade := market.Trade{ID: market.NumID(d.ID), Side: market.Buy}
		trade.Instrument, trade.ExchangeTime, trade.ReceiveTime = btc, d.Time*1e6, frame.TS
		trade.Seq, trade.Conn, trade.Epoch = market.Int(d.ID), frame.Conn, 1
		if d.Maker {
			trade.Side = market.Sell
		}
		for _, x := range []struct {
			to   *market.Decimal
			from json.RawMessage
		}{{&trade.Price, d.Price}, {&trade.Amount, d.Size}} {
			if err := x.to.UnmarshalJSON(x.from); err != nil {
				t.Fatal(err)
			}
		}
		market.Stamp(&trade)
		trades = append(trades, trade)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(trades) < 1000 {
		t.Fatalf("only %d trades in %s", len(trades), name)
	}
	return trades
}

const (
	spotCapture = "binance-spot/btcusdt_20240808.ndjson.gz"
	usdmCapture = "binance-usdm/btcusdt_20240808.ndjson.gz"
)

// tape repeats captured trades without end, later each time round.
type tape struct {
	trades []market.Trade
	at     int
	rounds int64
	span   int64 // ns from one round to the next
	ids    int64
}

func newTape(trades []market.Trade) *tape {
	first, last := &trades[0], &trades[len(trades)-1]
	a, _ := first.ID.Num()
	b, _ := last.ID.Num()
	return &tape{trades: trades, span: last.TS - first.TS + 1e6, ids: b - a + 1}
}

// fill appends n trades to a batch.
func (t *tape) fill(b *market.Batch, n int) {
	for range n {
		r := market.Add[market.Trade](b)
		*r = t.trades[t.at]
		shift := t.rounds * t.span
		id, _ := r.ID.Num()
		r.ID = market.NumID(id + t.rounds*t.ids)
		r.Seq.V += t.rounds * t.ids
		r.TS += shift
		r.ExchangeTime += shift
		r.ReceiveTime += shift
		if t.at++; t.at == len(t.trades) {
			t.at, t.rounds = 0, t.rounds+1
		}
	}
}
