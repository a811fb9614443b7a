package part

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io"
)

// Fan yields the rows of several instruments, each from a merge of its own, in
// reading order.
type Fan struct {
	desc bool
	all  []*strand
}

type strand struct {
	merge *Merge
	span  Span
	at    int64 // ts of the next row, or the earliest that it can be
	key   []byte
}

// NewFan returns the union of merges, which must have the fan's direction.
func NewFan(merges []*Merge, descending bool) *Fan {
	f := &Fan{desc: descending}
	for _, m := range merges {
		if at, ok := m.Start(); ok {
			f.all = append(f.all, &strand{merge: m, at: at})
		}
	}
	heap.Init(f)
	return f
}

// Next returns rows to be read in the scan's direction, good until the next
// call; io.EOF at the end.
func (f *Fan) Next(ctx context.Context) (Span, error) {
	for len(f.all) > 0 {
		s := f.all[0]
		if s.span.Lo >= s.span.Hi {
			if err := f.advance(ctx); err != nil {
				return Span{}, err
			}
			continue
		}
		return f.take(s), nil
	}
	return Span{}, io.EOF
}

// advance fetches rows for the first strand, or removes it.
func (f *Fan) advance(ctx context.Context) error {
	s := f.all[0]
	span, err := s.merge.Next(ctx)
	if errors.Is(err, io.EOF) {
		heap.Pop(f)
		return nil
	}
	if err != nil {
		return err
	}
	s.span = span
	s.look(f.desc)
	heap.Fix(f, 0)
	return nil
}

// look sets where the strand's next row belongs.
func (s *strand) look(desc bool) {
	row := s.span.Lo
	if desc {
		row = s.span.Hi - 1
	}
	s.at = s.span.Block.TS(row)
	s.key = s.span.Block.AppendSortKey(s.key[:0], row)
}

// take returns the rows of the first strand that come before every other's.
func (f *Fan) take(s *strand) Span {
	out := s.span
	if len(f.all) == 1 {
		s.span.Lo = s.span.Hi
		return out
	}
	second := f.all[1]
	if len(f.all) > 2 && f.Less(2, 1) {
		second = f.all[2]
	}
	switch {
	case s.at == second.at && f.desc:
		out.Lo = out.Hi - 1
	case s.at == second.at:
		out.Hi = out.Lo + 1
	case f.desc:
		out.Lo = out.Block.TimesFrom(second.at+1, out.Lo, out.Hi)
	default:
		out.Hi = out.Block.TimesFrom(second.at, out.Lo, out.Hi)
	}
	if f.desc {
		s.span.Hi = out.Lo
	} else {
		s.span.Lo = out.Hi
	}
	if s.span.Lo < s.span.Hi {
		s.look(f.desc)
	} else {
		// Without rows it must be fetched before anything at this ts is yielded;
		// rows to come are not before the ones that went.
		s.key = s.key[:0]
	}
	heap.Fix(f, 0)
	return out
}

// Len implements heap.Interface.
func (f *Fan) Len() int { return len(f.all) }

// Less implements heap.Interface: a strand whose rows are not fetched yet comes
// before others of its ts.
func (f *Fan) Less(i, j int) bool {
	a, b := f.all[i], f.all[j]
	if a.at != b.at {
		return (a.at < b.at) != f.desc
	}
	aEmpty, bEmpty := a.span.Lo >= a.span.Hi, b.span.Lo >= b.span.Hi
	if aEmpty || bEmpty {
		return aEmpty && !bEmpty
	}
	return (bytes.Compare(a.key, b.key) < 0) != f.desc
}

// Swap implements heap.Interface.
func (f *Fan) Swap(i, j int) { f.all[i], f.all[j] = f.all[j], f.all[i] }

// Push implements heap.Interface; a fan only shrinks.
func (f *Fan) Push(any) {}

// Pop implements heap.Interface.
func (f *Fan) Pop() any {
	last := f.all[len(f.all)-1]
	f.all = f.all[:len(f.all)-1]
	return last
}
