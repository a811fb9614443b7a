package okx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/connectors/okx"
	"github.com/marketprism/marketprism/internal/market"
)

var subject = connectorstest.Subject{
	Exchange: okx.New(),
	Golden: map[market.Market]string{
		market.Spot: "spot", market.Perpetual: "perpetual", market.Future: "future", market.Option: "option",
	},
	Captures: []connectorstest.Capture{
		{Market: market.Spot, Path: "okx/part1", Trades: true, Books: true, Shared: true},
		{Market: market.Perpetual, Path: "okx/part1", Trades: true, Books: true, Shared: true},
		{Market: market.Future, Path: "okx/part1", Trades: true, Books: true, Shared: true},
	},
}

func TestSuite(t *testing.T) { connectorstest.Run(t, subject) }

func TestAllocDecode(t *testing.T) { connectorstest.Alloc(t, subject) }

func FuzzSpot(f *testing.F) {
	connectorstest.FuzzDecoder(f, subject.Venue(f, market.Spot), connectorstest.Frames(f, "spot"))
}

func FuzzPerpetual(f *testing.F) {
	connectorstest.FuzzDecoder(f, subject.Venue(f, market.Perpetual), connectorstest.Frames(f, "perpetual"))
}

func delta(prev, seq int64) *market.BookDelta {
	return &market.BookDelta{Header: market.Header{Seq: market.Int(seq), PrevSeq: market.Int(prev)}}
}

