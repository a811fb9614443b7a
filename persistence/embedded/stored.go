package embedded

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/persistence/part"
)

// stored is one published part.
type stored struct {
	meta        *part.Meta
	generations *part.Generations
	// pins counts the queries and merges that read it.
	pins     atomic.Int64
	verified atomic.Bool
	removed  time.Time // when it left the manifest
	// archiving counts the archives that read it; guarded by Engine.mu.
	archiving int

	mu   sync.Mutex
	file *part.File
	used time.Time
}

// newStored is a part that is listed.
func (e *Engine) newStored(m *part.Meta) *stored {
	g := e.names.Generations()
	g.Note(m.JournalID, m.Created)
	return &stored{meta: m, generations: g}
}

// priority is that of its rows, among those of equal keys.
func (p *stored) priority() uint64 { return p.generations.Priority(p.meta.JournalID, p.meta.LastSeq) }

// open returns the part's file, opening it when needed. The caller has it pinned.
func (p *stored) open(e *Engine) (*part.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = e.now()
	if p.file != nil {
		return p.file, nil
	}
	f, err := part.Open(e.dir, p.meta, e.schemas[p.meta.Kind], e.names)
	if err != nil {
		return nil, err
	}
	p.file = f
	return f, nil
}

func (p *stored) closeFile() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file = nil
	return f.Close()
}

// lastUsed is when the file was opened or used; ok is false when it is closed.
func (p *stored) lastUsed() (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.file != nil
}

// sortParts puts parts in journal order, shard by shard.
func sortParts(parts []*stored) {
	slices.SortFunc(parts, func(a, b *stored) int {
		if a.meta.Shard != b.meta.Shard {
			return a.meta.Shard - b.meta.Shard
		}
		switch {
		case a.meta.LastSeq < b.meta.LastSeq:
			return -1
		case a.meta.LastSeq > b.meta.LastSeq:
			return 1
		}
		return 0
	})
}

// without returns the parts that are not in gone; queries may hold the old slice.
func without(parts []*stored, gone []*stored) []*stored {
	left := make([]*stored, 0, len(parts))
	for _, p := range parts {
		if !slices.Contains(gone, p) {
			left = append(left, p)
		}
	}
	return left
}
