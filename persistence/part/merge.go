package part

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
)

// Span is rows [Lo, Hi) of a block, to be read upwards, or downwards when the
// scan is descending.
type Span struct {
	Block  *Block
	Lo, Hi int
}

// Source yields the rows of one instrument, in reading order and without equal
// keys, or in exactly the opposite order.
type Source interface {
	// Bounds are the lowest and highest ts that the source may yield.
	Bounds() (lo, hi int64)
	// Priority decides between equal keys of different sources: the higher wins.
	// Between sources of one priority the rows' journal order decides.
	Priority() uint64
	// Next returns the next rows, good until the next call; io.EOF at the end.
	Next(ctx context.Context) (Span, error)
}

// BlockSource is a source over rows of one block.
type BlockSource struct {
	span     Span
	priority uint64
}

// NewBlockSource returns a source over rows [lo, hi), hi > lo.
func NewBlockSource(b *Block, lo, hi int, priority uint64) *BlockSource {
	return &BlockSource{Span{b, lo, hi}, priority}
}

// Bounds implements [Source].
func (s *BlockSource) Bounds() (lo, hi int64) {
	return s.span.Block.TS(s.span.Lo), s.span.Block.TS(s.span.Hi - 1)
}

// Priority implements [Source].
func (s *BlockSource) Priority() uint64 { return s.priority }

// Next implements [Source].
func (s *BlockSource) Next(context.Context) (Span, error) {
	if s.span.Lo >= s.span.Hi {
		return Span{}, io.EOF
	}
	out := s.span
	s.span.Lo = s.span.Hi
	return out, nil
}

// Merge yields the rows of one instrument from several sources in reading order,
// each key once. A source is touched only when the scan reaches its bounds.
type Merge struct {
	desc    bool
	pending []Source // by start
	active  []*cursor
	group   *Block
	queue   []int // rows of group to emit, from next on
	next    int
	rows    []candidate // of the group
	keys    []byte      // their sort keys
	// Dropped counts rows that another row of the same key replaced.
	Dropped int64
}

type cursor struct {
	src  Source
	span Span
}

