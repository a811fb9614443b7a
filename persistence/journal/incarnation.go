package journal

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// Incarnation identifies one run of one recorder: 8 bytes of start time (Unix
// nanoseconds, big endian, so that later ones sort later) and 8 random bytes. A
// recorder takes a new one at its start, when it gives a batch of unknown
// outcome up, and after a long silence.
type Incarnation [16]byte

// newIncarnation makes one that no other recorder has.
func newIncarnation(now time.Time) Incarnation {
	var id Incarnation
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixNano()))
	rand.Read(id[8:]) // never fails
	return id
}

// String is the 32 hexadecimal digits.
func (id Incarnation) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler, so that an Incarnation can be
// a JSON key.
func (id Incarnation) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, id[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *Incarnation) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return fmt.Errorf("incarnation %q: want %d hexadecimal digits", text, 2*len(id))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("incarnation %q: %w", text, err)
	}
	return nil
}
