package live

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// Filter says what a subscription is for. Each list holds names or patterns ("*"
// stands for any text); an empty one, of all but Kinds, means everything.
type Filter struct {
	// Kinds are names of kinds or their documented aliases; at least one.
	Kinds []string `json:"kinds"`
	// Exchanges are names; case does not matter.
	Exchanges []string `json:"exchanges"`
	// Markets are "spot", "perpetual", "future", "option".
	Markets []string `json:"markets"`
	// Symbols in any accepted spelling; patterns are over ours ("*-USDT").
	Symbols []string `json:"symbols"`
}

// The bounds of a filter.
const (
	maxItems = 1000 // of a list
	maxName  = 64   // bytes of an item
)

// Refusal says why a request was not carried out.
type Refusal struct {
	// Code is stable, for programs; docs/live.md lists them.
	Code string
	// Field is the member to blame, as "symbols[3]"; "" when none is.
	Field   string
	Message string
}

func (r *Refusal) Error() string {
	if r.Field == "" {
		return r.Message
	}
	return r.Field + ": " + r.Message
}

func refuse(code, field, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Directory knows what can be followed.
type Directory interface {
	// ExchangeNames are all that are known, collected or not.
	ExchangeNames() []string
	// Lists reports whether a market that allows takes lists a symbol, in any
	// accepted spelling, or may do so once its table is there.
	Lists(symbol string, allows func(exchange string, m market.Market) bool) bool
}

// matcher is a filter that was checked.
type matcher struct {
	asked     Filter
	kinds     kinds
	exchanges []string // lower case, patterns among them
	markets   [8]bool
	spellings map[string]bool // folded
	patterns  []string        // upper case
	all       bool            // symbols
}

// compile checks a filter. The error is a [*Refusal].
func compile(f Filter, d Directory) (*matcher, error) {
	m := &matcher{asked: f, spellings: map[string]bool{}}
	for name, list := range map[string][]string{"kinds": f.Kinds, "exchanges": f.Exchanges, "markets": f.Markets, "symbols": f.Symbols} {
		if len(list) > maxItems {
			return nil, refuse("too_many", name, "has %d items, may have %d", len(list), maxItems)
		}
		for i, item := range list {
			if item == "" || len(item) > maxName || strings.ContainsFunc(item, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xFFFD }) {
				return nil, refuse("invalid_field", at(name, i), "a name has 1 to %d bytes of plain text", maxName)
			}
		}
	}
	for _, part := range []func(*matcher, Directory) error{(*matcher).takeKinds, (*matcher).takeExchanges, (*matcher).takeMarkets, (*matcher).takeSymbols} {
		if err := part(m, d); err != nil {
			return nil, err
		}
	}
	m.asked = Filter{Kinds: m.kinds.words(), Exchanges: orAll(m.exchanges), Markets: orAll(f.Markets), Symbols: orAll(f.Symbols)}
	return m, nil
}

func at(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }

func orAll(list []string) []string {
	if len(list) == 0 {
		return []string{"*"}
	}
	return slices.Clone(list)
}

func (m *matcher) takeKinds(Directory) error {
	if len(m.asked.Kinds) == 0 {
		return refuse("required", "kinds", `names the kinds to follow, such as ["trade","book_delta"]; "*" is all`)
	}
	for i, name := range m.asked.Kinds {
		if name == "*" {
			m.kinds = allKinds
			continue
		}
		k, ok := market.ParseKind(name)
		if !ok {
			return refuse("unknown_kind", at("kinds", i), "no kind %q; there are %s", name, strings.Join(allKinds.words(), ", "))
		}
		m.kinds |= kindsOf(k)
	}
	return nil
}

func (m *matcher) takeExchanges(d Directory) error {
	known := d.ExchangeNames()
	for i, name := range m.asked.Exchanges {
		name = strings.ToLower(name)
		switch {
		case isPattern(name):
			if _, err := path.Match(name, ""); err != nil {
				return refuse("invalid_field", at("exchanges", i), "%q is not a pattern", name)
			}
		case !slices.Contains(known, name):
			return refuse("unknown_exchange", at("exchanges", i), "no exchange %q; there are %s", name, strings.Join(known, ", "))
		}
		m.exchanges = append(m.exchanges, name)
	}
	return nil
}

func (m *matcher) takeMarkets(Directory) error {
	for i, word := range m.asked.Markets {
		known, ok := market.ParseMarket(word)
		switch {
		case word == "*":
			m.markets = [8]bool{}
			for _, all := range market.Markets() {
				m.markets[all] = true
			}
		case !ok:
			return refuse("unknown_market", at("markets", i), "no market %q; there are %v", word, market.Markets())
		default:
			m.markets[known] = true
		}
	}
	if len(m.asked.Markets) == 0 {
		for _, all := range market.Markets() {
			m.markets[all] = true
		}
	}
	return nil
}

func (m *matcher) takeSymbols(d Directory) error {
	m.all = len(m.asked.Symbols) == 0
	for i, symbol := range m.asked.Symbols {
		if isPattern(symbol) {
			pattern := strings.ToUpper(symbol)
			if _, err := path.Match(pattern, ""); err != nil {
				return refuse("invalid_field", at("symbols", i), "%q is not a pattern", symbol)
			}
			m.patterns = append(m.patterns, pattern)
			m.all = m.all || pattern == "*"
			continue
		}
		folded := market.FoldSymbol(symbol)
		if folded == "" || !d.Lists(symbol, m.allows) {
			return refuse("unknown_symbol", at("symbols", i), "no market that was asked for lists %q", symbol)
		}
		m.spellings[folded] = true
	}
	return nil
}

// isPattern reports whether a name stands for several.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// allows reports whether a market is asked for.
func (m *matcher) allows(exchange string, word market.Market) bool {
	if int(word) >= len(m.markets) || !m.markets[word] {
		return false
	}
	return len(m.exchanges) == 0 || slices.ContainsFunc(m.exchanges, func(p string) bool { return matches(p, exchange) })
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil // compile has tried it
}

// takes reports whether a stream is asked for.
func (m *matcher) takes(s *Source) bool {
	i := s.instrument
	if !m.allows(i.Exchange, i.Market) {
		return false
	}
	return m.all || m.spellings[s.folded[0]] || m.spellings[s.folded[1]] ||
		slices.ContainsFunc(m.patterns, func(p string) bool { return matches(p, i.Symbol) })
}

// waiting lists the symbols that none of the streams matches.
func (m *matcher) waiting(streams []*Source) []string {
	out := []string{}
	for _, symbol := range m.asked.Symbols {
		if isPattern(symbol) {
			continue
		}
		folded := market.FoldSymbol(symbol)
		if !slices.ContainsFunc(streams, func(s *Source) bool { return s.folded[0] == folded || s.folded[1] == folded }) {
			out = append(out, symbol)
		}
	}
	return out
}
