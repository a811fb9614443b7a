package memtable

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"slices"
	"sync"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// Sizes of the blocks of a memtable.
const (
	blockRows = 8192
	blockText = 4 << 20
	// openBlocks is how many blocks of one instrument take rows: one for what is
	// live, others for what comes late.
	openBlocks = 4
	// tierBlocks is how many closed blocks of a size are merged into one.
	tierBlocks = 8
)

// series is one instrument's rows in a memtable. One goroutine appends; any may
// take a snapshot.
type series struct {
	mu     sync.Mutex
	stream market.StreamID
	schema *part.Schema
	names  *part.Names
	closed []*part.Block
	open   []*part.Block // the one that took the last row first
	// collected and external count rows, replaced ones included.
	collected, external int64
	dropped             int64
}

// append adds one record. ord is above that of every record before.
func (s *series) append(r market.Record, instrument uint32, ord uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Head().Origin == market.External {
		s.external++
	} else {
		s.collected++
	}
	for i, b := range s.open {
		b.Append(r, instrument, ord)
		if !b.KeepsOrder() {
			b.DropLast()
			continue
		}
		if b.Len() >= blockRows || b.Len()&255 == 0 && b.TextBytes() >= blockText {
			s.close(i)
		}
		return
	}
	if len(s.open) == openBlocks {
		s.closeSmallest()
	}
	b := part.NewBlock(s.schema, s.names)
	b.Append(r, instrument, ord)
	s.open = append(s.open, b)
}

// close moves an open block to the closed ones.
func (s *series) close(i int) {
	b := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	s.closed = append(s.closed, b)
	s.compact(b)
}

func (s *series) closeSmallest() {
	least := 0
	for i, b := range s.open {
		if b.Len() < s.open[least].Len() {
			least = i
		}
	}
	s.close(least)
}

func tier(b *part.Block) int { return bits.Len(uint(b.Len())) / 3 }

// compact merges closed blocks of one size once there are many, so that rows in
// any order cost a logarithm.
func (s *series) compact(newest *part.Block) {
	for newest.Len() < blockRows/2 {
		t := tier(newest)
		var same []part.Source
		for _, b := range s.closed {
			if b.Len() < blockRows/2 && tier(b) == t {
				same = append(same, part.NewBlockSource(b, 0, b.Len(), 0))
			}
		}
		if len(same) < tierBlocks {
			return
		}
		merged, err := s.merge(same)
		if err != nil { // blocks in memory do not fail
			panic("memtable: merging blocks: " + err.Error())
		}
		rest := make([]*part.Block, 0, len(s.closed)) // snapshots hold the old slice
		for _, b := range s.closed {
			if b.Len() >= blockRows/2 || tier(b) != t {
				rest = append(rest, b)
			}
		}
		s.closed = append(rest, merged)
		newest = merged
	}
}

func (s *series) merge(sources []part.Source) (*part.Block, error) {
	m := part.NewMerge(sources, false)
	out := part.NewBlock(s.schema, s.names)
	for {
		// Blocks in memory neither wait nor can be cancelled.
		span, err := m.Next(context.Background())
		if errors.Is(err, io.EOF) {
			s.dropped += m.Dropped
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out.AppendRows(span.Block, span.Lo, span.Hi)
	}
}

// snapshot returns the blocks that hold the rows of now.
func (s *series) snapshot() []*part.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocks := make([]*part.Block, 0, len(s.closed)+len(s.open))
	blocks = append(blocks, s.closed...)
	for _, b := range s.open {
		blocks = append(blocks, b.Snapshot())
	}
	return blocks
}

// sources appends the series' rows with ts in [from, to) as sources of a merge.
func (s *series) sources(dst []part.Source, from, to int64, priority uint64, has part.Projection) []part.Source {
	for _, b := range s.snapshot() {
		lo := b.TimesFrom(from, 0, b.Len())
		hi := b.TimesFrom(to, lo, b.Len())
		if lo < hi {
			dst = append(dst, part.NewBlockSource(b.Project(has), lo, hi, priority))
		}
	}
	return dst
}

// origins counts the rows by origin.
func (s *series) origins() (collected, external int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.collected, s.external
}

// replaced counts the rows that merging blocks in memory has dropped.
func (s *series) replaced() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}
