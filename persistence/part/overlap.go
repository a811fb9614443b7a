package part

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
)

// Overlap is a stretch of time, both ends inclusive, that several of a stream's
// sources cover, so that they may have equal keys.
type Overlap[T any] struct {
	Lo, Hi int64
	In     []T
}

// Overlaps returns the stretches that at least two of all cover, joined where they
// touch; bounds are the lowest and the highest ts of one. It sorts all.
func Overlaps[T any](all []T, bounds func(T) (lo, hi int64)) []Overlap[T] {
	slices.SortFunc(all, func(a, b T) int {
		alo, _ := bounds(a)
		blo, _ := bounds(b)
		return compareInt(alo, blo)
	})
	var found []Overlap[T]
	var reach int64 // highest ts of those before
	for i, x := range all {
		lo, hi := bounds(x)
		if i > 0 && lo <= reach {
			end := min(reach, hi)
			if n := len(found); n > 0 && lo <= found[n-1].Hi {
				found[n-1].Hi = max(found[n-1].Hi, end)
			} else {
				found = append(found, Overlap[T]{Lo: lo, Hi: end})
			}
		}
		if i == 0 || hi > reach {
			reach = hi
		}
	}
	for i := range found {
		o := &found[i]
		for _, x := range all {
			if lo, hi := bounds(x); lo <= o.Hi && hi >= o.Lo {
				o.In = append(o.In, x)
			}
		}
	}
	return found
}

// CountDropped reads a merge to its end and returns how many rows another row of the
// same key replaced.
func CountDropped(ctx context.Context, m *Merge) (int64, error) {
	for {
		if _, err := m.Next(ctx); errors.Is(err, io.EOF) {
			return m.Dropped, nil
		} else if err != nil {
			return 0, err
		}
	}
}

// Counted remembers what files, which never change, had in equal keys, by names of the
// caller's. It is safe for concurrent use.
type Counted struct {
	mu sync.Mutex
	m  map[string]int64
}

const countedKept = 100_000

// Get returns what was put under a name; "" has nothing.
func (c *Counted) Get(name string) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.m[name]
	return n, ok && name != ""
}

// Put keeps a count, unless the name is "".
func (c *Counted) Put(name string, n int64) {
	if name == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= countedKept {
		c.m = map[string]int64{}
	}
	c.m[name] = n
}
