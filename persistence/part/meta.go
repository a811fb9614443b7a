package part

import (
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// Range is where one instrument's rows are in a file.
type Range struct {
	Stream market.StreamID
	// First is the index of the first row in the file.
	First, Rows int64
	// MinTime and MaxTime are the lowest and highest ts, Unix ns.
	MinTime, MaxTime int64
	// Collected counts the rows of origin collected; the others are external.
	Collected int64
}

// Meta describes one file.
type Meta struct {
	Kind market.Kind
	// File is the path below the store's directory.
	File string
	Rows int64
	// Bytes is the file's size and Checksum the xxHash64 of its content.
	Bytes    int64
	Checksum uint64
	// MinTime and MaxTime are the lowest and highest ts, Unix ns.
	MinTime, MaxTime int64
	// JournalID, Shard, FirstSeq and LastSeq are the journal range covered, both
	// ends inclusive.
	JournalID         string
	Shard             int
	FirstSeq, LastSeq uint64
	// Created is when the records were published, Unix ns; of a merged file, when
	// its oldest were.
	Created int64
	// Ranges lists the instruments in the order of their rows.
	Ranges []Range
}

// CompareStreams is the order of instruments in a file: by exchange, market's
// word and symbol, as texts.
func CompareStreams(a, b market.StreamID) int {
	if c := strings.Compare(a.Exchange, b.Exchange); c != 0 {
		return c
	}
	if a.Market != b.Market {
		return strings.Compare(a.Market.String(), b.Market.String())
	}
	return strings.Compare(a.Symbol, b.Symbol)
}

// Find returns the range of a stream; nil when the file has none of its rows.
func (m *Meta) Find(stream market.StreamID) *Range {
	lo, hi := 0, len(m.Ranges)
	for lo < hi {
		mid := (lo + hi) / 2
		switch c := CompareStreams(m.Ranges[mid].Stream, stream); {
		case c == 0:
			return &m.Ranges[mid]
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return nil
}
