package market

import (
	"iter"
	"math/bits"
	"reflect"
)

// Batch holds records of any kinds, in order, in memory of its own. It is not
// safe for concurrent use, and a record in it must not be used after
// [Batch.Reset].
type Batch struct {
	cols   [NumKinds]rows
	order  []entry
	levels []Level
	used   uint32 // a bit for each kind that has rows
}

type entry struct {
	kind Kind
	at   int
}

// rows are the records of one kind.
type rows interface {
	add() Record
	record(i int) Record
	len() int
	cut(n int)
	// memory is the size of all rows that there is room for, in bytes.
	memory() int64
	// copy overwrites the i-th record with r, of the same kind.
	copy(i int, r Record)
}

// typedRows keeps records in chunks, so that a pointer to one stays good while
// others are added. The first chunks are small: most batches are one frame's, and
// a batch keeps a chunk of every kind that it ever held.
type typedRows[T any, P recordOf[T]] struct {
	chunks [][]T
	n      int
}

const (
	firstChunk  = 1
	secondChunk = 7
	chunkRows   = 64
)

// place is where the i-th row stands.
func place(i int) (chunk, at int) {
	if i < firstChunk {
		return 0, i
	}
	if i -= firstChunk; i < secondChunk {
		return 1, i
	}
	i -= secondChunk
	return 2 + i/chunkRows, i % chunkRows
}

func chunkSize(chunk int) int {
	switch chunk {
	case 0:
		return firstChunk
	case 1:
		return secondChunk
	}
	return chunkRows
}

type recordOf[T any] interface {
	*T
	Record
}

func newRows[T any, P recordOf[T]]() rows { return &typedRows[T, P]{} }

func (r *typedRows[T, P]) next() P {
	c, i := place(r.n)
	if c == len(r.chunks) {
		r.chunks = append(r.chunks, make([]T, chunkSize(c)))
	}
	p := &r.chunks[c][i]
	r.n++
	var zero T
	*p = zero
	return p
}

func (r *typedRows[T, P]) add() Record { return r.next() }

func (r *typedRows[T, P]) at(i int) P {
	c, at := place(i)
	return &r.chunks[c][at]
}

func (r *typedRows[T, P]) record(i int) Record { return r.at(i) }
func (r *typedRows[T, P]) len() int            { return r.n }
func (r *typedRows[T, P]) memory() int64 {
	rows := 0
	for c := range r.chunks {
		rows += len(r.chunks[c])
	}
	return int64(rows) * int64(reflect.TypeFor[T]().Size())
}
func (r *typedRows[T, P]) cut(n int) { r.n = min(r.n, n) }

func (r *typedRows[T, P]) copy(i int, from Record) {
	p, ok := from.(P)
	if !ok {
		panic("market: a record of another kind")
	}
	*r.at(i) = *p
}

// Add appends an empty record: Add[market.Trade](b). The pointer stays good
// until the batch is reset.
func Add[T any, P recordOf[T]](b *Batch) P {
	kind := P(nil).Kind()
	col, ok := b.cols[kind].(*typedRows[T, P])
	if !ok {
		col = &typedRows[T, P]{}
		b.cols[kind] = col
	}
	b.order = append(b.order, entry{kind, col.n})
	b.used |= 1 << kind
	return col.next()
}

// AddKind appends an empty record of a kind known only at run time; the kind
// must be valid.
func (b *Batch) AddKind(k Kind) Record {
	if b.cols[k] == nil {
		b.cols[k] = kindRows[k].rows()
	}
	b.order = append(b.order, entry{k, b.cols[k].len()})
	b.used |= 1 << k
	return b.cols[k].add()
}

// Level appends one level to the batch's arena. The levels of one side must be
// added without others between: take [Batch.LevelMark] before and
// [Batch.LevelsFrom] after.
func (b *Batch) Level(l Level) { b.levels = append(b.levels, l) }

// LevelMark is the place where the next level will stand.
func (b *Batch) LevelMark() int { return len(b.levels) }

// LevelsFrom returns the levels added since mark, good until the batch is reset.
func (b *Batch) LevelsFrom(mark int) []Level {
	return b.levels[mark:len(b.levels):len(b.levels)]
}

// CopyLevels copies levels into the batch's arena.
func (b *Batch) CopyLevels(levels []Level) []Level {
	mark := b.LevelMark()
	b.levels = append(b.levels, levels...)
	return b.LevelsFrom(mark)
}

// Len is the number of records.
func (b *Batch) Len() int { return len(b.order) }

// At returns the i-th record in order.
func (b *Batch) At(i int) Record {
	e := b.order[i]
	return b.cols[e.kind].record(e.at)
}

// All yields the records in order.
func (b *Batch) All() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for i := range b.order {
			if !yield(b.At(i)) {
				return
			}
		}
	}
}

// Rows yields the records of one kind in order: Rows[market.Trade](b).
func Rows[T any, P recordOf[T]](b *Batch) iter.Seq[P] {
	return func(yield func(P) bool) {
		col, ok := b.cols[P(nil).Kind()].(*typedRows[T, P])
		if !ok {
			return
		}
		for i := range col.n {
			if !yield(col.at(i)) {
				return
			}
		}
	}
}

// Count is the number of records of one kind.
func (b *Batch) Count(k Kind) int {
	if b.cols[k] == nil {
		return 0
	}
	return b.cols[k].len()
}

// Truncate drops the records after the first n, as when a frame turns out
// malformed half way.
func (b *Batch) Truncate(n int) {
	for _, e := range b.order[n:] {
		switch col := b.cols[e.kind].(type) {
		case interface{ cut(int) }:
			col.cut(e.at)
		}
	}
	b.order = b.order[:n]
}

// Copy appends a deep copy of r, levels included.
func (b *Batch) Copy(r Record) Record {
	c := b.AddKind(r.Kind())
	col := b.cols[r.Kind()]
	col.copy(col.len()-1, r)
	if c, ok := c.(interface{ ownLevels(*Batch) }); ok {
		c.ownLevels(b)
	}
	return c
}

// Memory is what the batch keeps, in bytes: for the records in it, and from those
// that were in it before. Long numbers and texts are left out.
func (b *Batch) Memory() int64 {
	n := batchBytes + int64(cap(b.levels))*levelBytes + int64(cap(b.order))*entryBytes
	for _, col := range b.cols {
		if col != nil {
			n += col.memory()
		}
	}
	return n
}

var (
	batchBytes = int64(reflect.TypeFor[Batch]().Size())
	levelBytes = int64(reflect.TypeFor[Level]().Size())
	entryBytes = int64(reflect.TypeFor[entry]().Size())
)

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	for used := b.used; used != 0; used &= used - 1 {
		b.cols[bits.TrailingZeros32(used)].cut(0)
	}
	b.used = 0
	b.order = b.order[:0]
	b.levels = b.levels[:0]
}
