package foreign

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// levels is how much of a book is compared: more than any screen shows, less than the
// snapshot that both sides begin with.
const levels = 50

// TestReplay lets the library watch a recorded exchange.
func TestReplay(t *testing.T) {
	for _, tc := range []struct {
		capture, symbol, market string
		urls                    func(e *harness.Exchange) map[string]string
		options, trades         map[string]any
	}{
		{
			capture: "binance-spot/btcusdt_20240808", symbol: "BTC/USDT", market: "spot", urls: binanceSpot,
			options: map[string]any{"fetchMarkets": map[string]any{"types": []string{"spot"}}},
			trades:  map[string]any{"fetchTradesMethod": "publicGetTrades"}, // a capture has no aggregates
		},
		{
			capture: "binance-usdm/btcusdt_20240808", symbol: "BTC/USDT:USDT", market: "swap", urls: binanceFutures,
			options: map[string]any{"fetchMarkets": map[string]any{"types": []string{"linear"}}},
			trades:  map[string]any{"fetchTradesMethod": "fapiPublicGetTrades"},
		},
	} {
		t.Run(tc.market, func(t *testing.T) {
			capture := harness.Capture(t, tc.capture)
			install(t)
			e := harness.Replay(t, capture, "--speed", "20")
			got := use(t, task{
				Exchange: "binance", Symbol: tc.symbol, URLs: tc.urls(e), Options: tc.options, Trades: tc.trades,
				Enough: enough{Trades: 500, Books: 300}, Levels: levels, Seconds: 60,
			})
			t.Logf("ccxt %s: %d trades and %d books watched, %d trades fetched, %d markets",
				got.Version, len(got.WatchedTrades), len(got.WatchedBooks), len(got.FetchedTrades), got.Markets)
			if m := got.Market; m.ID != "BTCUSDT" || m.Base != "BTC" || m.Quote != "USDT" || m.Type != tc.market || !m.Active {
				t.Errorf("the market: %+v", m)
			}
			printed := harness.Must(t, time.Minute, "normalize", capture, "--kinds", "trade,book_delta").Out
			tr := newTruth(t, slices.Collect(strings.Lines(printed)))
			tr.sameTrades(t, "watched", got.WatchedTrades, 500, false)
			tr.sameTrades(t, "fetched", got.FetchedTrades, 1, false)
			tr.sameBooks(t, "watched", got.WatchedBooks, 300, levels)
			tr.sameBooks(t, "fetched", []book{got.FetchedBook}, 1, levels)
			if first := got.WatchedBooks[0].Seq; got.FetchedBook.Seq < first {
				t.Errorf("the book fetched is of %d, older than what was watched before, %d", got.FetchedBook.Seq, first)
			}
		})
	}
}

// binanceSpot leads the library here. It takes an address for one of the spot market
// when /stream is in it.
func binanceSpot(e *harness.Exchange) map[string]string {
	return map[string]string{"api.public": e.REST + "/api/v3", "api.ws.spot": e.WS + "/ws?as=/stream"}
}

func binanceFutures(e *harness.Exchange) map[string]string {
	return map[string]string{"api.fapiPublic": e.REST + "/fapi/v1", "api.fapiPublicV2": e.REST + "/fapi/v2", "api.ws.linear": e.WS + "/ws"}
}
