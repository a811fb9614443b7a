package cold

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/persistence"
)

// The manifest's objects: records by number, and checkpoints by the number of the
// last record that they include.
const (
	recordPrefix     = "manifest/"
	checkpointPrefix = "checkpoint/"
	recordDigits     = 12
)

func recordName(n uint64) string     { return fmt.Sprintf("%s%0*d", recordPrefix, recordDigits, n) }
func checkpointName(n uint64) string { return fmt.Sprintf("%s%0*d", checkpointPrefix, recordDigits, n) }

// manifest is the numbered log: a record is made under the next number, which
// only one writer can have. It is not safe for concurrent use.
type manifest struct {
	bucket  Bucket
	writer  string
	attempt uint64
	now     func() time.Time

	state state
	// since is how many records there are behind the newest checkpoint.
	since int
	// damaged are checkpoints that could not be used.
	damaged []*persistence.CorruptError
}

// state is what the records add up to.
type state struct {
	n        uint64 // the last record
	parts    map[string]Part
	archived map[tableShard]Archived
	removed  map[string]time.Time // files that are still to be deleted, and since when
	damaged  map[string]Damaged   // listed files that are not read
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
	return state{parts: map[string]Part{}, archived: map[tableShard]Archived{}, removed: map[string]time.Time{}, damaged: map[string]Damaged{}, began: map[string]int64{}}
}

