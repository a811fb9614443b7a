package part

import (
	"sync"
	"time"
)

// Generations orders journals: sequences of one say nothing about those of another, so
// the journal of which the first row arrived later is the later one. It is safe for
// concurrent use.
type Generations struct {
	mu    sync.RWMutex
	began map[string]int64
}

// A priority has the beginning of the journal, in units of 17 s since 2020, above the
// sequence: until 2056, and for 137 thousand million messages.
const (
	generationUnit = 34 // bits of ns
	sequenceBits   = 37
	generationBits = 63 - sequenceBits
)

var generationZero = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// Note says that a row of a journal had arrived at an instant, Unix ns.
func (g *Generations) Note(journal string, at int64) {
	g.mu.RLock()
	have, ok := g.began[journal]
	g.mu.RUnlock()
	if ok && have <= at {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if have, ok := g.began[journal]; ok && have <= at {
		return
	}
	if g.began == nil {
		g.began = map[string]int64{}
	}
	g.began[journal] = at
}

// Priority is that of a source of rows of a journal up to a sequence; see [Source].
// Journals that began within 17 s are one.
func (g *Generations) Priority(journal string, seq uint64) uint64 {
	g.mu.RLock()
	at := g.began[journal]
	g.mu.RUnlock()
	unit := min(max(0, at-generationZero)>>generationUnit, 1<<generationBits-2)
	return uint64(unit)<<sequenceBits | min(seq, 1<<sequenceBits-1)
}
