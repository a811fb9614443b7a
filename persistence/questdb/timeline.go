package questdb

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"math"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
)

// timeline is the rows of a kind of a sealed table in the order of their times, those
// of one stream in reading order. Sent stream by stream they would cover the same
// time again and again, and the server would sort and merge them.
type timeline []*cursor

// cursor is one stream's next row.
type cursor struct {
	rows *part.Merge
	span part.Span
}

func newTimeline(ctx context.Context, t *memtable.Table, kind market.Kind) (*timeline, error) {
	l := &timeline{}
	for _, stream := range t.Streams(kind) {
		rows, _ := t.Merge(kind, stream, math.MinInt64, math.MaxInt64)
		c := &cursor{rows: rows}
		switch more, err := c.advance(ctx); {
		case err != nil:
			return nil, err
		case more:
			*l = append(*l, c)
		}
	}
	heap.Init(l)
	return l, nil
}

// advance goes on to the stream's next row; false when there is none.
func (c *cursor) advance(ctx context.Context) (more bool, err error) {
	if c.span.Lo++; c.span.Lo < c.span.Hi {
		return true, nil
	}
	c.span, err = c.rows.Next(ctx)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// next is where the next row is; the block is nil behind the last. The row is good
// until the timeline is advanced.
func (l *timeline) next() (b *part.Block, row int) {
	if len(*l) == 0 {
		return nil, 0
	}
	first := (*l)[0]
	return first.span.Block, first.span.Lo
}

// advance goes behind the row that next has returned.
func (l *timeline) advance(ctx context.Context) error {
	more, err := (*l)[0].advance(ctx)
	if err != nil {
		return err
	}
	if more {
		heap.Fix(l, 0)
	} else {
		heap.Pop(l)
	}
	return nil
}

// Len implements [heap.Interface].
func (l *timeline) Len() int { return len(*l) }

// Less implements [heap.Interface].
func (l *timeline) Less(i, j int) bool { return (*l)[i].ts() < (*l)[j].ts() }

func (c *cursor) ts() int64 { return c.span.Block.TS(c.span.Lo) }

// Swap implements [heap.Interface].
func (l *timeline) Swap(i, j int) { (*l)[i], (*l)[j] = (*l)[j], (*l)[i] }

// Push implements [heap.Interface].
func (l *timeline) Push(c any) { *l = append(*l, c.(*cursor)) }

// Pop implements [heap.Interface].
func (l *timeline) Pop() any {
	last := len(*l) - 1
	c := (*l)[last]
	*l = (*l)[:last]
	return c
}
