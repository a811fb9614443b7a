package deribit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// chartFrame is a notification of a candle of a minute.
func chartFrame(minute int64, price string) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"chart.trades.BTC-PERPETUAL.1","data":`+
		`{"volume":0.5,"tick":%d,"open":100.5,"low":99,"high":%s,"cost":50,"close":%s}}}`, minute*60_000, price, price)
}

// A candle is given once more, as closed, when the next one has begun on its
// connection; one that comes late is closed; one whose connection was lost in between
// is not, and a frame that breaks off counts for nothing.
func TestCandlesAreClosedByTheNext(t *testing.T) {
	v := subject.Venue(t, market.Perpetual)
	d := v.NewDecoder(v.Builtin())
	for _, step := range []struct {
		name  string
		frame []byte
		conn  int64
		want  string // minute:close, and ! for closed
	}{
		{"the first", chartFrame(10, "101"), 1, "10:101"},
		{"a change", chartFrame(10, "102"), 1, "10:102"},
		{"broken off", chartFrame(11, "103")[:185], 1, ""},
		{"the next", chartFrame(11, "103"), 1, "10:102! 11:103"},
		{"late", chartFrame(10, "104"), 1, "10:104!"},
		{"two on", chartFrame(13, "105"), 1, "11:103! 13:105"},
		{"another connection", chartFrame(14, "106"), 2, "14:106"},
		{"the next of it", chartFrame(15, "107"), 2, "14:106! 15:107"},
	} {
		var out market.Batch
		_, err := d.Decode(step.frame, connectors.Receipt{Time: 7, Conn: step.conn}, &out)
		if (err != nil) != (step.want == "") {
			t.Fatalf("%s: %v", step.name, err)
		}
		var got []string
		for c := range market.Rows[market.Candle](&out) {
			text := fmt.Sprintf("%d:%s", c.OpenTime/60e9, c.Close)
			if c.Closed {
				text += "!"
			}
			got = append(got, text)
			if c.ReceiveTime != 7 || c.Conn != step.conn || c.Interval != "1m" || c.Open.String() != "100.5" {
				t.Errorf("%s: %+v", step.name, *c)
			}
		}
		if text := strings.Join(got, " "); text != step.want {
			t.Errorf("%s: got %q, want %q", step.name, text, step.want)
		}
	}
}

// Forced orders stand behind the trades that are fetched again.
func TestFetchedLiquidations(t *testing.T) {
	v := subject.Venue(t, market.Perpetual)
	i, ok := v.Builtin().Native([]byte("BTC-PERPETUAL"))
	if !ok {
		t.Fatal("no BTC-PERPETUAL")
	}
	trade := func(seq int, more string) string {
		return fmt.Sprintf(`{"trade_seq":%d,"trade_id":"%d","timestamp":1790000000000,"price":100.5,"amount":10,"direction":"sell"%s}`, seq, 1000+seq, more)
	}
	body := `{"jsonrpc":"2.0","result":{"trades":[` + strings.Join([]string{
		trade(4, `,"liquidation":"MT"`), trade(3, `,"liquidation":"M"`), trade(2, `,"liquidation":"T"`), trade(1, ""),
	}, ",") + `],"has_more":false}}`
	var out market.Batch
	req := connectors.Request{Need: connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: i, FromID: 1, ToID: 4}}
	if err := v.REST.Decode(req, []byte(body), connectors.Receipt{Time: 7}, &out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := range out.All() {
		switch r := r.(type) {
		case *market.Trade:
			got = append(got, fmt.Sprintf("t%d", r.Seq.V))
		case *market.Liquidation:
			got = append(got, fmt.Sprintf("l%d:%s", r.Seq.V, r.Side))
			if !r.Flags.Has(market.FlagBackfilled | market.FlagUnverifiable) {
				t.Errorf("%+v", *r)
			}
		}
	}
	if text, want := strings.Join(got, " "), "t1 t2 l2:sell t3 l3:buy t4 l4:sell l4:buy"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
