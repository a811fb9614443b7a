package cold

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
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
	// wound is damage that nobody has mended yet; nil without any. Until then nothing is
	// appended.
	wound *wound
	// proofs are of files, while a wound is mended.
	proofs proofs
}

// openManifest reads the manifest of a bucket. After a *persistence.CorruptError there is
// one that knows nothing but its wound.
func openManifest(ctx context.Context, b Bucket, now func() time.Time) (*manifest, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("cold manifest: %w", err)
	}
	m := &manifest{bucket: b, writer: hex.EncodeToString(id[:]), now: now, state: newState()}
	if err := m.load(ctx); err != nil && m.wound == nil {
		return nil, err
	} else if err != nil {
		return m, err
	}
	return m, nil
}

// load reads everything, into a manifest that knows nothing.
func (m *manifest) load(ctx context.Context) error {
	if err := m.loadCheckpoint(ctx); err != nil {
		return err
	}
	if err := m.catchUp(ctx); err != nil || m.state.n > 0 {
		return err
	}
	return m.notLost(ctx)
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
	return m.begin(checkpoint, r)
}

// begin takes a record that sums up for all there is.
func (m *manifest) begin(name string, r *Record) error {
	s := newState()
	s.n = r.N - 1
	if err := s.apply(r); err != nil {
		return m.corrupt(name, err)
	}
	m.state, m.since = s, 0
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
	if n, ok := numberOf(name); !ok || n != r.N {
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

// catchUp reads the records that others have made. Damage that nothing stands for is a
// wound from then on, and a *persistence.CorruptError.
func (m *manifest) catchUp(ctx context.Context) error {
	if m.wound != nil {
		return m.leap(ctx)
	}
	for {
		name := recordName(m.state.n + 1)
		r, err := m.read(ctx, name)
		if errors.Is(err, ErrNotFound) {
			if err = m.noHole(ctx); err == nil {
				return nil
			}
		}
		if err == nil {
			if misfit := m.state.apply(r); misfit != nil {
				err = m.corrupt(name, misfit)
			}
		}
		var damage *persistence.CorruptError
		switch {
		case errors.Is(err, errFollows):
		case errors.As(err, &damage) && !errors.Is(err, errVersion):
			m.wound = &wound{n: m.state.n + 1, damage: damage}
			return m.leap(ctx)
		case err != nil:
			return fmt.Errorf("cold manifest: %w", err)
		default:
			m.since++
		}
	}
}

// errFollows: the record that was missing has just been made.
var errFollows = errors.New("the record has just been made")

// noHole makes sure that the next record is missing because there is none behind
// it.
func (m *manifest) noHole(ctx context.Context) error {
	found, err := m.bucket.List(ctx, recordPrefix)
	if err != nil {
		return err
	}
	last := uint64(0)
	for _, o := range found {
		if n, ok := numberOf(o.Name); ok {
			last = max(last, n)
		}
	}
	if last <= m.state.n {
		return nil
	}
	missing := recordName(m.state.n + 1)
	switch _, err := m.bucket.Get(ctx, missing); {
	case err == nil:
		return errFollows
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return m.corrupt(missing, fmt.Errorf("it is missing, and record %d follows it", last))
}

// numberOf is the number in the name of a record or checkpoint; false when it has none,
// as what somebody else has put there.
func numberOf(name string) (uint64, bool) {
	n, err := strconv.ParseUint(name[strings.LastIndexByte(name, '/')+1:], 10, 64)
	return n, err == nil
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

// checkpoint sums the records up in one object.
func (m *manifest) checkpoint(ctx context.Context) error {
	r := m.state.sum()
	r.Writer, r.Time = m.writer, m.now().UTC()
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
