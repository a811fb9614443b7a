package deribit

import (
	"strconv"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/market"
)

// traffic is a minute's worth of frames of our own making: a trade a frame, a
// book change of four levels, quotes.
func traffic() [][]byte {
	var out [][]byte
	add := func(channel, data string) {
		out = append(out, []byte(`{"jsonrpc":"2.0","method":"subscription","params":{"channel":"`+channel+`","data":`+data+`}}`))
	}
	for i := range 600 {
		n := strconv.Itoa(100 + i)
		at := `"timestamp":1795000000` + n
		add("trades.BTC-PERPETUAL.100ms", `[{"trade_seq":300000`+n+`,"trade_id":"260000`+n+`",`+at+
			`,"tick_direction":1,"price":60001.5,"mark_price":60001.55,"instrument_name":"BTC-PERPETUAL","index_price":60002.11,"direction":"buy","contracts":2.0,"amount":20.0}]`)
		add("trades.ETH-PERPETUAL.100ms", `[{"trade_seq":300000`+n+`,"trade_id":"ETH-260000`+n+`",`+at+
			`,"tick_direction":1,"price":2500.15,"mark_price":2500.55,"instrument_name":"ETH-PERPETUAL","index_price":2501.11,"direction":"sell","contracts":2.0,"amount":20.0}]`)
		add("book.BTC-PERPETUAL.100ms", `{"type":"change",`+at+`,"prev_change_id":70000000`+n+`,"instrument_name":"BTC-PERPETUAL","change_id":70000001`+n+
			`,"bids":[["change",60000.5,124990.0],["new",59998.0,30.0]],"asks":[["delete",60010.5,0.0],["change",60012.0,4560.0]]}`)
		add("quote.BTC-PERPETUAL", `{`+at+`,"instrument_name":"BTC-PERPETUAL","best_bid_price":60000.5,"best_bid_amount":125000.0,"best_ask_price":60001.0,"best_ask_amount":20.0}`)
		add("ticker.BTC-PERPETUAL.100ms", `{`+at+`,"stats":{"volume_usd":512345670.0,"volume_notional":512345670.0,"volume":8543.21098765,"price_change":-1.2345,"low":59000.0,"high":61500.5},"state":"open","settlement_price":60500.12,"open_interest":1234567890.0,"min_price":59100.0,"max_price":60900.0,"mark_price":60001.55,"last_price":60001.0,"interest_value":1.5E-4,"instrument_name":"BTC-PERPETUAL","index_price":60002.11,"funding_8h":1.234E-5,"estimated_delivery_price":60002.11,"current_funding":-2.5e-7,"best_bid_price":60000.5,"best_bid_amount":125000.0,"best_ask_price":60001.0,"best_ask_amount":20.0}`)
	}
	return out
}

// BenchmarkDecode is whole frames to records: recorded ones of options, and ones
// of our own making for what nobody recorded.
func BenchmarkDecode(b *testing.B) {
	option := connectorstest.Venue(b, New(), market.Option)
	table, frames := connectorstest.Recorded(b, option, "deribit/part1")
	connectorstest.BenchDecode(b, "option", option, table, connectorstest.ByKind(b, option, table, frames))
	perpetual := connectorstest.Venue(b, New(), market.Perpetual)
	table = perpetual.Builtin()
	connectorstest.BenchDecode(b, "perpetual", perpetual, table, connectorstest.ByKind(b, perpetual, table, traffic()))
}

// TestFastPathIsTaken keeps the predicted forms in step with the exchange: if
// they fit recorded frames no longer, decoding is right but slow.
func TestFastPathIsTaken(t *testing.T) {
	v := connectorstest.Venue(t, New(), market.Option)
	table, frames := connectorstest.Recorded(t, v, "deribit/part1")
	d := v.NewDecoder(table).(*decoder)
	var batch market.Batch
	taken := 0
	for range 2 { // the first time a channel's name is learned
		taken = 0
		for _, f := range frames {
			batch.Reset()
			if _, ok := d.fast(f, connectors.Receipt{}, &batch); ok {
				taken++
				continue
			}
			batch.Reset()
			if _, err := d.Decode(f, connectors.Receipt{}, &batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := len(frames) - 1; taken != want { // but for the answer to the subscription
		t.Errorf("%d of %d frames have the predicted form", taken, want)
	}
}

// FuzzTwoWays: what the fast path takes, the slow one decodes alike.
func FuzzTwoWays(f *testing.F) {
	v := connectorstest.Venue(f, New(), market.Perpetual)
	table := v.Builtin()
	teach := traffic()[:5]
	for _, frame := range append(connectorstest.Frames(f, "perpetual"), teach...) {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var taught market.Batch
		d := v.NewDecoder(table).(*decoder)
		for _, one := range teach {
			if _, err := d.Decode(one, connectors.Receipt{}, &taught); err != nil {
				t.Fatal(err)
			}
		}
		connectorstest.SameWay(t, frame, func(out *market.Batch) (connectors.Note, bool) {
			return d.fast(frame, connectors.Receipt{}, out)
		}, func(out *market.Batch) (connectors.Note, error) {
			note := d.envelope(message{frame: frame, out: out})
			return note, d.s.Err()
		})
	})
}
