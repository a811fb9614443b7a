package market

// Enum is a small closed set of words; the pointer types *Side, *Origin and
// *Market implement it, so that one visitor serves reading and writing.
type Enum interface {
	// Code is the value's stable number, used in the journal.
	Code() uint8
	// SetCode takes a number of Code; false leaves the value as it was.
	SetCode(uint8) bool
	// String is the word of the JSON form.
	String() string
	// Parse takes a word of String; false leaves the value as it was.
	Parse(string) bool
}

func parseWord[E ~uint8](words []string, s string, v *E) bool {
	for i, w := range words {
		if w == s {
			*v = E(i)
			return true
		}
	}
	return false
}

func setCode[E ~uint8](words []string, c uint8, v *E) bool {
	if int(c) >= len(words) {
		return false
	}
	*v = E(c)
	return true
}

func word[E ~uint8](words []string, v E) string {
	if int(v) >= len(words) {
		return "invalid"
	}
	return words[v]
}

// Side is the aggressor's (taker's) side of a trade. For a liquidation, the side
// of the forced order: sell means that a long was liquidated.
type Side uint8

// The sides.
const (
	SideUnknown Side = iota
	Buy
	Sell
)

var sideWords = []string{"unknown", "buy", "sell"}

// Code implements [Enum].
func (s Side) Code() uint8 { return uint8(s) }

// SetCode implements [Enum].
func (s *Side) SetCode(c uint8) bool { return setCode(sideWords, c, s) }

// String is "buy", "sell" or "unknown".
func (s Side) String() string { return word(sideWords, s) }

// Parse implements [Enum].
func (s *Side) Parse(w string) bool { return parseWord(sideWords, w, s) }

// Market is the type of market that an instrument trades on.
type Market uint8

// The markets.
const (
	Spot Market = iota
	Perpetual
	Future
	Option
)

var marketWords = []string{"spot", "perpetual", "future", "option"}

// Markets lists every market.
func Markets() []Market { return []Market{Spot, Perpetual, Future, Option} }

// ParseMarket reads a market's word.
func ParseMarket(s string) (m Market, ok bool) {
	ok = m.Parse(s)
	return m, ok
}

// Code implements [Enum].
func (m Market) Code() uint8 { return uint8(m) }

// SetCode implements [Enum].
func (m *Market) SetCode(c uint8) bool { return setCode(marketWords, c, m) }

// String is "spot", "perpetual", "future" or "option".
func (m Market) String() string { return word(marketWords, m) }

// Parse implements [Enum].
func (m *Market) Parse(w string) bool { return parseWord(marketWords, w, m) }

// Origin says who brought a record: our own collector or a client's POST.
type Origin uint8

// The origins.
const (
	Collected Origin = iota
	External
)

var originWords = []string{"collected", "external"}

// Code implements [Enum].
func (o Origin) Code() uint8 { return uint8(o) }

// SetCode implements [Enum].
func (o *Origin) SetCode(c uint8) bool { return setCode(originWords, c, o) }

// String is "collected" or "external".
func (o Origin) String() string { return word(originWords, o) }

// Parse implements [Enum].
func (o *Origin) Parse(w string) bool { return parseWord(originWords, w, o) }
