package okx

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// interval is a candle's interval in our words and in OKX's.
type interval struct{ name, okx string }

// intervals are the candles that OKX makes. Without "utc" the longer ones begin at
// midnight of Hong Kong.
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-candlesticks-channel
var intervals = []interval{
	{"1s", "1s"}, {"1m", "1m"}, {"3m", "3m"}, {"5m", "5m"}, {"15m", "15m"}, {"30m", "30m"},
	{"1h", "1H"}, {"2h", "2H"}, {"4h", "4H"}, {"6h", "6Hutc"}, {"12h", "12Hutc"},
	{"1d", "1Dutc"}, {"2d", "2Dutc"}, {"3d", "3Dutc"}, {"5d", "5Dutc"},
	{"1w", "1Wutc"}, {"1M", "1Mutc"}, {"3M", "3Mutc"},
}

func intervalNames() []string {
	names := make([]string, len(intervals))
	for i := range intervals {
		names[i] = intervals[i].name
	}
	return names
}

// line is a row of the channel table: what the rest of the program sees, and
// how OKX names it.
type line struct {
	connectors.Channel
	// channel is OKX's name: "books".
	channel string
	// path is the endpoint: "public" or "business".
	path string
	// about is what the channel is subscribed by.
	about about
	// interval of candles.
	interval string
	// call is the REST path of a polled channel, ratioKind what it means.
	call, ratioKind string
}

// about is what a topic names beside its channel.
type about uint8

const (
	// byInstrument: instId.
	byInstrument about = iota
	// byIndex: the instId of an index.
	byIndex
	// byType: the instType; the frames are of all instruments.
	byType
)

// The endpoints.
const (
	public   = "public"
	business = "business"
)

// lines is the channel table of a market under its settings. OKX repeats books and
// quotes that have not changed every minute; trades, and what comes of them, may be
// absent for long where little is traded.
func lines(m market.Market, cfg connectors.MarketConfig) []line {
	often := 10 * time.Minute
	if m == market.Future || m == market.Option {
		often = 0
	}
	table := []line{
		{channel: "trades-all", path: business, Channel: connectors.Channel{
			Name: "trades_all", Kinds: []market.Kind{market.KindTrade}, Proof: connectors.BySequence, Silence: often}},
		// Several fills of one order at one price are one record here.
		{channel: "trades", path: public, Channel: connectors.Channel{
			Name: "trades", Kinds: []market.Kind{market.KindTrade}, Proof: connectors.BySequence, Silence: often, Optional: true}},
		{channel: "books", path: public, Channel: connectors.Channel{
			Name: "books", Kinds: []market.Kind{market.KindBookDelta, market.KindBookSnapshot, market.KindBookTop},
			Proof: connectors.BySequence, Snapshot: connectors.SnapshotInStream, Silence: 3 * time.Minute}},
		{channel: "bbo-tbt", path: public, Channel: connectors.Channel{
			Name: "book_ticker", Kinds: []market.Kind{market.KindBookTicker}, Silence: 3 * time.Minute}},
		{channel: "tickers", path: public, Channel: connectors.Channel{
			Name: "ticker", Kinds: []market.Kind{market.KindTicker}, Silence: often}},
	}
	for _, i := range intervals {
		if slices.Contains(cfg.Intervals, i.name) {
			table = append(table, line{channel: "candle" + i.okx, path: business, interval: i.name, Channel: connectors.Channel{
				Name: "candle_" + i.name, Kinds: []market.Kind{market.KindCandle}, Silence: often}})
		}
	}
	if m != market.Spot {
		table = append(table, derivativeLines(m)...)
	}
	for i := range table {
		c := &table[i].Channel
		if c.Poll > 0 && cfg.Poll > 0 {
			c.Poll = cfg.Poll
		}
		if d, ok := cfg.Watchdog.Silence[c.Name]; ok {
			c.Silence = d
		}
		if !cfg.Watchdog.Enabled {
			c.Silence = 0
		}
	}
	return table
}

func derivativeLines(m market.Market) []line {
	table := []line{
		{channel: "mark-price", path: public, Channel: connectors.Channel{
			Name: "mark_price", Kinds: []market.Kind{market.KindMarkPrice}, Silence: 2 * time.Minute}},
		{channel: "open-interest", path: public, Channel: connectors.Channel{
			Name: "open_interest", Kinds: []market.Kind{market.KindOpenInterest}, Silence: 10 * time.Minute}},
	}
	if m == market.Option {
		return table // hundreds of them share an index: it comes with the swap
	}
	table = append(table,
		line{channel: "index-tickers", path: public, about: byIndex, Channel: connectors.Channel{
			Name: "index_price", Kinds: []market.Kind{market.KindIndexPrice}, Silence: 3 * time.Minute}},
		// "This data doesn't represent the total number of liquidations on OKX."
		// https://www.okx.com/docs-v5/en/#public-data-websocket-liquidation-orders-channel
		line{channel: "liquidation-orders", path: public, about: byType, Channel: connectors.Channel{
			Name: "liquidation", Kinds: []market.Kind{market.KindLiquidation}, Lossy: true}})
	if m == market.Perpetual {
		table = append(table, line{channel: "funding-rate", path: public, Channel: connectors.Channel{
			Name: "funding", Kinds: []market.Kind{market.KindFunding}, Silence: 5 * time.Minute}})
	}
	for _, r := range []struct{ name, call, kind string }{
		{"long_short_accounts", "long-short-account-ratio-contract", "all_accounts"},
		{"long_short_top_accounts", "long-short-account-ratio-contract-top-trader", "top_accounts"},
		{"long_short_top_positions", "long-short-position-ratio-contract-top-trader", "top_positions"},
	} {
		table = append(table, line{call: "/api/v5/rubik/stat/contracts/" + r.call, ratioKind: r.kind, Channel: connectors.Channel{
			Name: r.name, Kinds: []market.Kind{market.KindLongShortRatio}, Poll: 5 * time.Minute}})
	}
	return table
}

func channelsOf(table []line) []connectors.Channel {
	out := make([]connectors.Channel, len(table))
	for i := range table {
		out[i] = table[i].Channel
	}
	return out
}

// indexName is the index of a derivative, in OKX's words: its pair. What follows
// an underscore tells contracts of different margin apart (BTC-USD_UM).
// https://www.okx.com/docs-v5/en/#public-data-websocket-index-tickers-channel
func indexName(i *market.Instrument) string {
	quote := i.Quote
	for n := range len(quote) {
		if quote[n] == '_' {
			quote = quote[:n]
			break
		}
	}
	return i.Base + "-" + quote
}
