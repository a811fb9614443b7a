package cold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// wound is damage of the manifest that nothing behind it stands for.
type wound struct {
	// n is the first record that is damaged or missing; 0 when there is no manifest
	// at all.
	n      uint64
	damage *persistence.CorruptError
}

// notLost makes sure that a store without a manifest is one without files.
func (m *manifest) notLost(ctx context.Context) error {
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		found, err := m.bucket.List(ctx, kind.Table()+"/")
		if err != nil {
			return fmt.Errorf("cold manifest: %w", err)
		}
		if !slices.ContainsFunc(found, func(o Object) bool { return isPart(o.Name) }) {
			continue
		}
		m.wound = &wound{damage: &persistence.CorruptError{Path: m.bucket.String() + "/" + recordPrefix, Reason: "there is no manifest, and there are files"}}
		return m.leap(ctx)
	}
	return nil
}

// leap goes on behind a wound: from a checkpoint that includes it, or from the record
// with which somebody has begun anew. Without either the wound stays, and is the error.
func (m *manifest) leap(ctx context.Context) error {
	bases, err := m.bases(ctx)
	if err != nil {
		return fmt.Errorf("cold manifest: %w", err)
	}
	for _, name := range bases {
		r, err := m.read(ctx, name)
		var damage *persistence.CorruptError
		switch {
		case errors.As(err, &damage) && !errors.Is(err, errVersion), errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			return fmt.Errorf("cold manifest: %w", err)
		case strings.HasPrefix(name, recordPrefix) && !r.Anew:
			continue
		}
		if err := m.begin(name, r); err != nil {
			continue
		}
		m.wound = nil
		return m.catchUp(ctx)
	}
	return fmt.Errorf("cold manifest: %w", m.wound.damage)
}

