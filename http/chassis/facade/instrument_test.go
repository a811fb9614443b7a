package facade_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
)

type catalogue map[string]map[market.Market]*market.Instruments

func (c catalogue) Tables(exchange string) map[market.Market]*market.Instruments { return c[exchange] }

func table(exchange string, m market.Market, pairs ...string) *market.Instruments {
	var list []*market.Instrument
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &market.Instrument{Exchange: exchange, Market: m, Symbol: pairs[i], Native: pairs[i+1]})
	}
	return market.NewInstruments(list)
}

var listings = catalogue{
	"binance": {
		market.Spot:      table("binance", market.Spot, "BTC-USDT", "BTCUSDT", "A-BC", "ABC1", "AB-C", "ABC2"),
		market.Perpetual: table("binance", market.Perpetual, "BTC-USDT", "BTCUSDT", "SOL-USDT", "SOLUSDT", "XRP-USDT", "XRPUSDT"),
		market.Future:    table("binance", market.Future, "XRP-USDT", "XRPUSDT"),
	},
}

func status(err error) int {
	var s interface{ HTTPStatus() int }
	if errors.As(err, &s) {
		return s.HTTPStatus()
	}
	return 0
}

func TestListed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		asked  facade.Asked
		want   string
		status int
		says   string
	}{
		{name: "spot first", asked: facade.Asked{Exchange: "Binance", Symbol: "btc_usdt"}, want: "binance/spot/BTC-USDT"},
		{name: "named", asked: facade.Asked{Exchange: "binance", Symbol: "BTCUSDT", Market: market.Perpetual, Named: true}, want: "binance/perpetual/BTC-USDT"},
		{name: "the only market", asked: facade.Asked{Exchange: "binance", Symbol: "SOL/USDT"}, want: "binance/perpetual/SOL-USDT"},
		{name: "several markets", asked: facade.Asked{Exchange: "binance", Symbol: "XRPUSDT"}, status: 400, says: "perpetual, future"},
		{name: "ambiguous", asked: facade.Asked{Exchange: "binance", Symbol: "abc", Named: true}, status: 400, says: "A-BC, AB-C"},
		{name: "unknown symbol", asked: facade.Asked{Exchange: "binance", Symbol: "NOPE"}, status: 404, says: "NOPE"},
		{name: "unknown on that market", asked: facade.Asked{Exchange: "binance", Symbol: "SOLUSDT", Named: true}, status: 404},
		{name: "unknown exchange", asked: facade.Asked{Exchange: "nowhere", Symbol: "BTCUSDT"}, status: 404, says: "nowhere"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.asked.Listed(listings)
			if status(err) != tc.status || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("error = %v (%d), want %d saying %q", err, status(err), tc.status, tc.says)
			}
			if err == nil && got.ID().String() != tc.want {
				t.Errorf("got %v, want %v", got.ID(), tc.want)
			}
		})
	}
}

func TestStored(t *testing.T) {
	for _, tc := range []struct {
		name   string
		asked  facade.Asked
		stored string // ids, separated by spaces
		want   string
		listed bool
		status int
	}{
		{name: "listed on spot", asked: facade.Asked{Exchange: "binance", Symbol: "BTCUSDT"}, want: "binance/spot/BTC-USDT", listed: true},
		{name: "listed elsewhere", asked: facade.Asked{Exchange: "binance", Symbol: "SOLUSDT"}, want: "binance/perpetual/SOL-USDT", listed: true},
		{name: "listed elsewhere, posted to spot", asked: facade.Asked{Exchange: "binance", Symbol: "SOL-USDT"}, stored: "binance/spot/SOLUSDT", want: "binance/spot/SOLUSDT"},
		{name: "listed twice", asked: facade.Asked{Exchange: "binance", Symbol: "XRPUSDT"}, status: 400},
		{name: "ambiguous", asked: facade.Asked{Exchange: "binance", Symbol: "abc"}, status: 400},
		{name: "not listed", asked: facade.Asked{Exchange: "binance", Symbol: "new_coin"}, want: "binance/spot/NEWCOIN"},
		{name: "no table", asked: facade.Asked{Exchange: "My Venue", Symbol: "btc_usdt"}, want: "my venue/spot/BTCUSDT"},
		{name: "no table, stored as perpetual", asked: facade.Asked{Exchange: "venue", Symbol: "BTC-USDT"}, stored: "venue/perpetual/BTCUSDT", want: "venue/perpetual/BTCUSDT"},
		{name: "no table, stored twice", asked: facade.Asked{Exchange: "venue", Symbol: "BTC-USDT"}, stored: "venue/perpetual/BTCUSDT venue/option/BTCUSDT", status: 400},
		{name: "no table, stored as spot too", asked: facade.Asked{Exchange: "venue", Symbol: "BTC-USDT"}, stored: "venue/perpetual/BTCUSDT venue/spot/BTCUSDT", want: "venue/spot/BTCUSDT"},
		{name: "named", asked: facade.Asked{Exchange: "venue", Symbol: "x", Market: market.Option, Named: true}, want: "venue/option/X"},
		{name: "other scripts", asked: facade.Asked{Exchange: "venue", Symbol: "币安-usdt"}, want: "venue/spot/币安USDT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			has := func(id market.StreamID) (bool, error) {
				return strings.Contains(" "+tc.stored+" ", " "+id.String()+" "), nil
			}
			got, listed, err := tc.asked.Stored(listings, has)
			if status(facade.Refusal(err)) != tc.status {
				t.Fatalf("error = %v, want %d", err, tc.status)
			}
			if err == nil && (got.ID().String() != tc.want || listed != tc.listed) {
				t.Errorf("got %v, listed %v, want %v, %v", got.ID(), listed, tc.want, tc.listed)
			}
		})
	}
	broken := errors.New("the disk is gone")
	_, _, err := facade.Asked{Exchange: "v", Symbol: "s"}.Stored(listings, func(market.StreamID) (bool, error) { return false, broken })
	if !errors.Is(err, broken) {
		t.Errorf("the store's error became %v", err)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"btc_usdt": "BTCUSDT", "BTC/USDT:USDT": "BTCUSDTUSDT", "1000PEPE-usdt": "1000PEPEUSDT",
		"币安人生USDT": "币安人生USDT", "é-x": "ÉX", "\u202ea": "A", "--": "", "": "",
	} {
		if got := facade.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRefusal(t *testing.T) {
	wrapped := fmt.Errorf("asking the branch: %w", &market.SymbolError{Spelling: "x", Candidates: []string{"a", "b"}})
	if got := status(facade.Refusal(wrapped)); got != http.StatusBadRequest {
		t.Errorf("an ambiguous symbol is answered with %d", got)
	}
	if err := errors.New("what nobody knows"); facade.Refusal(err) != err { //nolint:errorlint // the very same
		t.Error("an unknown error was changed")
	}
}
