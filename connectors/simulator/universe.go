package simulator

import (
	"cmp"
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// universe lists n instruments of a market: of the built-in table those that the
// world trades most, then made-up ones.
func universe(v *connectors.Venue, sim *Simulation, n int, now time.Time) []*market.Instrument {
	var list []*market.Instrument
	for _, i := range v.Builtin().All() {
		if i.Trading && (i.ExpiryTime == 0 || i.ExpiryTime > now.UnixNano()) {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(a, b *market.Instrument) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Symbol, b.Symbol))
	})
	list = list[:min(n, len(list))]
	for k := 0; len(list) < n && sim.Generate != nil; k++ {
		i := sim.Generate(v.Market, k)
		if i == nil {
			break
		}
		list = append(list, i)
	}
	return list
}

// ranking is the order in which instruments are taken, by base and by quote.
var ranking = struct{ base, quote []string }{
	base:  []string{"BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "TRX", "AVAX", "LINK"},
	quote: []string{"USDT", "USD", "USDC"},
}

func rank(i *market.Instrument) int {
	place := func(list []string, s string) int {
		if at := slices.Index(list, s); at >= 0 {
			return at
		}
		return len(list)
	}
	return place(ranking.quote, i.Quote)*100 + place(ranking.base, i.Base)
}

// complete is the instrument as the exchange lists it, with tick and step.
func complete(i *market.Instrument, s Shape) *market.Instrument {
	own := *i
	own.PriceTick, own.AmountStep, own.Trading = s.PriceTick, s.AmountStep, true
	return &own
}
