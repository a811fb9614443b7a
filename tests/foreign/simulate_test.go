package foreign

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// simulated is a simulated exchange as the library is led to it.
type simulated struct {
	exchange, market, symbol string // ours
	library, instrument      string // the library's
	urls                     func(m harness.SimulatedMarket) map[string]string
	options, trades          map[string]any
	// together: what is watched has the fills of an order at one price in one trade,
	// under the id of the last.
	together bool
	// forgets: the library gives the trades of the last frame only; those of one that
	// came just before it are lost within it.
	forgets bool
	// byTime: the library numbers books by the millisecond. Where it gives none, it
	// gives the time as well.
	byTime bool
}

var simulations = []simulated{
	{
		exchange: "binance", market: "spot", symbol: "BTC-USDT", library: "binance", instrument: "BTC/USDT",
		urls: func(m harness.SimulatedMarket) map[string]string {
			return map[string]string{"api.public": m.REST + "/api/v3", "api.ws.spot": m.WS + "/ws?as=/stream"}
		},
		options: map[string]any{"fetchMarkets": map[string]any{"types": []string{"spot"}}},
	},
	{
		exchange: "binance", market: "perpetual", symbol: "BTC-USDT", library: "binance", instrument: "BTC/USDT:USDT",
		urls: func(m harness.SimulatedMarket) map[string]string {
			return map[string]string{"api.fapiPublic": m.REST + "/fapi/v1", "api.ws.linear": m.WS + "/ws"}
		},
		options: map[string]any{"fetchMarkets": map[string]any{"types": []string{"linear"}}},
	},
	{
		exchange: "okx", market: "spot", symbol: "BTC-USDT", library: "okx", instrument: "BTC/USDT",
		urls: func(m harness.SimulatedMarket) map[string]string {
			return map[string]string{"api.rest": m.REST, "api.ws": m.WS + "/ws/v5"}
		},
		options: map[string]any{"fetchMarkets": map[string]any{"types": []string{"spot", "swap"}}},
		trades:  map[string]any{"method": "publicGetMarketHistoryTrades"},
		// The channel of single trades is for those who log in, the library thinks.
		together: true,
	},
	{
		exchange: "deribit", market: "perpetual", symbol: "BTC-USD", library: "deribit", instrument: "BTC/USD:BTC",
		urls: func(m harness.SimulatedMarket) map[string]string {
			return map[string]string{"api.rest": m.REST, "api.ws": m.WS + "/ws/api/v2"}
		},
		byTime: true, forgets: true,
	},
}

// TestSimulate lets the library watch simulated exchanges.
func TestSimulate(t *testing.T) {
	install(t)
	sim := harness.Simulate(t, "--symbols", "2", "--rate", "100")
	for _, s := range simulations {
		t.Run(s.exchange+" "+s.market, func(t *testing.T) {
			t.Parallel()
			do := task{
				Exchange: s.library, Symbol: s.instrument, Options: s.options, Trades: s.trades,
				Enough: enough{Trades: 100, Books: 40}, Levels: levels, Seconds: 60,
			}
			for _, m := range sim.Markets {
				if m.Exchange == s.exchange && m.Market == s.market {
					do.URLs = s.urls(m)
				}
			}
			got := use(t, do)
			t.Logf("ccxt %s: %d trades and %d books watched, %d trades fetched, %d markets",
				got.Version, len(got.WatchedTrades), len(got.WatchedBooks), len(got.FetchedTrades), got.Markets)
			s.sameTrades(t, sim, "watched", got.WatchedTrades, do.Enough.Trades)
			s.sameTrades(t, sim, "fetched", got.FetchedTrades, 10)
			s.sameBooks(t, sim, "watched", got.WatchedBooks, do.Enough.Books)
			s.sameBooks(t, sim, "fetched", []book{got.FetchedBook}, 1)
		})
	}
}

