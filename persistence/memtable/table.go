package memtable

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// firstPriority puts rows in memory above everything published; what is published
// has the last sequence that it covers as its priority.
const firstPriority = 1 << 63

// rowBytes is the estimated memory of a row without its text.
const rowBytes = 160

// Table is some unpublished records of one shard: the active one takes records,
// sealed ones wait to be published.
type Table struct {
	// Shard is the shard of the journal, Position, of a sealed table, how far its
	// records and those before them go.
	Shard    int
	Position persistence.Position

	number uint64 // later ones have higher numbers
	kinds  [market.NumKinds]rowsOfKind
	rows   atomic.Int64
	// messages are those that have records here, in journal order; the writer's
	// until the table is sealed.
	messages []message
	bytes    int64     // estimate; the writer's
	began    time.Time // when the first message was applied; the writer's
}

// message is a message of the journal, with the order number of its first record.
type message struct{ ord, seq uint64 }

// Seq is the journal sequence of the message that brought a record of a sealed
// table, by the record's order number.
func (t *Table) Seq(ord uint64) uint64 {
	i, found := slices.BinarySearchFunc(t.messages, ord, func(m message, ord uint64) int { return cmp.Compare(m.ord, ord) })
	if !found {
		i--
	}
	return t.messages[i].seq
}

type rowsOfKind struct {
	mu     sync.RWMutex
	series map[market.StreamID]*series
	rows   atomic.Int64
}

func newTable(shard int, number uint64) *Table { return &Table{Shard: shard, number: number} }

func (t *Table) priority() uint64 { return firstPriority + t.number }

// Rows counts the records, before equal keys are dropped.
func (t *Table) Rows() int64 { return t.rows.Load() }

// KindRows counts the records of one kind.
func (t *Table) KindRows(kind market.Kind) int64 { return t.kinds[kind].rows.Load() }

// Streams lists the streams that have records of a kind, in the order of a part.
func (t *Table) Streams(kind market.Kind) []market.StreamID {
	var list []market.StreamID
	for _, s := range t.kinds[kind].all() {
		list = append(list, s.stream)
	}
	return list
}

// Merge reads a stream's records of a kind, each key once. The second result
// counts the rows that another of the same key has replaced already.
func (t *Table) Merge(kind market.Kind, stream market.StreamID, from, to int64) (rows *part.Merge, dropped int64) {
	s := t.kinds[kind].find(stream)
	if s == nil {
		return part.NewMerge(nil, false), 0
	}
	return part.NewMerge(s.sources(nil, from, to, 0, nil), false), s.replaced()
}

// find returns a stream's series; nil when there is none.
func (k *rowsOfKind) find(stream market.StreamID) *series {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.series[stream]
}

// get returns a stream's series and makes it when needed.
func (k *rowsOfKind) get(stream market.StreamID, schema *part.Schema, names *part.Names) *series {
	if s := k.find(stream); s != nil {
		return s
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.series == nil {
		k.series = map[market.StreamID]*series{}
	}
	s := &series{stream: stream, schema: schema, names: names}
	k.series[stream] = s
	return s
}

// all lists the series in the order of a part.
func (k *rowsOfKind) all() []*series {
	k.mu.RLock()
	list := make([]*series, 0, len(k.series))
	for _, s := range k.series {
		list = append(list, s)
	}
	k.mu.RUnlock()
	slices.SortFunc(list, func(a, b *series) int { return part.CompareStreams(a.stream, b.stream) })
	return list
}

// First is the sequence of the first message of which a sealed table has records; 0
// without any.
func (t *Table) First() uint64 {
	if len(t.messages) == 0 {
		return 0
	}
	return t.messages[0].seq
}

// Began is when the first record of a sealed table was applied.
func (t *Table) Began() time.Time { return t.began }
