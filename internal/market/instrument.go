package market

import (
	"fmt"
	"slices"
	"strings"
)

// Instrument is one thing traded on one exchange. It is immutable once records
// point at it.
type Instrument struct {
	// Exchange is the lower-case name: "binance".
	Exchange string
	Market   Market
	// Symbol is BASE-QUOTE[-EXPIRY][-STRIKE-C|P], upper case: "BTC-USDT".
	Symbol string
	// Native is the exchange's own spelling: "BTCUSDT".
	Native string

	// Base, Quote and Settle are asset codes; "" when not known.
	Base, Quote, Settle string
	// ContractSize is the amount of base (linear) or quote (inverse) in one
	// contract, where the exchange counts in contracts; records hold amounts that
	// are multiplied by it. Absent where it does not.
	ContractSize Decimal
	// PriceTick and AmountStep are the smallest steps; absent when not known.
	PriceTick, AmountStep Decimal
	// ExpiryTime is Unix nanoseconds; 0 when the instrument does not expire.
	ExpiryTime int64
	// Trading reports whether the exchange lists it as open for trading.
	Trading bool
}

// StreamID names one stream: everything of one instrument.
type StreamID struct {
	Exchange string
	Market   Market
	Symbol   string
}

// ID is the stream that the instrument's records belong to.
func (i *Instrument) ID() StreamID {
	return StreamID{Exchange: i.Exchange, Market: i.Market, Symbol: i.Symbol}
}

// String is "binance/spot/BTC-USDT".
func (s StreamID) String() string {
	return s.Exchange + "/" + s.Market.String() + "/" + s.Symbol
}

// Compare orders by exchange, market, symbol.
func (s StreamID) Compare(o StreamID) int {
	if c := strings.Compare(s.Exchange, o.Exchange); c != 0 {
		return c
	}
	if s.Market != o.Market {
		return int(s.Market) - int(o.Market)
	}
	return strings.Compare(s.Symbol, o.Symbol)
}

// FoldSymbol reduces any spelling to upper-case letters and digits:
// "btc_usdt", "BTC/USDT" and "BTC-USDT" are all "BTCUSDT".
func FoldSymbol(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			b.WriteByte(c)
		}
	}
	return b.String()
}

// SubjectToken is s as one token of a NATS subject: "." becomes "d", and a byte
// that a token cannot hold is percent-encoded.
func SubjectToken(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			b.WriteByte('d')
		case c <= ' ' || c >= 0x7f || strings.IndexByte("*>%", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Instruments is the immutable instrument table of one exchange and market.
type Instruments struct {
	list     []*Instrument
	byNative map[string]*Instrument
	bySymbol map[string]*Instrument
	byFold   map[string][]*Instrument
}

// NewInstruments builds a table. The last of two instruments with one native
// name wins.
func NewInstruments(list []*Instrument) *Instruments {
	t := &Instruments{
		byNative: make(map[string]*Instrument, len(list)),
		bySymbol: make(map[string]*Instrument, len(list)),
		byFold:   make(map[string][]*Instrument, len(list)),
	}
	for _, i := range list {
		t.byNative[i.Native] = i
	}
	for _, i := range list {
		if t.byNative[i.Native] != i {
			continue
		}
		t.list = append(t.list, i)
		t.bySymbol[i.Symbol] = i
		for _, spelling := range foldedSpellings(i) {
			t.byFold[spelling] = append(t.byFold[spelling], i)
		}
	}
	slices.SortFunc(t.list, func(a, b *Instrument) int { return strings.Compare(a.Symbol, b.Symbol) })
	return t
}

func foldedSpellings(i *Instrument) []string {
	a, b := FoldSymbol(i.Symbol), FoldSymbol(i.Native)
	if a == b {
		return []string{a}
	}
	return []string{a, b}
}

// Native finds an instrument by the exchange's own spelling, without allocating.
func (t *Instruments) Native(native []byte) (*Instrument, bool) {
	i, ok := t.byNative[string(native)]
	return i, ok
}

// All lists the instruments by symbol. Do not change the slice.
func (t *Instruments) All() []*Instrument { return t.list }

// SymbolError says that a spelling names no instrument, or several.
type SymbolError struct {
	Spelling   string
	Candidates []string // the symbols that it may mean; empty when unknown
}

func (e *SymbolError) Error() string {
	if len(e.Candidates) == 0 {
		return fmt.Sprintf("unknown symbol %q", e.Spelling)
	}
	return fmt.Sprintf("symbol %q is ambiguous: %s", e.Spelling, strings.Join(e.Candidates, ", "))
}

// Resolve finds an instrument by any accepted spelling: our symbol, the native
// one, or either with other case and separators. The error is a [*SymbolError].
func (t *Instruments) Resolve(spelling string) (*Instrument, error) {
	if i, ok := t.bySymbol[spelling]; ok {
		return i, nil
	}
	if i, ok := t.byNative[spelling]; ok {
		return i, nil
	}
	found := t.byFold[FoldSymbol(spelling)]
	if len(found) == 1 {
		return found[0], nil
	}
	e := &SymbolError{Spelling: spelling}
	for _, i := range found {
		e.Candidates = append(e.Candidates, i.Symbol)
	}
	return nil, e
}