func TestSequence(t *testing.T) {
	rule := okx.Sequence{}
	for _, tc := range []struct {
		name  string
		last  int64
		delta *market.BookDelta
		want  market.Continuity
	}{
		{"follows", 10, delta(10, 15), market.Next},
		{"follows with a jump", 10, delta(10, 9999), market.Next},
		{"keepalive", 15, delta(15, 15), market.Next},
		{"ids begin anew", 15, delta(15, 3), market.Next},
		{"after they have", 3, delta(3, 5), market.Next},
		{"ids begin at zero", 15, delta(15, 0), market.Next},
		{"twice", 15, delta(10, 15), market.Old},
		{"one is missing", 15, delta(20, 25), market.Hole},
		{"an id that is one more proves nothing", 15, delta(14, 16), market.Hole},
		{"an older one", 15, delta(5, 10), market.Hole},
		{"the change at which ids began anew is missing", 1000, delta(3, 5), market.Hole},
		{"spans the last", 15, delta(10, 20), market.Hole},
		{"no previous id", 15, &market.BookDelta{Header: market.Header{Seq: market.Int(16)}}, market.Hole},
		{"no ids", 15, &market.BookDelta{}, market.Hole},
		{"no ids, but a checksum", 0, &market.BookDelta{Checksum: market.Int(-7)}, market.Next},
		{"ids and a checksum", 15, &market.BookDelta{
			Header: market.Header{Seq: market.Int(30), PrevSeq: market.Int(20)}, Checksum: market.Int(-7)}, market.Hole},
	} {
		if got := rule.Follow(tc.last, tc.delta); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if got := rule.Splice(tc.last, tc.delta); got != tc.want {
			t.Errorf("%s, after a snapshot: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func level(price, amount string) market.Level {
	return market.Level{Price: market.MustDecimal(price), Amount: market.MustDecimal(amount)}
}

// TestChecksum: the sums were taken by another program from the text beside them.
func TestChecksum(t *testing.T) {
	base := &market.Instrument{Market: market.Spot}
	hundred := &market.Instrument{Market: market.Perpetual, ContractSize: market.MustDecimal("100")}
	hundredth := &market.Instrument{Market: market.Perpetual, ContractSize: market.MustDecimal("0.01")}
	for _, tc := range []struct {
		name       string
		inst       *market.Instrument
		bids, asks []market.Level
		text       string
	}{
		{"nothing", base, nil, nil, ""},
		{"both sides", base, []market.Level{level("3366.1", "7"), level("3366", "6.50")}, []market.Level{level("3366.8", "9"), level("3368", "8")},
			"3366.1:7:3366.8:9:3366:6.50:3368:8"},
		{"a side that ends", base, []market.Level{level("3366.1", "7")}, []market.Level{level("3366.8", "9"), level("3368", "8"), level("3372", "8")},
			"3366.1:7:3366.8:9:3368:8:3372:8"},
		{"contracts of 100", hundred, []market.Level{level("3366.1", "700")}, nil, "3366.1:7"},
		{"contracts of a hundredth", hundredth, []market.Level{level("3366.1", "0.0750")}, nil, "3366.1:7.50"},
		{"beyond 64 bits", hundredth, []market.Level{level("3366.1", "123456789012345678901.2345")}, nil, "3366.1:12345678901234567890123.45"},
	} {
		want := okx.Sum(tc.text)
		if got := (okx.Sequence{}).Checksum(tc.inst, tc.bids, tc.asks); got != want {
			t.Errorf("%s: %d, want %d", tc.name, got, want)
		}
	}
	if got := okx.Sum("3366.1:7:3366.8:9:3366:6:3368:8"); got != -1881014294 {
		t.Errorf("the exchange's own example: %d", got)
	}
}

func TestTopicsAreShared(t *testing.T) {
	v := subject.Venue(t, market.Perpetual)
	wire := v.Wire.(connectors.Sharing)
	table := v.Builtin()
	topics := map[string]int{}
	for _, i := range table.All() {
		for c := range v.Channels {
			if v.Channels[c].Poll == 0 {
				topics[wire.Topic(connectors.Subscription{Channel: c, Instrument: i})]++
			}
		}
	}
	if n := topics["liquidation-orders:SWAP"]; n != len(table.All()) {
		t.Errorf("%d of %d instruments share the liquidations", n, len(table.All()))
	}
	for _, topic := range []string{"books:BTC-USDT-SWAP", "index-tickers:BTC-USD", "candle1m:ETH-USD-SWAP"} {
		if topics[topic] == 0 {
			t.Errorf("no topic %s in %v", topic, topics)
		}
	}
}

func TestBooksOnAConnection(t *testing.T) {
	v := subject.Venue(t, market.Spot)
	var subs []connectors.Subscription
	for n := range 100 {
		i := &market.Instrument{Exchange: "okx", Symbol: "C" + strings.Repeat("X", n) + "-USDT", Native: "C" + strings.Repeat("X", n) + "-USDT"}
		subs = append(subs, connectors.Subscription{Channel: v.ChannelIndex("books"), Instrument: i})
	}
	for _, c := range v.Wire.Plan(subs) {
		if len(c.Subs) >= 30 {
			t.Errorf("%d books on a connection", len(c.Subs))
		}
	}
	for _, d := range v.Wire.Subscribe(7, subs) {
		if len(d.Body) > 64<<10 || len(d.Topics) != len(d.Subs) || d.ID != 7 {
			t.Errorf("demand %d: %d bytes, %d topics, %d subscriptions", d.ID, len(d.Body), len(d.Topics), len(d.Subs))
		}
	}
}

func TestVolumes(t *testing.T) {
	for _, tc := range []struct {
		market market.Market
		body   string
		want   map[string]float64
	}{
		{market.Spot, `{"code":"0","data":[
			{"instId":"BTC-USDT","last":"70000","volCcy24h":"1000"},{"instId":"ETH-BTC","last":"0.05","volCcy24h":"2"},
			{"instId":"USDT-TRY","last":"40","volCcy24h":"4000"},{"instId":"BTC-TRY","last":"1","volCcy24h":"400"},
			{"instId":"A-B","last":"1","volCcy24h":"9"},{"instId":"NEW-USDT","last":"","volCcy24h":""}]}`,
			map[string]float64{"BTC-USDT": 1000, "ETH-BTC": 140000, "USDT-TRY": 100, "BTC-TRY": 10, "A-B": 0, "NEW-USDT": 0}},
		{market.Perpetual, `{"code":"0","data":[{"instId":"BTC-USD-SWAP","last":"70000","volCcy24h":"2"}]}`, map[string]float64{"BTC-USD-SWAP": 140000}},
		{market.Option, `{"code":"0","data":[{"instId":"BTC-USD-261225-100000-C","last":"0.03","volCcy24h":"2"}]}`,
			map[string]float64{"BTC-USD-261225-100000-C": 200000}},
	} {
		list, err := subject.Venue(t, tc.market).REST.(connectors.Ranked).Volumes([]byte(tc.body))
		if err != nil || len(list) != len(tc.want) {
			t.Errorf("%s: %v, %v", tc.market, list, err)
		}
		for _, v := range list {
			if want, ok := tc.want[v.Native]; !ok || v.Turnover != want {
				t.Errorf("%s: %s is %v, want %v", tc.market, v.Native, v.Turnover, want)
			}
		}
	}
}

func TestInstruments(t *testing.T) {
	for _, tc := range []struct {
		market                               market.Market
		native, symbol, settle, size, amount string
	}{
		{market.Spot, "BTC-USDT", "BTC-USDT", "", "", "0.00000001"},
		{market.Perpetual, "BTC-USDT-SWAP", "BTC-USDT", "USDT", "0.01", "0.0001"},
		{market.Perpetual, "BTC-USD-SWAP", "BTC-USD", "BTC", "100", "100"},
		{market.Future, "BTC-USD-261225", "BTC-USD-20261225", "BTC", "100", "100"},
		{market.Option, "BTC-USD-261225-100000-C", "BTC-USD-20261225-100000-C", "BTC", "0.01", "0.01"},
	} {
		i, ok := subject.Venue(t, tc.market).Builtin().Native([]byte(tc.native))
		if !ok || i.Symbol != tc.symbol || i.Settle != tc.settle || i.ContractSize.String() != tc.size || i.AmountStep.String() != tc.amount {
			t.Errorf("%s: %+v", tc.native, i)
		}
	}
}

func TestFamiliesOfOptions(t *testing.T) {
	cfg := okx.New().DefaultConfig().Markets["option"]
	cfg.Symbols = []string{"btc-usd-*", "XRP-USD-20261225-3-C", "*-USD-*", "DOGE"}
	v, err := okx.New().Venue(market.Option, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for part := range v.REST.(connectors.Parted).Parts(connectors.NeedInstruments) {
		req, err := v.REST.Request(connectors.Need{Kind: connectors.NeedInstruments, Part: part})
		if err != nil {
			t.Fatal(err)
		}
		_, family, _ := strings.Cut(req.URL, "instFamily=")
		asked = append(asked, family)
	}
	if want := []string{"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"}; !slices.Equal(asked, want) {
		t.Errorf("%v, want %v", asked, want)
	}
}

func TestThrottled(t *testing.T) {
	rest := subject.Venue(t, market.Spot).REST.(connectors.Throttling)
	for body, want := range map[string]bool{
		`{"msg":"Too Many Requests","code":"50011"}`:            true,
		`{"code":"50011","data":[],"msg":"Too Many Requests"}`:  true,
		`{"code":"0","data":[],"msg":"50011"}`:                  false,
		`{"code":"51001","data":[],"msg":"no such instrument"}`: false,
		`{"code":"50011"`:                                          false,
		`<html>429 Too Many Requests</html>`:                       false,
		`{"code":"50011","x":"` + strings.Repeat("x", 2000) + `"}`: false,
	} {
		if got := rest.Throttled([]byte(body)); got != want {
			t.Errorf("%.80s: %v", body, got)
		}
	}
}