// NewMerge returns a merge of sources; it keeps the slice.
func NewMerge(sources []Source, descending bool) *Merge {
	slices.SortStableFunc(sources, func(a, b Source) int {
		alo, ahi := a.Bounds()
		blo, bhi := b.Bounds()
		if descending {
			return compareInt(bhi, ahi)
		}
		return compareInt(alo, blo)
	})
	return &Merge{desc: descending, pending: sources}
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sooner reports whether ts a comes before b in the direction of the scan.
func (m *Merge) sooner(a, b int64) bool {
	if m.desc {
		return a > b
	}
	return a < b
}

// never is a ts after all others in the direction of the scan.
func (m *Merge) never() int64 {
	if m.desc {
		return math.MinInt64
	}
	return math.MaxInt64
}

// Start is the first ts that the merge may yield; false when there is nothing
// left.
func (m *Merge) Start() (int64, bool) {
	if m.next < len(m.queue) {
		return m.group.TS(m.queue[m.next]), true
	}
	best, ok := m.never(), false
	for _, c := range m.active {
		if t := c.head(m.desc); !ok || m.sooner(t, best) {
			best, ok = t, true
		}
	}
	if len(m.pending) > 0 {
		if t := m.start(m.pending[0]); !ok || m.sooner(t, best) {
			best, ok = t, true
		}
	}
	return best, ok
}

func (m *Merge) start(s Source) int64 {
	lo, hi := s.Bounds()
	if m.desc {
		return hi
	}
	return lo
}

func (c *cursor) head(desc bool) int64 {
	if desc {
		return c.span.Block.TS(c.span.Hi - 1)
	}
	return c.span.Block.TS(c.span.Lo)
}

// refill fetches rows when the cursor has none; false at its end.
func (c *cursor) refill(ctx context.Context) (bool, error) {
	for c.span.Lo >= c.span.Hi {
		span, err := c.src.Next(ctx)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		c.span = span
	}
	return true, nil
}

// Next returns rows to be read in the scan's direction, good until the next
// call; io.EOF at the end.
func (m *Merge) Next(ctx context.Context) (Span, error) {
	if m.next < len(m.queue) {
		return m.dequeue(), nil
	}
	if err := m.settle(ctx); err != nil {
		return Span{}, err
	}
	if len(m.active) == 0 {
		return Span{}, io.EOF
	}
	first, bound, tie := m.lead()
	if tie {
		if err := m.gather(ctx, first.head(m.desc)); err != nil {
			return Span{}, err
		}
		return m.dequeue(), nil
	}
	return first.take(bound, m.desc), nil
}

// settle drops finished cursors and activates the sources that the scan has
// reached.
func (m *Merge) settle(ctx context.Context) error {
	for i := 0; i < len(m.active); {
		ok, err := m.active[i].refill(ctx)
		if err != nil {
			return err
		}
		if !ok {
			m.active = slices.Delete(m.active, i, i+1)
			continue
		}
		i++
	}
	for len(m.pending) > 0 {
		if len(m.active) > 0 {
			first, _, _ := m.lead()
			if m.sooner(first.head(m.desc), m.start(m.pending[0])) {
				return nil
			}
		}
		c := &cursor{src: m.pending[0]}
		m.pending = m.pending[1:]
		ok, err := c.refill(ctx)
		if err != nil {
			return err
		}
		if ok {
			m.active = append(m.active, c)
		}
	}
	return nil
}

// lead returns the cursor that comes first, the ts before which nobody else has
// rows, and whether another one has a row of the same ts.
func (m *Merge) lead() (first *cursor, bound int64, tie bool) {
	bound = m.never()
	if len(m.pending) > 0 {
		bound = m.start(m.pending[0])
	}
	var at int64
	for _, c := range m.active {
		t := c.head(m.desc)
		switch {
		case first == nil:
			first, at = c, t
		case m.sooner(t, at):
			if m.sooner(at, bound) {
				bound = at
			}
			first, at = c, t
		case m.sooner(t, bound):
			bound = t
		}
	}
	return first, bound, first != nil && at == bound && len(m.active) > 1
}

// take returns the rows that come before bound.
func (c *cursor) take(bound int64, desc bool) Span {
	out := c.span
	switch {
	case desc && bound == math.MinInt64, !desc && bound == math.MaxInt64:
		c.span.Lo = c.span.Hi
	case desc:
		out.Lo = out.Block.TimesFrom(bound+1, out.Lo, out.Hi)
		c.span.Hi = out.Lo
	default:
		out.Hi = out.Block.TimesFrom(bound, out.Lo, out.Hi)
		c.span.Lo = out.Hi
	}
	return out
}

// candidate is one of several rows of one ts.
type candidate struct {
	from, to int // its sort key in Merge.keys
	row      int // in Merge.group
	priority uint64
	ord      uint64
}

func (m *Merge) key(c *candidate) []byte { return m.keys[c.from:c.to] }

// gather collects the rows of one ts from every cursor, drops those that another
// replaces, and queues the rest.
func (m *Merge) gather(ctx context.Context, ts int64) error {
	m.rows, m.keys = m.rows[:0], m.keys[:0]
	for _, c := range m.active {
		for {
			ok, err := c.refill(ctx)
			if err != nil {
				return err
			}
			if !ok || c.head(m.desc) != ts {
				break
			}
			if err := m.collect(c); err != nil {
				return err
			}
		}
	}
	// By identity, the winner first.
	slices.SortFunc(m.rows, func(a, b candidate) int {
		if c := bytes.Compare(identityOf(m.key(&a)), identityOf(m.key(&b))); c != 0 {
			return c
		}
		if a.priority != b.priority {
			return -compareUint(a.priority, b.priority)
		}
		return -compareUint(a.ord, b.ord)
	})
	before := len(m.rows)
	m.rows = slices.CompactFunc(m.rows, func(a, b candidate) bool {
		return bytes.Equal(identityOf(m.key(&a)), identityOf(m.key(&b)))
	})
	m.Dropped += int64(before - len(m.rows))
	slices.SortFunc(m.rows, func(a, b candidate) int {
		if m.desc {
			a, b = b, a
		}
		return bytes.Compare(m.key(&a), m.key(&b))
	})
	m.queue = m.queue[:0]
	for i := range m.rows {
		m.queue = append(m.queue, m.rows[i].row)
	}
	m.next = 0
	return nil
}

// collect takes one row of a cursor into the group.
func (m *Merge) collect(c *cursor) error {
	row := c.span.Lo
	if m.desc {
		row = c.span.Hi - 1
		c.span.Hi--
	} else {
		c.span.Lo++
	}
	b := c.span.Block
	if err := b.needKeys(); err != nil {
		return err
	}
	if m.group == nil {
		m.group = NewBlock(b.schema, b.names)
	}
	if len(m.rows) == 0 {
		m.group.Reset()
		m.group.has = b.has
	}
	cand := candidate{from: len(m.keys), row: m.group.n, priority: c.src.Priority()}
	m.keys = b.AppendSortKey(m.keys, row)
	cand.to = len(m.keys)
	if b.ord != nil {
		cand.ord = b.ord[row]
	}
	m.group.AppendRows(b, row, row+1)
	m.rows = append(m.rows, cand)
	return nil
}

func compareUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (m *Merge) dequeue() Span {
	row := m.queue[m.next]
	m.next++
	return Span{m.group, row, row + 1}
}
