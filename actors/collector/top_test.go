package collector

import (
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

func TestTopKeepsItsMembers(t *testing.T) {
	all := map[string]*market.Instrument{}
	list := func(names string) (out []*market.Instrument) {
		for _, n := range strings.Fields(names) {
			if all[n] == nil {
				all[n] = &market.Instrument{Symbol: n}
			}
			out = append(out, all[n])
		}
		return out
	}
	for _, tc := range []struct {
		name           string
		n              int
		ranked, before string
		want           string
	}{
		{"at first", 4, "A B C D E F", "", "A B C D"},
		{"fewer than wanted", 4, "A B", "", "A B"},
		{"neighbours change places", 4, "A B C E D F", "A B C D", "A B C D"},
		{"one falls below", 4, "A B C E F D", "A B C D", "A B C E"},
		{"one is gone", 4, "A B D E", "A B C D", "A B D E"},
		{"the number shrinks", 2, "B A C D", "A B C D", "B A"},
		{"the number grows", 5, "A B C D E F", "A B", "A B C D E"},
		{"one of one", 1, "B A", "A", "B"}, // a quarter of one is none
	} {
		got := ""
		for _, i := range topOf(tc.n, list(tc.ranked), list(tc.before)) {
			got += " " + i.Symbol
		}
		if strings.TrimSpace(got) != tc.want {
			t.Errorf("%s: got%s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestRankComparesQuotes(t *testing.T) {
	var listed []*market.Instrument
	for _, s := range []string{"BTC-USDT", "BTC-TRY", "USDT-TRY", "ETH-BTC", "DOGE-XYZ"} {
		base, quote, _ := strings.Cut(s, "-")
		listed = append(listed, &market.Instrument{Symbol: s, Native: base + quote, Base: base, Quote: quote})
	}
	got := rank([]connectors.Volume{
		{Native: "BTCTRY", Turnover: 40_000_000, Price: 2_000_000}, // 1 million dollars
		{Native: "BTCUSDT", Turnover: 9_000_000, Price: 50_000},
		{Native: "USDTTRY", Turnover: 8_000_000, Price: 40},    // 200,000
		{Native: "ETHBTC", Turnover: 100, Price: .05},          // 5 million
		{Native: "DOGEXYZ", Turnover: 1_000_000_000, Price: 7}, // nobody knows
		{Native: "NEW", Turnover: 3_000_000},                   // in the market's unit
	}, listed)
	if want := []string{"BTCUSDT", "ETHBTC", "NEW", "BTCTRY", "USDTTRY", "DOGEXYZ"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
