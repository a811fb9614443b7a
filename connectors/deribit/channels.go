package deribit

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// resolutions are the candles that Deribit makes, ours and its words for them.
// https://docs.deribit.com/subscriptions/market-data/charttradesinstrument_nameresolution
var resolutions = []struct {
	interval, resolution string
	length               time.Duration
}{
	{"1m", "1", time.Minute},
	{"3m", "3", 3 * time.Minute},
	{"5m", "5", 5 * time.Minute},
	{"10m", "10", 10 * time.Minute},
	{"15m", "15", 15 * time.Minute},
	{"30m", "30", 30 * time.Minute},
	{"1h", "60", time.Hour},
	{"2h", "120", 2 * time.Hour},
	{"3h", "180", 3 * time.Hour},
	{"6h", "360", 6 * time.Hour},
	{"12h", "720", 12 * time.Hour},
	{"1d", "1D", 24 * time.Hour},
}

func intervals() []string {
	out := make([]string, len(resolutions))
	for i, r := range resolutions {
		out[i] = r.interval
	}
	return out
}

// resolutionOf is Deribit's word for an interval; "" for one that it has not.
func resolutionOf(interval string) string {
	for _, r := range resolutions {
		if r.interval == interval {
			return r.resolution
		}
	}
	return ""
}

// family is what the first part of a channel's name says of its content.
type family uint8

const (
	noFamily family = iota
	trades
	book
	ticker
	quote
	chart
	volatilityIndex
	priceIndex
)

// line is a row of the channel table: what the rest of the program sees, and
// how Deribit names it.
type line struct {
	connectors.Channel
	family family
	// suffix follows the instrument in the channel's name: ".100ms".
	suffix string
}

// The names of the channels.
const (
	chTrade           = "trade"
	chBook            = "book"
	chQuote           = "quote"
	chTicker          = "ticker"
	chCandle          = "candle_" // and the interval
	chVolatilityIndex = "volatility_index"
	chPriceIndex      = "price_index"
)

// patience is how long the channels of a market may be silent. A ticker comes
// whenever its index moves, which is every second or so; trades and books of most
// instruments are silent for hours.
var patience = map[market.Market]struct{ trade, book, ticker time.Duration }{
	market.Spot:      {0, 0, 5 * time.Minute},
	market.Perpetual: {0, 5 * time.Minute, time.Minute},
	market.Future:    {0, 10 * time.Minute, 2 * time.Minute},
	market.Option:    {0, 0, 10 * time.Minute},
}

// lines is the channel table of a market under its settings.
func lines(m market.Market, cfg connectors.MarketConfig) []line {
	speed, _ := depthInterval(cfg.DepthSpeed)
	limit := patience[m]
	trade := []market.Kind{market.KindTrade}
	tick := []market.Kind{market.KindTicker, market.KindMarkPrice, market.KindIndexPrice}
	if m != market.Spot {
		trade = append(trade, market.KindLiquidation)
		tick = append(tick, market.KindOpenInterest)
	}
	if m == market.Perpetual {
		tick = append(tick, market.KindFunding)
	}
	table := []line{
		{family: trades, suffix: ".100ms", Channel: connectors.Channel{
			Name: chTrade, Kinds: trade, Proof: connectors.BySequence, Silence: limit.trade}},
		{family: book, suffix: "." + speed, Channel: connectors.Channel{
			Name: chBook, Kinds: []market.Kind{market.KindBookDelta, market.KindBookSnapshot, market.KindBookTop},
			Proof: connectors.BySequence, Snapshot: connectors.SnapshotInStream, Silence: limit.book}},
		{family: quote, Channel: connectors.Channel{
			Name: chQuote, Kinds: []market.Kind{market.KindBookTicker}, Silence: limit.book}},
		{family: ticker, suffix: ".100ms", Channel: connectors.Channel{Name: chTicker, Kinds: tick, Silence: limit.ticker}},
	}
	for _, r := range resolutions {
		if slices.Contains(cfg.Intervals, r.interval) {
			// An interval without a trade gives a candle too, when it ends.
			table = append(table, line{family: chart, suffix: "." + r.resolution, Channel: connectors.Channel{
				Name: chCandle + r.interval, Kinds: []market.Kind{market.KindCandle}, Silence: 10*time.Minute + 2*r.length}})
		}
	}
	if m == market.Perpetual {
		// Only some currencies have a volatility index: the others stay silent.
		table = append(table,
			line{family: volatilityIndex, Channel: connectors.Channel{
				Name: chVolatilityIndex, Kinds: []market.Kind{market.KindVolatilityIndex}}},
			line{family: priceIndex, Channel: connectors.Channel{
				Name: chPriceIndex, Kinds: []market.Kind{market.KindIndexPrice}, Optional: true}})
	}
	for i := range table {
		c := &table[i].Channel
		if d, ok := cfg.Watchdog.Silence[c.Name]; ok {
			c.Silence = d
		}
		if !cfg.Watchdog.Enabled {
			c.Silence = 0
		}
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

// rowOf is the row of a family, for a chart that with the interval; -1 when the
// table has none.
func rowOf(table []line, f family, interval string) int {
	return slices.IndexFunc(table, func(l line) bool {
		return l.family == f && (f != chart || l.Name == chCandle+interval)
	})
}
