package part

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/persistence"
)

// QuarantineDir is where damaged files are kept, below a store's directory.
const QuarantineDir = "quarantine"

// Complete adds to a state, which was read from a damaged manifest, what the files of the
// store say. Left are the files that a readable record took off the list.
type Complete func(s *State, left map[string]bool) error

// salvage begins a new log with what can be read of a damaged one, of the one before it,
// and of the files. Nothing is changed before the new log takes the place of the damaged
// one, of which a copy is kept, so that a crash leaves it to be done again. Without a
// reason it is only the last record that cannot be read.
//
// The last position of a shard may have been in a record that cannot be read. The journal
// may be purged up to it, so that nobody can read on from an earlier one; what is purged
// is in the files. Such a shard has no position: it is read again from where its journal
// begins, and what the files have too has the same keys.
func (m *Manifest) salvage(log []byte, reason string, complete Complete) error {
	older, err := os.ReadFile(filepath.Join(filepath.Dir(m.path), olderName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return &persistence.IOError{Op: "read manifest", Path: olderName, Err: err}
	}
	left, certain := map[string]bool{}, map[int]bool{}
	m.state = State{Positions: map[int]persistence.Position{}}
	for _, l := range [][]byte{older, log} {
		if err := m.collect(l, left, certain); err != nil {
			return &persistence.CorruptError{Path: m.path, Reason: err.Error()}
		}
	}
	for shard, p := range m.state.Positions {
		if !certain[shard] {
			m.state.Positions[shard] = persistence.Position{Shard: shard, Epochs: p.Epochs}
		}
	}
	if complete != nil {
		if err := complete(&m.state, left); err != nil {
			return fmt.Errorf("salvaging a damaged manifest: %w", err)
		}
	}
	if m.Damage = reason; reason != "" {
		if err := m.quarantine(log); err != nil {
			return err
		}
	}
	if err := m.rewrite(); err != nil {
		return err
	}
	return m.rewrite() // so that the older log says the same, and not what is damaged
}

// collect adds up the readable records of a log, whatever lies between them; certain are
// the shards of which no later position can be lost.
func (m *Manifest) collect(log []byte, left map[string]bool, certain map[int]bool) error {
	if len(log) == 0 {
		clear(certain)
	}
	for len(log) > 0 {
		payload, rest, ok := frame(log)
		if !ok {
			clear(certain)
			next := bytes.Index(log[1:], []byte(frameMagic))
			if next < 0 {
				return nil
			}
			log = log[1+next:]
			continue
		}
		c, err := DecodeChange(payload)
		if err != nil {
			return err
		}
		if err := m.state.take(c, left); err != nil {
			return err
		}
		for _, p := range c.Positions {
			certain[p.Shard] = true
		}
		log = rest
	}
	return nil
}

// take adds a change up as far as it goes without those that are lost.
func (s *State) take(c *Change, left map[string]bool) error {
	fits := &Change{Checkpoint: c.Checkpoint, Quarantine: c.Quarantine}
	listed := map[string]bool{}
	if !c.Checkpoint {
		for _, m := range s.Parts {
			listed[m.File] = true
		}
	}
	for _, name := range c.Remove {
		left[name] = true
		if listed[name] {
			fits.Remove = append(fits.Remove, name)
			delete(listed, name)
		}
	}
	for _, m := range c.Add {
		delete(left, m.File)
		if !listed[m.File] {
			fits.Add = append(fits.Add, m)
			listed[m.File] = true
		}
	}
	for _, p := range c.Positions {
		if c.Checkpoint || p.Seq >= s.Positions[p.Shard].Seq {
			fits.Positions = append(fits.Positions, p)
		}
	}
	return s.apply(fits)
}

// quarantine keeps a copy of a damaged log; of one that is missing, an empty file. It
// stands for the damage until somebody removes it.
func (m *Manifest) quarantine(log []byte) error {
	dir := filepath.Join(filepath.Dir(m.path), QuarantineDir)
	for n := 1; ; n++ {
		path := filepath.Join(dir, fmt.Sprintf("%s-%d", manifestName, n))
		have, err := os.ReadFile(path)
		switch {
		case err == nil && bytes.Equal(have, log): // of an attempt that was cut off
			return nil
		case err == nil:
			continue
		case !errors.Is(err, os.ErrNotExist):
			return &persistence.IOError{Op: "read quarantine", Path: path, Err: err}
		}
		return m.disk.SetAside(path, log)
	}
}

// SetAside writes a small file durably, also its name, which is there only with all of it.
func (d Disk) SetAside(path string, content []byte) error {
	return d.do(StepWrite, path, func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := d.writeFile(path+".tmp", func(w io.Writer) error { _, err := w.Write(content); return err }); err != nil {
			return err
		}
		return d.Move(path+".tmp", path)
	})
}

// QuarantinedManifests are the damaged logs that are kept below dir.
func QuarantinedManifests(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, QuarantineDir, manifestName+"-*"))
	return slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, ".tmp") }), err
}
