package part

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/marketprism/marketprism/persistence"
)

// A frame of the manifest: magic, payload length, CRC32C of the payload, CRC32C
// of the twelve bytes before, payload. Little endian.
const (
	frameMagic  = "MPM\x01"
	frameHeader = 16

	manifestName   = "MANIFEST"
	checkpointSize = 4 << 20

	// olderName is the log that the present one has replaced: its records add up to
	// the checkpoint with which that begins.
	olderName = "MANIFEST.older"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFrame(dst, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, frameMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(payload, castagnoli))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, payload...)
}

// frame returns the payload at the beginning of b and the rest; ok is false when
// there is no whole and undamaged frame.
func frame(b []byte) (payload, rest []byte, ok bool) {
	if len(b) < frameHeader || string(b[:4]) != frameMagic ||
		crc32.Checksum(b[:12], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return nil, nil, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if uint64(n) > uint64(len(b)-frameHeader) {
		return nil, nil, false
	}
	payload, rest = b[frameHeader:frameHeader+n], b[frameHeader+n:]
	return payload, rest, crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(b[8:])
}

// Change is what one manifest record does, all or nothing.
type Change struct {
	// Checkpoint: the record replaces all before it.
	Checkpoint bool
	Add        []*Meta
	// Remove names files.
	Remove []string
	// Positions are saved by shard. Of Epochs only those that changed are written.
	Positions []persistence.Position
	// Quarantine lists files that were damaged and have been moved.
	Quarantine []Damaged
}

// Damaged is a file that was moved aside.
type Damaged struct {
	Meta   *Meta
	Moved  string // path below the store's directory
	Reason string
}

// State is what the records of a manifest add up to.
type State struct {
	Parts       []*Meta
	Positions   map[int]persistence.Position
	Quarantined []Damaged
}

// apply adds a change up; an error means that the change does not fit the state.
func (s *State) apply(c *Change) error {
	if c.Checkpoint || s.Positions == nil {
		*s = State{Positions: map[int]persistence.Position{}}
	}
	parts := slices.Clone(s.Parts) // readers may hold the old slice
	for _, name := range c.Remove {
		i := slices.IndexFunc(parts, func(m *Meta) bool { return m.File == name })
		if i < 0 {
			return fmt.Errorf("it removes %s, which is not listed", name)
		}
		parts = slices.Delete(parts, i, i+1)
	}
	for _, m := range c.Add {
		if slices.ContainsFunc(parts, func(have *Meta) bool { return have.File == m.File }) {
			return fmt.Errorf("it lists %s a second time", m.File)
		}
		parts = append(parts, m)
	}
	s.Parts = parts
	for _, p := range c.Positions {
		was := s.Positions[p.Shard]
		if p.Seq < was.Seq {
			return fmt.Errorf("shard %d goes back from %d to %d", p.Shard, was.Seq, p.Seq)
		}
		p = p.Clone()
		for stream, epoch := range was.Epochs {
			if p.Epochs == nil {
				p.Epochs = map[string]int64{}
			}
			p.Epochs[stream] = max(epoch, p.Epochs[stream])
		}
		s.Positions[p.Shard] = p
	}
	s.Quarantined = append(s.Quarantined[:len(s.Quarantined):len(s.Quarantined)], c.Quarantine...)
	return nil
}

// Manifest is the log that says what a store holds. It is not safe for concurrent
// use.
type Manifest struct {
	disk  Disk
	path  string
	f     *os.File
	state State
	size  int64 // of the intact log
	base  int64 // of its checkpoint
	// broken: an append failed half way; the next one writes a new log.
	broken bool
	// Cut is the number of bytes of a torn record that opening cut off.
	Cut int64
	// Damage is what was wrong with the log that was salvaged; "" when it was whole.
	Damage string
}

// OpenManifest opens the manifest in dir, and makes one in an empty store. Of a damaged
// one it reads what can be read, has complete add what the files say (nil: nothing), and
// begins a new log with that; the damaged one is kept in [QuarantineDir]. What a newer program has
// written is not damage: it is a [*persistence.CorruptError].
func OpenManifest(d Disk, dir string, complete Complete) (*Manifest, error) {
	m := &Manifest{disk: d, path: filepath.Join(dir, manifestName), state: State{Positions: map[int]persistence.Position{}}}
	log, err := os.ReadFile(m.path)
	if errors.Is(err, os.ErrNotExist) {
		found, err := filepath.Glob(filepath.Join(dir, "*", "*.parquet"))
		switch {
		case err != nil:
			return nil, fmt.Errorf("looking for parts: %w", err)
		case len(found) > 0:
			return m, m.salvage(nil, fmt.Sprintf("it is missing, and there are %d parts", len(found)), complete)
		}
		return m, m.rewrite()
	}
	if err != nil {
		return nil, &persistence.IOError{Op: "read manifest", Path: m.path, Err: err}
	}
	good, err := m.replay(log)
	switch m.Cut = int64(len(log) - good); {
	case errors.Is(err, errUnknown):
		return nil, &persistence.CorruptError{Path: m.path, Reason: err.Error()}
	case err != nil:
		m.Cut = 0
		return m, m.salvage(log, err.Error(), complete)
	case m.Cut > 0: // it may have been whole once, when it is not a crash that tore it
		return m, m.salvage(log, "", complete)
	}
	m.size, m.base = int64(good), int64(good)
	if m.f, err = os.OpenFile(m.path, os.O_RDWR, 0o644); err != nil {
		return nil, &persistence.IOError{Op: "open manifest", Path: m.path, Err: err}
	}
	return m, nil
}

// replay adds up the records of a log and returns the length of its intact part.
// What follows that is one torn record.
func (m *Manifest) replay(log []byte) (good int, err error) {
	rest := log
	for len(rest) > 0 {
		at := len(log) - len(rest)
		payload, next, ok := frame(rest)
		if !ok {
			if at == 0 || laterFrame(rest[1:]) {
				return 0, fmt.Errorf("the record at byte %d is damaged, and others follow it", at)
			}
			return at, nil
		}
		change, err := DecodeChange(payload)
		if err != nil {
			return 0, fmt.Errorf("the record at byte %d: %w", at, err)
		}
		if at == 0 && !change.Checkpoint {
			return 0, errors.New("it does not begin with a checkpoint")
		}
		if err := m.state.apply(change); err != nil {
			return 0, fmt.Errorf("the record at byte %d: %w", at, err)
		}
		rest = next
	}
	if len(log) == 0 {
		return 0, errors.New("it is empty")
	}
	return len(log), nil
}

// laterFrame reports whether an intact frame begins anywhere in b: then what
// precedes it was not the end of the log.
func laterFrame(b []byte) bool {
	for i := 0; i+frameHeader <= len(b); i++ {
		if b[i] == frameMagic[0] {
			if _, _, ok := frame(b[i:]); ok {
				return true
			}
		}
	}
	return false
}

// State is what the manifest says now; do not change it.
func (m *Manifest) State() State { return m.state }

// Append makes a change durable. After an error the state is as before, and the
// same change may be appended again.
func (m *Manifest) Append(c *Change) error {
	next := m.state
	next.Positions = map[int]persistence.Position{}
	for shard, p := range m.state.Positions {
		next.Positions[shard] = p
	}
	if err := next.apply(c); err != nil {
		return fmt.Errorf("manifest change: %w", err)
	}
	if m.broken || m.size-m.base > checkpointSize+m.base {
		if err := m.rewrite(); err != nil {
			return err
		}
	}
	payload := encodeChange(nil, c, m.state.Positions)
	if err := m.write(appendFrame(nil, payload)); err != nil {
		m.broken = true
		return err
	}
	m.state = next
	return nil
}

func (m *Manifest) write(b []byte) error {
	if err := m.disk.do(StepManifestWrite, m.path, func() error {
		_, err := m.f.WriteAt(b, m.size)
		return err
	}); err != nil {
		return err
	}
	if err := m.disk.do(StepManifestSync, m.path, m.f.Sync); err != nil {
		return err
	}
	m.size += int64(len(b))
	return nil
}

// rewrite replaces the log by one checkpoint of the state.
func (m *Manifest) rewrite() error {
	c := &Change{Checkpoint: true, Add: m.state.Parts, Quarantine: m.state.Quarantined}
	for _, p := range m.state.Positions {
		c.Positions = append(c.Positions, p)
	}
	slices.SortFunc(c.Positions, func(a, b persistence.Position) int { return a.Shard - b.Shard })
	log := appendFrame(nil, encodeChange(nil, c, nil))
	tmp := m.path + ".tmp"
	plain := Disk{Before: func(step Step, path string) error {
		if m.disk.Before == nil || step == StepCreate {
			return nil
		}
		return m.disk.Before(map[Step]Step{StepWrite: StepManifestWrite, StepSync: StepManifestSync}[step], path)
	}}
	if err := plain.writeFile(tmp, func(w io.Writer) error { _, err := w.Write(log); return err }); err != nil {
		return err
	}
	if err := m.keep(); err != nil {
		return err
	}
	if err := m.disk.do(StepManifestRename, m.path, func() error { return os.Rename(tmp, m.path) }); err != nil {
		return err
	}
	// From here on the old file is nobody's: whatever fails, only a new log will do.
	m.broken = true
	if err := m.disk.syncDir(filepath.Dir(m.path)); err != nil {
		return err
	}
	f, err := os.OpenFile(m.path, os.O_RDWR, 0o644)
	if err != nil {
		return &persistence.IOError{Op: "open manifest", Path: m.path, Err: err}
	}
	if m.f != nil {
		_ = m.f.Close() // it is nobody's file any more
	}
	m.f, m.size, m.base, m.broken = f, int64(len(log)), int64(len(log)), false
	return nil
}

// keep keeps the log that is about to be replaced, as the older one.
func (m *Manifest) keep() error {
	older := filepath.Join(filepath.Dir(m.path), olderName)
	return m.disk.do(StepManifestKeep, older, func() error {
		if err := os.Remove(older); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Link(m.path, older); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}

// Replace makes s what the manifest says, in a new log. After an error all is as before.
func (m *Manifest) Replace(s State) error {
	was := m.state
	m.state = s
	if err := m.rewrite(); err != nil {
		m.state = was
		return err
	}
	return nil
}

// Close closes the file.
func (m *Manifest) Close() error {
	if m.f == nil {
		return nil
	}
	return m.f.Close()
}
