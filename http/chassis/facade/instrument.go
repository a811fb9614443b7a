package facade

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// Catalogue knows the instruments that exchanges list.
type Catalogue interface {
	// Tables returns the instrument tables of an exchange by market, as they are
	// now; none for an exchange that has no connector. The name is lower case.
	Tables(exchange string) map[market.Market]*market.Instruments
}

// MaxName is the longest exchange name or symbol, in characters.
const MaxName = 64

// Asked is an instrument as a client names it.
type Asked struct {
	// Exchange and Symbol are as the client wrote them, and go back like that.
	Exchange, Symbol string
	// Market counts only if Named.
	Market market.Market
	Named  bool
}

// AskedOf reads {exchange}, {symbol} and ?market= of a request. What is wrong
// with the market is noted in q.
func AskedOf(r *http.Request, q *chassis.Query) (Asked, error) {
	a := MarketOf(q)
	var err error
	if a.Exchange, err = chassis.PathParam(r, "exchange"); err != nil {
		return Asked{}, err
	}
	if a.Symbol, err = chassis.PathParam(r, "symbol"); err != nil {
		return Asked{}, err
	}
	if utf8.RuneCountInString(a.Exchange) > MaxName || utf8.RuneCountInString(a.Symbol) > MaxName || Fold(a.Symbol) == "" || Fold(a.Exchange) == "" {
		return Asked{}, chassis.NotFound("no instrument %q on %q: a name has letters or digits, and at most %d characters", a.Symbol, a.Exchange, MaxName)
	}
	return a, nil
}

// MarketOf reads ?market= alone.
func MarketOf(q *chassis.Query) Asked {
	m, named := market.ParseMarket(q.OneOf("market", "", MarketWords()...))
	return Asked{Market: m, Named: named}
}

// MarketWords are the words of ?market=.
func MarketWords() []string {
	words := []string{}
	for _, m := range market.Markets() {
		words = append(words, m.String())
	}
	return words
}

// MarketParam documents ?market=.
func MarketParam() chassis.Param {
	return chassis.Param{
		Name: "market", Enum: MarketWords(),
		Doc: "Which market of the exchange. Without it: spot if the symbol is listed there, else the only market that lists it, else 400.",
	}
}

// PathParams documents {exchange} and {symbol}.
func PathParams() []chassis.Param {
	return []chassis.Param{
		{Name: "exchange", In: "path", Doc: "Name of the exchange; case does not matter.", Example: "binance"},
		{Name: "symbol", In: "path", Doc: "Symbol in any spelling: BTC-USDT, BTCUSDT, btc_usdt, or the exchange's own.", Example: "BTC-USDT"},
	}
}

// ExchangeName is the name under which an exchange is stored.
func (a Asked) ExchangeName() string { return strings.ToLower(a.Exchange) }

// Fold reduces a spelling to its upper-cased letters and digits of any script.
// Of ASCII it makes what market.FoldSymbol does.
func Fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(func(r rune) rune {
				if unicode.IsLetter(r) || unicode.IsDigit(r) {
					return unicode.ToUpper(r)
				}
				return -1
			}, s)
		}
	}
	return market.FoldSymbol(s)
}

// Folded is the instrument that a symbol means where no table knows it.
func (a Asked) Folded(m market.Market) *market.Instrument {
	return &market.Instrument{Exchange: a.ExchangeName(), Market: m, Symbol: Fold(a.Symbol), Native: a.Symbol}
}

// In returns the instrument that a means on one market: by the exchange's table
// where that lists it, else Folded, with listed false. The error is a
// [*market.SymbolError] for a spelling that the table knows several times.
func (a Asked) In(c Catalogue, m market.Market) (i *market.Instrument, listed bool, err error) {
	return a.in(c.Tables(a.ExchangeName()), m)
}

