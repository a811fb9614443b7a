package collector

import (
	"errors"
	"fmt"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// UnknownError says that something does not exist here: HTTP 404.
type UnknownError struct {
	// What is "exchange", "market", "symbol" or "stream" (a symbol that is not
	// subscribed).
	What string
	Name string
	// Known lists what there is, where that is short.
	Known []string
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("no %s %q", e.What, e.Name)
	if len(e.Known) > 0 {
		text += " (there are: " + strings.Join(e.Known, ", ") + ")"
	}
	return text
}

// MarketError says that a symbol is listed on several markets, none of them
// spot, so that the request has to name one: HTTP 400.
type MarketError struct {
	Symbol  string
	Markets []market.Market
}

func (e *MarketError) Error() string {
	words := make([]string, len(e.Markets))
	for i, m := range e.Markets {
		words[i] = m.String()
	}
	return fmt.Sprintf("symbol %q needs a market: %s", e.Symbol, strings.Join(words, ", "))
}

// InvalidError says that a value of a request cannot be taken: HTTP 400.
type InvalidError struct {
	Field, Value string
	// Allowed lists the values that can be taken, where they are few.
	Allowed []string
}

func (e *InvalidError) Error() string {
	text := fmt.Sprintf("%s: %q cannot be taken", e.Field, e.Value)
	if len(e.Allowed) > 0 {
		text += "; one of " + strings.Join(e.Allowed, ", ")
	}
	return text
}

// ErrNotStarted: the market's instruments or actors are not there yet: HTTP 503.
var ErrNotStarted = errors.New("the collector has not started")

// ErrNoBook: the stream has no book, because none is subscribed: HTTP 404.
var ErrNoBook = errors.New("no book is subscribed")

// ambiguous reports whether a spelling means several instruments.
func ambiguous(err error) bool {
	var se *market.SymbolError
	return errors.As(err, &se) && len(se.Candidates) > 0
}
