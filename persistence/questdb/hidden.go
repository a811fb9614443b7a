package questdb

import (
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// bound says which rows of a table are not read here any more: those that came by a
// shard of a journal up to a sequence. The cold store has them, or they are too old.
type bound struct {
	journal string // with the shard
	seq     uint64
}

// moving is what an engine knows of rows that leave it; guarded by Engine.mu.
type moving struct {
	started time.Time
	// By table and journal (with the shard): up to where the cold store has the rows,
	// and up to where they are too old to be read.
	archived, forgotten [market.NumKinds]map[string]uint64
	// backlogs are what is left to archive, unlooked the tables of which that is not
	// known, known the journals that a table has rows of; nil before the server was asked.
	backlogs [market.NumKinds]map[string]backlog
	unlooked [market.NumKinds]bool
	known    [market.NumKinds]map[string]bool
	views    map[*view]struct{} // open ones
	arrivals map[string]*arrivals
	// arrivalsKnown: those of earlier processes are read.
	arrivalsKnown bool
}

func newMoving(now time.Time) moving {
	m := moving{started: now, views: map[*view]struct{}{}, arrivals: map[string]*arrivals{}}
	for kind := range m.archived {
		m.archived[kind], m.forgotten[kind], m.backlogs[kind] = map[string]uint64{}, map[string]uint64{}, map[string]backlog{}
		m.unlooked[kind] = true
	}
	return m
}

// hide makes rows of a table that came by a shard of a journal unread from now on.
// Queries that are under way go on reading them.
func (*moving) hide(at map[string]uint64, journal string, seq uint64) {
	if seq > at[journal] {
		at[journal] = seq
	}
}

// hidden is what a query that begins now does not read, by journal. e.mu is locked.
func (e *Engine) hidden(kind market.Kind) []bound {
	var list []bound
	for journal, seq := range e.archived[kind] {
		list = append(list, bound{journal, max(seq, e.forgotten[kind][journal])})
	}
	for journal, seq := range e.forgotten[kind] {
		if _, ok := e.archived[kind][journal]; !ok {
			list = append(list, bound{journal, seq})
		}
	}
	return list
}

// unread is what no query reads, of a table whose rows up to limits may go: a query
// under way reads what was not hidden when it began.
func (e *Engine) unread(kind market.Kind, limits []bound) []bound {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := map[string]uint64{}
	for _, b := range e.hidden(kind) {
		now[b.journal] = b.seq
	}
	for v := range e.views {
		if v.s.Kind != kind {
			continue
		}
		for journal, seq := range now {
			now[journal] = min(seq, seqOf(v.hidden, journal))
		}
	}
	var list []bound
	for _, b := range limits {
		if seq := min(b.seq, now[b.journal]); seq > 0 {
			list = append(list, bound{b.journal, seq})
		}
	}
	return list
}

func seqOf(list []bound, journal string) uint64 {
	for _, b := range list {
		if b.journal == journal {
			return b.seq
		}
	}
	return 0
}
