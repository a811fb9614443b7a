package cold

import (
	"fmt"
	"maps"
	"time"
)

// state is what the records add up to.
type state struct {
	n        uint64 // the last record
	parts    map[string]Part
	archived map[tableShard]Archived
	removed  map[string]time.Time // files that are still to be deleted, and since when
	damaged  map[string]Damaged   // listed files that are not read
	doubted  map[string]Damaged   // files that are not listed, and neither read nor deleted
	// began is when the first row of each journal had arrived, Unix ns, of all that was
	// ever listed.
	began map[string]int64
}

// tableShard is one table of one shard of a journal: the positions of one journal
// say nothing about another's.
type tableShard struct {
	table   string
	shard   int
	journal string
}

func newState() state {
	return state{
		parts: map[string]Part{}, archived: map[tableShard]Archived{}, removed: map[string]time.Time{},
		damaged: map[string]Damaged{}, doubted: map[string]Damaged{}, began: map[string]int64{},
	}
}

// fits reports how a record does not fit what was before; nil when it does.
func (s *state) fits(r *Record) error {
	if r.N != s.n+1 {
		return fmt.Errorf("record %d follows record %d", r.N, s.n)
	}
	if r.Anew {
		return nil
	}
	changed := map[string]bool{} // whether it is listed then
	listed := func(name string) bool {
		if is, ok := changed[name]; ok {
			return is
		}
		_, is := s.parts[name]
		return is
	}
	for _, name := range r.Remove {
		if !listed(name) {
			return fmt.Errorf("record %d removes %s, which is not listed", r.N, name)
		}
		changed[name] = false
	}
	for _, name := range r.Swept {
		if listed(name) {
			return fmt.Errorf("record %d sweeps %s, which is listed", r.N, name)
		}
	}
	for _, p := range r.Add {
		if listed(p.File) {
			return fmt.Errorf("record %d adds %s again", r.N, p.File)
		}
		changed[p.File] = true
	}
	for _, d := range r.Damaged {
		if !listed(d.File) {
			return fmt.Errorf("record %d marks %s, which is not listed", r.N, d.File)
		}
	}
	return nil
}

// apply adds a record up. An error means that it does not fit what was before, and
// changes nothing.
func (s *state) apply(r *Record) error {
	if err := s.fits(r); err != nil {
		return err
	}
	if r.Anew {
		*s = newState()
	}
	for _, name := range r.Remove {
		delete(s.parts, name)
		delete(s.damaged, name)
		s.removed[name] = r.Time
	}
	for _, name := range r.Swept {
		s.removed[name] = r.Time
	}
	for _, name := range r.Deleted {
		delete(s.removed, name)
		delete(s.doubted, name)
	}
	for _, f := range r.Removed {
		s.removed[f.File] = f.At
	}
	for _, d := range r.Doubted {
		s.doubted[d.File] = d
	}
	for _, p := range r.Add {
		s.parts[p.File] = p
		s.begin(p.JournalID, p.Created)
		delete(s.removed, p.File) // the same rows once more
		delete(s.doubted, p.File)
	}
	for _, j := range r.Journals {
		s.begin(j.ID, j.Began)
	}
	for _, d := range r.Damaged {
		s.damaged[d.File] = d
	}
	for _, name := range r.Mended {
		delete(s.damaged, name)
	}
	for _, a := range r.Archived {
		s.archived[tableShard{a.Table, a.Shard, a.JournalID}] = a
	}
	s.n = r.N
	return nil
}

// begin notes that a row of a journal had arrived.
func (s *state) begin(journal string, at int64) {
	if have, ok := s.began[journal]; !ok || at < have {
		s.began[journal] = at
	}
}

func (s *state) clone() state {
	return state{
		n: s.n, parts: maps.Clone(s.parts), archived: maps.Clone(s.archived), removed: maps.Clone(s.removed),
		damaged: maps.Clone(s.damaged), doubted: maps.Clone(s.doubted), began: maps.Clone(s.began),
	}
}

// sum is the record that says all of it.
func (s *state) sum() *Record {
	r := &Record{Version: recordVersion, N: s.n}
	for _, p := range s.parts {
		r.Add = append(r.Add, p)
	}
	for _, a := range s.archived {
		r.Archived = append(r.Archived, a)
	}
	for name, at := range s.removed {
		r.Removed = append(r.Removed, Removed{File: name, At: at})
	}
	for _, d := range s.damaged {
		r.Damaged = append(r.Damaged, d)
	}
	for _, d := range s.doubted {
		r.Doubted = append(r.Doubted, d)
	}
	for id, at := range s.began {
		r.Journals = append(r.Journals, Journal{ID: id, Began: at})
	}
	r.sort()
	return r
}
