package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// found is everything that the program says of a stream.
type found struct {
	tradeGaps, bookGaps []gap
	snapshots           []int64 // numbers of the stored snapshots, rising
}

func (s *stream) found(t *testing.T, n *harness.Node) *found {
	t.Helper()
	f := &found{}
	for _, stored := range n.MustQuery("book_delta", s.exchange, s.symbol, "market", s.market) {
		r := parse(t, stored.Line)
		if r.Snapshot {
			f.snapshots = append(f.snapshots, r.number())
		}
	}
	slices.Sort(f.snapshots)
	f.tradeGaps, f.bookGaps = s.gaps(n, "trade"), s.gaps(n, "book_delta")
	for _, g := range append(slices.Clone(f.tradeGaps), f.bookGaps...) {
		bounded := g.bounded || s.truth.legacy && g.Channel == "book_delta" && g.times().to > 0
		if g.Outcome == "open" || g.Outcome == "marked" && !bounded {
			t.Errorf("%v: a gap without an end or bounds: %s", s, g.Line)
		}
	}
	return f
}

// judge looks for each fault of the stream in what the program says.
func (s *stream) judge(t *testing.T, have *found, all []told, y tally) {
	t.Helper()
	for _, f := range all {
		if f.Exchange != s.exchange || f.Market != s.market || f.Symbol != s.symbol {
			continue
		}
		at := y.row(s, f.Fault)
		at.injected++
		var g *gap
		book := f.Channel == bookChannels[s.exchange]
		// Without numbers a repeat does no harm and leaves no trace, and so does a
		// loss that changes nothing within the levels of a checksum, or nothing that
		// the next frame does not say again.
		traceless := book && s.truth.legacy
		switch must := f.Must; {
		case must == "unverifiable", must == "silence", must == "duplicate" && traceless:
			at.unproven++
			continue
		case must == "duplicate":
			if at.repeats > 0 {
				at.repeats--
				at.detected++
				at.healed++
			} else {
				at.missed = append(at.missed, fmt.Sprintf("%v: %+v: fewer repeats were counted", s, f))
			}
			continue
		case must == "reconnect", traceless:
			g = have.interrupted(f, book)
		default:
			if book {
				g = have.bookHole(f)
			} else {
				g = have.tradeHole(f)
			}
		}
		switch {
		case g == nil && traceless && f.Fault != "bad-checksum" && f.Fault != "crossed":
			at.unproven++
			continue
		case g == nil:
			at.missed = append(at.missed, fmt.Sprintf("%v: %+v", s, f))
			continue
		case g.Outcome == "healed":
			at.healed++
		default:
			at.marked++
		}
		at.detected++
	}
}

// tradeHole is the gap that covers what a fault took.
func (have *found) tradeHole(f told) *gap {
	for i := range have.tradeGaps {
		if g := &have.tradeGaps[i]; g.from <= f.First && f.Last <= g.to {
			return g
		}
	}
	return nil
}

// bookHole is the gap that a fault of a book falls into: from its beginning to the
// snapshot that ends it, nothing is applied.
func (have *found) bookHole(f told) *gap {
	for i := range have.bookGaps {
		g := &have.bookGaps[i]
		end := g.to
		if g.Outcome != "healed" {
			if n, _ := slices.BinarySearch(have.snapshots, g.from); n < len(have.snapshots) {
				end = max(end, have.snapshots[n])
			}
		}
		if g.from <= f.Last && f.First <= end {
			return g
		}
	}
	return nil
}

// interrupted is a gap that the moment of a fault falls into.
func (have *found) interrupted(f told, book bool) *gap {
	gaps := have.tradeGaps
	if book {
		gaps = have.bookGaps
	}
	const slack = int64(250 * time.Millisecond) // a book is told of in pieces of 100 ms
	for i := range gaps {
		if in := gaps[i].times(); in.from-slack <= f.Time && f.Time <= in.to+slack {
			return &gaps[i]
		}
	}
	return nil
}

// times are those of the last record before and the first after, Unix ns; 0 for none.
func (g *gap) times() span {
	var times struct {
		From int64 `json:"from_time_ns"`
		To   int64 `json:"to_time_ns"`
	}
	_ = json.Unmarshal([]byte(g.Line), &times) // the line was read before
	return span{times.From, times.To}
}
