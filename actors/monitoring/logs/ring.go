package logs

import (
	"fmt"
	"slices"
	"sync"
)

// Config bounds the lines.
type Config struct {
	Lines   int   `yaml:"lines" min:"100" max:"10000000" doc:"Last lines that are kept of all services and nodes."`
	Bytes   int64 `yaml:"bytes" unit:"bytes" min:"64KiB" doc:"What they may take in memory; the oldest go first."`
	Forward bool  `yaml:"forward" doc:"Whether a process without the monitoring-service sends its lines there, through the stream SERVICE_LOGS."`
}

// DefaultConfig is 20,000 lines.
func DefaultConfig() Config { return Config{Lines: 20_000, Bytes: 32 << 20, Forward: true} }

// Validate begins its error with the key.
func (c Config) Validate() error {
	if c.Lines < 100 || c.Lines > 10_000_000 {
		return fmt.Errorf("lines: %d, allowed 100 to 10000000", c.Lines)
	}
	if c.Bytes < 64<<10 {
		return fmt.Errorf("bytes: %d, at least 64KiB", c.Bytes)
	}
	return nil
}

// Ring keeps the last lines. It is safe for concurrent use.
type Ring struct {
	mu      sync.Mutex
	entries []Entry // of seq s at (s-1) % len
	last    uint64  // of the newest line; 0 before the first
	first   uint64  // of the oldest that is kept
	bytes   int64
	limit   int64
	waiting []chan struct{}
}

// NewRing makes an empty ring.
func NewRing(c Config) *Ring {
	return &Ring{entries: make([]Entry, c.Lines), limit: c.Bytes, first: 1}
}

func (r *Ring) at(seq uint64) *Entry { return &r.entries[(seq-1)%uint64(len(r.entries))] }

// Add keeps a line, whose number it sets.
func (r *Ring) Add(e *Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Seq = r.last
	if r.last-r.first >= uint64(len(r.entries)) {
		r.drop()
	}
	r.bytes += int64(e.size())
	*r.at(r.last) = *e
	for r.bytes > r.limit && r.first < r.last {
		r.drop()
	}
	for _, w := range r.waiting {
		select {
		case w <- struct{}{}:
		default: // it knows
		}
	}
}

// drop forgets the oldest line.
func (r *Ring) drop() {
	old := r.at(r.first)
	r.bytes -= int64(old.size())
	*old = Entry{}
	r.first++
}

// chunk is how many lines are looked at under one lock.
const chunk = 256

// After are the lines behind a number that are wanted, oldest first, at most limit.
// next is the number to go on behind; missed counts lines that were forgotten before
// they were read.
func (r *Ring) After(seq uint64, f *Filter, limit int) (found []Entry, next, missed uint64) {
	next = seq
	var part []Entry
	for len(found) < limit {
		var gone uint64
		part, gone = r.copied(part[:0], next+1)
		missed += gone
		if len(part) == 0 {
			return found, next + gone, missed
		}
		for i := range part {
			next = part[i].Seq
			if f.Wants(&part[i]) {
				found = append(found, part[i])
				if len(found) == limit {
					break
				}
			}
		}
	}
	return found, next, missed
}

// copied copies lines from a number on. gone counts those before the oldest.
func (r *Ring) copied(into []Entry, from uint64) (part []Entry, gone uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from < r.first {
		gone = r.first - from
		from = r.first
	}
	for seq := from; seq <= r.last && len(into) < chunk; seq++ {
		into = append(into, *r.at(seq))
	}
	return into, gone
}

// Last are the newest lines that are wanted, at most limit, oldest first.
func (r *Ring) Last(f *Filter, limit int) []Entry {
	found := []Entry{}
	r.mu.Lock()
	above := r.last + 1
	r.mu.Unlock()
	if f.Before > 0 {
		above = min(above, f.Before)
	}
	for above > 1 && len(found) < limit {
		from := max(1, int64(above)-chunk) //nolint:gosec // numbers are small
		part, _ := r.copied(make([]Entry, 0, chunk), uint64(from))
		if len(part) == 0 || part[0].Seq >= above {
			break
		}
		for i := len(part) - 1; i >= 0 && len(found) < limit; i-- {
			if part[i].Seq < above && f.Wants(&part[i]) {
				found = append(found, part[i])
			}
		}
		above = part[0].Seq
	}
	slices.Reverse(found)
	return found
}

// Bounds are the numbers of the oldest and of the newest line, 0 and 0 when there are
// none.
func (r *Ring) Bounds() (first, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == 0 {
		return 0, 0
	}
	return r.first, r.last
}

// Subscribe wakes whoever waits for lines; one wake may stand for many. cancel may be
// called again.
func (r *Ring) Subscribe() (wake <-chan struct{}, cancel func()) {
	w := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, w)
	return w, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting = slices.DeleteFunc(r.waiting, func(c chan struct{}) bool { return c == w })
	}
}