func (s *simulated) ask(t *testing.T, sim *harness.Simulator, into any, what string, params ...string) {
	t.Helper()
	sim.Ask(t, into, what, append(params, "exchange", s.exchange, "market", s.market, "symbol", s.symbol)...)
}

// sameTrades wants the trades as they happened, in order and without a hole.
func (s *simulated) sameTrades(t *testing.T, sim *harness.Simulator, what string, got []trade, least int) {
	t.Helper()
	if len(got) == 0 {
		t.Fatalf("%s: no trades", what)
	}
	for i := range got {
		got[i].ID = bare(got[i].ID)
	}
	tr := s.truth(t, sim, got[0].ID, got[len(got)-1].ID)
	if s.together && what == "watched" {
		tr = together(t, tr, got)
		if got = got[1:]; len(got) < least-1 { // the first may be half of one
			t.Errorf("%s: %d trades, want %d", what, len(got), least)
		}
		for _, g := range got {
			if want := tr.trades[g.ID]; g != want {
				t.Fatalf("%s:\n got %+v\nwant %+v", what, g, want)
			}
		}
		return
	}
	tr.sameTrades(t, what, got, least, s.forgets && what == "watched")
}

// truth is what the simulator says of the trades from one id to another.
func (s *simulated) truth(t *testing.T, sim *harness.Simulator, from, to string) *truth {
	t.Helper()
	var answer struct {
		Trades []json.RawMessage `json:"trades"`
	}
	s.ask(t, sim, &answer, "trades", "from_id", from, "to_id", to)
	lines := make([]string, len(answer.Trades))
	for i := range lines {
		lines[i] = string(answer.Trades[i])
	}
	return newTruth(t, lines)
}

// together puts the trades after each of those got, up to the next, into one. They
// must be of one price and one side, or it was not one.
func together(t *testing.T, tr *truth, got []trade) *truth {
	t.Helper()
	sums := &truth{trades: map[string]trade{}}
	for i := 1; i < len(got); i++ {
		to := integer(t, got[i].ID)
		sum := tr.trades[got[i].ID]
		sum.Amount = 0
		for n := integer(t, got[i-1].ID) + 1; n <= to; n++ {
			one, ok := tr.trades[strconv.FormatInt(n, 10)]
			if !ok || one.Price != sum.Price || one.Side != sum.Side {
				t.Fatalf("trade %d is not one with %s: %+v, %+v", n, sum.ID, one, sum)
			}
			sum.Amount += one.Amount
		}
		sum.Amount = math.Round(sum.Amount*1e8) / 1e8 // as the exchange's digits read
		sums.trades[sum.ID] = sum
	}
	return sums
}

func integer(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// bare is the number of an id; Deribit writes the currency before it.
func bare(id string) string { return id[strings.LastIndexByte(id, '-')+1:] }

// sameBooks compares each book with the exchange's.
func (s *simulated) sameBooks(t *testing.T, sim *harness.Simulator, what string, got []book, least int) {
	t.Helper()
	if len(got) < least {
		t.Errorf("%s: %d books, want %d and more", what, len(got), least)
	}
	for _, b := range got {
		by, number := "seq", b.Seq
		if s.byTime || number == 0 {
			by, number = "time_ms", b.Time
		}
		var is struct {
			Bids [][2]string `json:"bids"`
			Asks [][2]string `json:"asks"`
		}
		s.ask(t, sim, &is, "book", by, strconv.FormatInt(number, 10))
		sameSide(t, what+" bids", number, b.Bids, numbers(t, is.Bids))
		sameSide(t, what+" asks", number, b.Asks, numbers(t, is.Asks))
	}
}

func numbers(t *testing.T, side [][2]string) [][2]float64 {
	t.Helper()
	list := make([][2]float64, 0, levels)
	for _, l := range side[:min(len(side), levels)] {
		list = append(list, [2]float64{number(t, l[0]), number(t, l[1])})
	}
	return list
}