func (a Asked) in(tables map[market.Market]*market.Instruments, m market.Market) (*market.Instrument, bool, error) {
	if table := tables[m]; table != nil {
		i, err := table.Resolve(a.Symbol)
		if err == nil {
			return i, true, nil
		}
		if symbol, ok := err.(*market.SymbolError); !ok || len(symbol.Candidates) > 0 { //nolint:errorlint // as Resolve documents it
			return nil, false, err
		}
	}
	return a.Folded(m), false, nil
}

// Listed returns the instrument that a means among those that the exchange
// lists. Errors: 404 when there is none, 400 when there are several.
func (a Asked) Listed(c Catalogue) (*market.Instrument, error) {
	tables := c.Tables(a.ExchangeName())
	if len(tables) == 0 {
		return nil, chassis.NotFound("no exchange %q here", a.Exchange).WithCode("unknown_exchange")
	}
	found, err := a.listings(tables)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, a.severalMarkets(found)
	case err != nil:
		return nil, err
	}
	return nil, unlisted(&market.SymbolError{Spelling: a.Symbol})
}

// Stored returns the instrument that a means among those that the exchange
// lists and those that something is stored of. stored is asked as little as
// possible. listed says whether a table knows the instrument; with none that is
// known at all it is the spot one of that name.
func (a Asked) Stored(c Catalogue, stored func(market.StreamID) (bool, error)) (i *market.Instrument, listed bool, err error) {
	tables := c.Tables(a.ExchangeName())
	if a.Named {
		return a.in(tables, a.Market)
	}
	found, err := a.listings(tables)
	if err == nil && len(found) == 1 && found[0].Market == market.Spot {
		return found[0], true, nil
	}
	spot := a.Folded(market.Spot)
	if ok, failed := stored(spot.ID()); ok || failed != nil {
		return spot, false, failed
	}
	switch {
	case len(found) == 1:
		return found[0], true, nil
	case len(found) > 1:
		return nil, false, a.severalMarkets(found)
	case err != nil:
		return nil, false, err
	}
	found, err = a.stored(stored)
	switch {
	case err != nil:
		return nil, false, err
	case len(found) == 0:
		return spot, false, nil
	case len(found) == 1:
		return found[0], false, nil
	}
	return nil, false, a.severalMarkets(found)
}

// stored lists the markets beside spot that hold something under the folded name.
func (a Asked) stored(has func(market.StreamID) (bool, error)) (found []*market.Instrument, err error) {
	for _, m := range market.Markets()[1:] {
		i := a.Folded(m)
		ok, err := has(i.ID())
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, i)
		}
	}
	return found, nil
}

// listings returns the instruments that a may mean, one a market, and spot alone
// if that lists it. The error counts only if there is none.
func (a Asked) listings(tables map[market.Market]*market.Instruments) (found []*market.Instrument, err error) {
	for _, m := range market.Markets() {
		if a.Named && m != a.Market {
			continue
		}
		i, listed, failed := a.in(tables, m)
		switch {
		case failed != nil:
			err = unlisted(failed.(*market.SymbolError)) //nolint:errorlint // as in documents it
		case listed && m == market.Spot:
			return []*market.Instrument{i}, nil
		case listed:
			found = append(found, i)
		}
	}
	return found, err
}

func (a Asked) severalMarkets(found []*market.Instrument) error {
	words := make([]string, len(found))
	for i, f := range found {
		words[i] = f.Market.String()
	}
	return chassis.BadRequest("%s of %s is listed on several markets: %s; name one with ?market=",
		a.Symbol, a.Exchange, strings.Join(words, ", ")).WithCode("market_required")
}

// unlisted answers for a spelling that no table, or one several times, knows.
func unlisted(e *market.SymbolError) error {
	if len(e.Candidates) == 0 {
		return chassis.NotFound("%s", e.Error()).WithCode("unknown_symbol")
	}
	return chassis.BadRequest("%s; name one of them", e.Error()).WithCode("ambiguous_symbol")
}