// apply adds a record up; an error means that it does not fit what was before.
func (s *state) apply(r *Record) error {
	if r.N != s.n+1 {
		return fmt.Errorf("record %d follows record %d", r.N, s.n)
	}
	for _, name := range r.Remove {
		if _, ok := s.parts[name]; !ok {
			return fmt.Errorf("record %d removes %s, which is not listed", r.N, name)
		}
		delete(s.parts, name)
		delete(s.damaged, name)
		s.removed[name] = r.Time
	}
	for _, name := range r.Swept {
		if _, ok := s.parts[name]; ok {
			return fmt.Errorf("record %d sweeps %s, which is listed", r.N, name)
		}
		s.removed[name] = r.Time
	}
	for _, name := range r.Deleted {
		delete(s.removed, name)
	}
	for _, f := range r.Removed {
		s.removed[f.File] = f.At
	}
	for _, p := range r.Add {
		if _, ok := s.parts[p.File]; ok {
			return fmt.Errorf("record %d adds %s again", r.N, p.File)
		}
		s.parts[p.File] = p
		s.begin(p.JournalID, p.Created)
		delete(s.removed, p.File) // the same rows once more
	}
	for _, j := range r.Journals {
		s.begin(j.ID, j.Began)
	}
	for _, d := range r.Damaged {
		if _, ok := s.parts[d.File]; !ok {
			return fmt.Errorf("record %d marks %s, which is not listed", r.N, d.File)
		}
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

func openManifest(ctx context.Context, b Bucket, now func() time.Time) (*manifest, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("cold manifest: %w", err)
	}
	m := &manifest{bucket: b, writer: hex.EncodeToString(id[:]), now: now, state: newState()}
	if err := m.loadCheckpoint(ctx); err != nil {
		return nil, err
	}
	return m, m.catchUp(ctx)
}

// loadCheckpoint begins with the newest checkpoint, if there is one. One that is
// damaged is not needed: the one before it and the records, which stay, say the same.
func (m *manifest) loadCheckpoint(ctx context.Context) error {
	found, err := m.bucket.List(ctx, checkpointPrefix)
	if err != nil {
		return err
	}
	for _, o := range slices.Backward(found) {
		err := m.loadFrom(ctx, o.Name)
		var damage *persistence.CorruptError
		if !errors.As(err, &damage) {
			return err
		}
		m.damaged = append(m.damaged, damage)
	}
	return nil
}

func (m *manifest) loadFrom(ctx context.Context, checkpoint string) error {
	r, err := m.read(ctx, checkpoint)
	if err != nil {
		return err
	}
	s := newState()
	s.n = r.N - 1
	if err := s.apply(r); err != nil {
		return m.corrupt(checkpoint, err)
	}
	m.state = s
	return nil
}

func (m *manifest) read(ctx context.Context, name string) (*Record, error) {
	data, err := m.bucket.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := decodeRecord(data)
	if err != nil {
		return nil, m.corrupt(name, err)
	}
	number := name[strings.LastIndexByte(name, '/')+1:]
	if n, err := strconv.ParseUint(number, 10, 64); err != nil || n != r.N {
		return nil, m.corrupt(name, fmt.Errorf("it says that it is record %d", r.N))
	}
	return r, nil
}

func (m *manifest) corrupt(name string, err error) error {
	damage := &persistence.CorruptError{Path: m.bucket.String() + "/" + name, Reason: err.Error()}
	if errors.Is(err, errVersion) {
		return fmt.Errorf("%w: %w", damage, errVersion)
	}
	return damage
}

// catchUp reads the records that others have made.
func (m *manifest) catchUp(ctx context.Context) error {
	for {
		name := recordName(m.state.n + 1)
		r, err := m.read(ctx, name)
		if errors.Is(err, ErrNotFound) {
			return m.noHole(ctx)
		}
		if err != nil {
			return fmt.Errorf("cold manifest: %w", err)
		}
		if err := m.state.apply(r); err != nil {
			return m.corrupt(name, err)
		}
		m.since++
	}
}

// noHole makes sure that the next record is missing because there is none behind
// it.
func (m *manifest) noHole(ctx context.Context) error {
	found, err := m.bucket.List(ctx, recordPrefix)
	if err != nil {
		return fmt.Errorf("cold manifest: %w", err)
	}
	if len(found) == 0 || found[len(found)-1].Name <= recordName(m.state.n) {
		return nil
	}
	if _, err := m.bucket.Get(ctx, recordName(m.state.n+1)); err == nil {
		return m.catchUp(ctx) // it has just been made
	}
	return m.corrupt(recordName(m.state.n+1), fmt.Errorf("it is missing, and %s follows it", found[len(found)-1].Name))
}

// errBehind says that another writer has made the record first; the manifest has
// then caught up.
var errBehind = errors.New("another writer was first")

// append makes r the next record. After errBehind nothing was stored, and the
// change is to be thought over against the new state. After any other error it
// may yet be there: the next call finds out first.
func (m *manifest) append(ctx context.Context, r *Record) error {
	m.attempt++
	r.Version, r.N, r.Writer, r.Attempt, r.Time = recordVersion, m.state.n+1, m.writer, m.attempt, m.now().UTC()
	data, err := r.encode()
	if err != nil {
		return err
	}
	trial := m.state.clone()
	if err := trial.apply(r); err != nil {
		return err
	}
	name := recordName(r.N)
	err = m.bucket.Create(ctx, name, data)
	if err != nil { // ours all the same, if an answer was lost
		have, readErr := m.bucket.Get(ctx, name)
		switch {
		case readErr == nil && bytes.Equal(have, data):
			err = nil
		case readErr == nil:
			return errors.Join(errBehind, m.catchUp(ctx))
		}
	}
	if err != nil {
		return fmt.Errorf("cold manifest: %w", err)
	}
	m.state = trial
	m.since++
	return nil
}

func (s *state) clone() state {
	return state{n: s.n, parts: maps.Clone(s.parts), archived: maps.Clone(s.archived), removed: maps.Clone(s.removed), damaged: maps.Clone(s.damaged), began: maps.Clone(s.began)}
}

// checkpoint sums the records up in one object.
func (m *manifest) checkpoint(ctx context.Context) error {
	r := &Record{Version: recordVersion, N: m.state.n, Writer: m.writer, Time: m.now().UTC()}
	for _, p := range m.state.parts {
		r.Add = append(r.Add, p)
	}
	for _, a := range m.state.archived {
		r.Archived = append(r.Archived, a)
	}
	for name, at := range m.state.removed {
		r.Removed = append(r.Removed, Removed{File: name, At: at})
	}
	for _, d := range m.state.damaged {
		r.Damaged = append(r.Damaged, d)
	}
	for id, at := range m.state.began {
		r.Journals = append(r.Journals, Journal{ID: id, Began: at})
	}
	r.sort()
	data, err := r.encode()
	if err != nil {
		return err
	}
	// Another writer's of the same number says the same.
	if err := m.bucket.Create(ctx, checkpointName(r.N), data); err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("cold manifest: %w", err)
	}
	m.since, m.damaged = 0, nil // by now nobody needs an older one
	return nil
}