// bases are the checkpoints and records that may stand for the wound, newest first.
func (m *manifest) bases(ctx context.Context) ([]string, error) {
	var names []string
	for _, prefix := range []string{checkpointPrefix, recordPrefix} {
		found, err := m.bucket.List(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, o := range slices.Backward(found) {
			if n, ok := numberOf(o.Name); ok && (n > m.wound.n || n == m.wound.n && prefix == checkpointPrefix) {
				names = append(names, o.Name)
			}
		}
	}
	return names, nil
}

// glean takes what can be read of a manifest with a wound, so that the files of which it
// tells are served until it is mended.
func (m *manifest) glean(ctx context.Context) error {
	d := newDiagnosis(m.bucket, m.now)
	if _, err := d.readManifest(ctx); err != nil {
		return fmt.Errorf("cold manifest: %w", err)
	}
	m.state = d.state
	return nil
}

// mend has the manifest begin anew with what its readable records and the files say,
// unless somebody else has, or has put back what was damaged. It returns what it found;
// nil when there was nothing to do. What it has proved of files it remembers, so that an
// attempt that is cut short is not in vain. Killed at any moment it is done again: it is
// one record that counts.
func (m *manifest) mend(ctx context.Context) (*Diagnosis, error) {
	if m.proofs == nil {
		m.proofs = proofs{}
	}
	for tries := 1; ; tries++ {
		d, err := diagnoseFrom(ctx, m.bucket, DiagnosisOptions{Now: m.now}, m.proofs)
		if err != nil {
			return nil, fmt.Errorf("cold manifest: looking at what there is: %w", err)
		}
		var made error
		if !d.Whole {
			made = d.Repair(ctx)
		}
		// Whatever was made, and by whomever: what counts now is what is read.
		anew := &manifest{bucket: m.bucket, writer: m.writer, attempt: m.attempt, now: m.now, state: newState()}
		err = anew.load(ctx)
		others := errors.Is(made, ErrExists)
		switch {
		case err == nil:
			*m = *anew
			if d.Whole || others {
				return nil, nil
			}
			return d, nil
		case made != nil && !others: // the medium's, which may be well again later
			return nil, made
		case made == nil || anew.wound == nil || tries == mendTries:
			return nil, err
		} // else somebody who does not know of the damage has made a record
	}
}

// mendTries bounds how often a manifest is looked at anew because others make records.
const mendTries = 20

// catchUp reads the records that others have made, and mends the manifest when it is
// damaged. s.commit is locked.
func (s *Store) catchUp(ctx context.Context) error {
	healthy := s.manifest.wound == nil
	err := s.manifest.catchUp(ctx)
	if s.manifest.wound == nil {
		return away(err)
	}
	if !errors.Is(err, persistence.ErrCorrupt) { // nobody could look for who has mended it
		return away(err)
	}
	damage := s.manifest.wound.damage
	if healthy {
		s.tellWound(damage)
		s.adopt()
	}
	found, err := s.manifest.mend(ctx)
	if err != nil {
		return away(fmt.Errorf("mending the manifest of the cold store: %w", err))
	}
	s.listQuarantine(ctx)
	if found != nil {
		s.log.Warn("the manifest of the cold store was made again", zap.String("damaged", damage.Path),
			zap.Int("files", found.Listed), zap.Int64("rows", found.Rows), zap.Int("listed_again", len(found.Found)),
			zap.Int("not_proved", len(found.Unproven)), zap.Int("missing", len(found.Lacking)))
	}
	return nil
}

func (s *Store) tellWound(damage *persistence.CorruptError) {
	s.log.Error("the manifest of the cold store is damaged; it is made again from what can be read of it, and from the files",
		zap.String("damaged", damage.Path), zap.String("reason", damage.Reason))
}

// quarantinePrefix is before the copies of damaged records and checkpoints. Each stands
// for the damage until somebody removes it.
const quarantinePrefix = "quarantine/"

// setAside keeps copies of what cannot be read of the manifest; of a record that is
// missing, an empty one. The originals stay too, and are not read any more.
func (d *Diagnosis) setAside(ctx context.Context) error {
	for _, x := range d.Broken {
		stem := strings.TrimSuffix(x.File, "/")
		if _, ok := numberOf(stem); !ok && x.File != recordPrefix {
			continue // it is somebody's, and no record
		}
		data, err := d.bucket.Get(ctx, x.File)
		if x.File == recordPrefix || errors.Is(err, ErrNotFound) {
			data, err = nil, nil
		}
		if err != nil {
			return err
		}
		if err := d.keepCopy(ctx, quarantinePrefix+strings.ReplaceAll(stem, "/", "-"), data); err != nil {
			return err
		}
	}
	return nil
}

// keepCopy stores a copy under a name, or that name with a number.
func (d *Diagnosis) keepCopy(ctx context.Context, stem string, data []byte) error {
	name := stem
	for n := 2; ; n++ {
		err := d.bucket.Create(ctx, name, data)
		if !errors.Is(err, ErrExists) {
			return err
		}
		have, err := d.bucket.Get(ctx, name)
		switch {
		case err == nil && bytes.Equal(have, data): // of an attempt that was cut off
			return nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		case err == nil:
			name = fmt.Sprintf("%s-%d", stem, n)
		}
	}
}

// listQuarantine looks for the copies of what was damaged. One that cannot be listed now
// is named later.
func (s *Store) listQuarantine(ctx context.Context) {
	found, err := s.bucket.List(ctx, quarantinePrefix)
	if err != nil {
		s.log.Warn("the quarantine of the cold store cannot be listed", zap.Error(err))
		return
	}
	copies := make([]Damaged, len(found))
	for i, o := range found {
		copies[i] = Damaged{File: o.Name, At: o.Modified, Reason: "it is a damaged piece of the manifest, which was made again from the rest and from the files; remove this copy when you have seen it"}
		if o.Size == 0 {
			copies[i].Reason = "a piece of the manifest was missing, which was made again from the rest and from the files; remove this copy when you have seen it"
		}
	}
	s.mu.Lock()
	s.quarantine = copies
	s.mu.Unlock()
}
