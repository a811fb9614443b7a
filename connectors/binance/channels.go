package binance

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// intervals are the candles that Binance makes; a candle's Interval is always
// one of these strings.
var intervals = []string{"1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"}

// line is a row of the channel table: what the rest of the program sees, and
// how Binance names it.
type line struct {
	connectors.Channel
	// suffix is the stream's name after the symbol: "depth@100ms".
	suffix string
	// group is the path that serves it on USD-M: "public" or "market".
	group string
	// path is the REST path of a polled channel, ratioKind what it means.
	path, ratioKind string
}

// The names of the channels.
const (
	chTrade       = "trade"
	chAggTrade    = "agg_trade"
	chDepth       = "depth"
	chBookTicker  = "book_ticker"
	chTicker      = "ticker"
	chCandle      = "candle_" // and the interval
	chMarkPrice   = "mark_price"
	chLiquidation = "liquidation"
)

// lines is the channel table of a market under its settings. Silence is set for
// pairs that trade daily; Binance sends nothing while nothing changes.
func (p product) lines(m market.Market, cfg connectors.MarketConfig) []line {
	depth, _ := p.depthSuffix(cfg.DepthSpeed)
	table := []line{
		{suffix: "trade", group: "public", Channel: connectors.Channel{
			Name: chTrade, Kinds: []market.Kind{market.KindTrade}, Proof: connectors.BySequence, Silence: 10 * time.Minute}},
		{suffix: "aggTrade", group: "market", Channel: connectors.Channel{
			Name: chAggTrade, Kinds: []market.Kind{market.KindTrade}, Proof: connectors.BySequence, Silence: 10 * time.Minute, Optional: true}},
		{suffix: depth, group: "public", Channel: connectors.Channel{
			Name: chDepth, Kinds: []market.Kind{market.KindBookDelta, market.KindBookSnapshot, market.KindBookTop},
			Proof: connectors.BySequence, Snapshot: connectors.SnapshotByREST, Silence: time.Minute}},
		{suffix: "bookTicker", group: "public", Channel: connectors.Channel{
			Name: chBookTicker, Kinds: []market.Kind{market.KindBookTicker}, Silence: 2 * time.Minute}},
		{suffix: "ticker", group: "market", Channel: connectors.Channel{
			Name: chTicker, Kinds: []market.Kind{market.KindTicker}, Silence: 2 * time.Minute}},
	}
	for _, i := range intervals {
		if slices.Contains(cfg.Intervals, i) {
			table = append(table, line{suffix: "kline_" + i, group: "market", Channel: connectors.Channel{
				Name: chCandle + i, Kinds: []market.Kind{market.KindCandle}, Silence: 10 * time.Minute}})
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
	mark := []market.Kind{market.KindMarkPrice, market.KindIndexPrice}
	if m == market.Perpetual {
		mark = append(mark, market.KindFunding)
	}
	table := []line{
		{suffix: "markPrice@1s", group: "market", Channel: connectors.Channel{Name: chMarkPrice, Kinds: mark, Silence: 15 * time.Second}},
		// At most the latest of a symbol in a second.
		{suffix: "forceOrder", group: "market", Channel: connectors.Channel{
			Name: chLiquidation, Kinds: []market.Kind{market.KindLiquidation}, Lossy: true}},
		{path: "/fapi/v1/openInterest", Channel: connectors.Channel{
			Name: "open_interest", Kinds: []market.Kind{market.KindOpenInterest}, Poll: 15 * time.Second}},
	}
	if m != market.Perpetual {
		return table
	}
	for _, r := range []struct{ name, path, kind string }{
		{"long_short_accounts", "/futures/data/globalLongShortAccountRatio", "all_accounts"},
		{"long_short_top_accounts", "/futures/data/topLongShortAccountRatio", "top_accounts"},
		{"long_short_top_positions", "/futures/data/topLongShortPositionRatio", "top_positions"},
	} {
		table = append(table, line{path: r.path, ratioKind: r.kind, Channel: connectors.Channel{
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

// indexOf is the row of a channel; -1 when the table has none.
func indexOf(table []line, name string) int {
	return slices.IndexFunc(table, func(l line) bool { return l.Name == name })
}
