package part

import (
	"sync"
	"sync/atomic"

	"github.com/marketprism/marketprism/internal/market"
)

// Names gives small numbers to the words and instruments that blocks refer to.
// It only grows: with the number of distinct instruments and words seen, not with
// records. It is safe for concurrent use.
type Names struct {
	mu          sync.RWMutex
	wordCode    map[string]uint32
	instrCode   map[instrumentName]uint32
	words       atomic.Pointer[[]string]
	instruments atomic.Pointer[[]*market.Instrument]
	generations Generations
}

type instrumentName struct {
	stream market.StreamID
	native string
}

// NewNames returns an empty table; code 0 is the empty word.
func NewNames() *Names {
	n := &Names{wordCode: map[string]uint32{"": 0}, instrCode: map[instrumentName]uint32{}}
	words, instruments := []string{""}, []*market.Instrument{}
	n.words.Store(&words)
	n.instruments.Store(&instruments)
	return n
}

// Generations is the order of the journals, for all who share the names.
func (n *Names) Generations() *Generations { return &n.generations }

// Word returns the code of a word; s is not kept.
func (n *Names) Word(s string) uint32 {
	if s == "" {
		return 0
	}
	n.mu.RLock()
	code, ok := n.wordCode[s]
	n.mu.RUnlock()
	if ok {
		return code
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if code, ok := n.wordCode[s]; ok {
		return code
	}
	s = string(append([]byte(nil), s...))
	list := append(*n.words.Load(), s)
	code = uint32(len(list) - 1)
	n.wordCode[s] = code
	n.words.Store(&list)
	return code
}

// Text returns the word of a code.
func (n *Names) Text(code uint32) string { return (*n.words.Load())[code] }

// InstrumentCode returns the code of an instrument, by its stream and native
// name; i is not kept.
func (n *Names) InstrumentCode(i *market.Instrument) uint32 {
	return n.instrument(instrumentName{i.ID(), i.Native})
}

func (n *Names) instrument(name instrumentName) uint32 {
	n.mu.RLock()
	code, ok := n.instrCode[name]
	n.mu.RUnlock()
	if ok {
		return code
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if code, ok := n.instrCode[name]; ok {
		return code
	}
	list := append(*n.instruments.Load(), &market.Instrument{
		Exchange: name.stream.Exchange, Market: name.stream.Market, Symbol: name.stream.Symbol, Native: name.native,
	})
	code = uint32(len(list) - 1)
	n.instrCode[name] = code
	n.instruments.Store(&list)
	return code
}

// Instrument returns the instrument of a code; it is immutable.
func (n *Names) Instrument(code uint32) *market.Instrument { return (*n.instruments.Load())[code] }
