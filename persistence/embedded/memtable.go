package embedded

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// memoryPriority puts rows in memory above every part of their shard; a part's
// priority is the last sequence that it covers.
const memoryPriority = 1 << 63

// rowBytes is the estimated memory of a row without its text.
const rowBytes = 160

// memtable holds the unpublished records of one shard: the active one takes
// records, sealed ones wait to be published.
type memtable struct {
	shard  int
	number uint64 // later ones have higher numbers
	tables [market.NumKinds]memtableKind
	rows   atomic.Int64
	bytes  int64     // estimate; the writer's
	began  time.Time // when the first message was applied; the writer's

	// Set when it is sealed:
	position persistence.Position
	// done holds the parts that a failed publication had made.
	done map[market.Kind]*part.Meta
}

type memtableKind struct {
	mu     sync.RWMutex
	series map[market.StreamID]*series
	rows   atomic.Int64
}

func newMemtable(shard int, number uint64) *memtable {
	return &memtable{shard: shard, number: number, done: map[market.Kind]*part.Meta{}}
}

func (m *memtable) priority() uint64 { return memoryPriority + m.number }

// find returns a stream's series; nil when there is none.
func (t *memtableKind) find(stream market.StreamID) *series {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.series[stream]
}

// get returns a stream's series and makes it when needed.
func (t *memtableKind) get(stream market.StreamID, schema *part.Schema, names *part.Names) *series {
	if s := t.find(stream); s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.series == nil {
		t.series = map[market.StreamID]*series{}
	}
	s := &series{stream: stream, schema: schema, names: names}
	t.series[stream] = s
	return s
}

// all lists the series in the order of a part.
func (t *memtableKind) all() []*series {
	t.mu.RLock()
	list := make([]*series, 0, len(t.series))
	for _, s := range t.series {
		list = append(list, s)
	}
	t.mu.RUnlock()
	slices.SortFunc(list, func(a, b *series) int { return part.CompareStreams(a.stream, b.stream) })
	return list
}
