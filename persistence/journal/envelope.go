package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/marketprism/marketprism/persistence"
)

// Sizes and limits of a journal message. See doc.go for the byte layout.
const (
	// FormatVersion is the envelope version that this package writes and the
	// only one it reads.
	FormatVersion = 1
	// HeaderSize is the length of the envelope header in bytes.
	HeaderSize = 48
	// MaxMessage is the largest envelope, header included, in bytes: the
	// max_payload that the broker is configured with.
	MaxMessage = 8 << 20
	// MaxRaw is the largest uncompressed payload in bytes that is written or
	// read; it bounds what a reader allocates for one message.
	MaxRaw = 64 << 20
)

// The first four bytes of every message of the journal.
const magic = "MPJ\x01"

// Compression of the payload, the low byte of the flags.
const (
	compressionNone = 0
	compressionZstd = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// envelope is one decoded header with the stored (maybe compressed) payload,
// which aliases the message.
type envelope struct {
	incarnation persistence.Incarnation
	n           uint64
	rows        uint32
	rawLen      uint32
	compression byte
	sum         uint32
	stored      []byte
}

// putHeader writes the header of message, whose payload is already in place
// from HeaderSize on.
func putHeader(message []byte, e envelope) {
	copy(message[0:4], magic)
	binary.LittleEndian.PutUint16(message[4:], FormatVersion)
	binary.LittleEndian.PutUint16(message[6:], uint16(e.compression))
	copy(message[8:24], e.incarnation[:])
	binary.LittleEndian.PutUint64(message[24:], e.n)
	binary.LittleEndian.PutUint32(message[32:], e.rows)
	binary.LittleEndian.PutUint32(message[36:], e.rawLen)
	binary.LittleEndian.PutUint32(message[40:], uint32(len(message)-HeaderSize))
	binary.LittleEndian.PutUint32(message[44:], checksum(message))
}

// checksum is the CRC32C of the message without its own four bytes.
func checksum(message []byte) uint32 {
	sum := crc32.Update(0, castagnoli, message[:44])
	return crc32.Update(sum, castagnoli, message[HeaderSize:])
}

// parseEnvelope checks a message and returns its parts; nothing is copied. The
// version is looked at before the checksum, because another version may lay the
// rest out differently. Errors: ErrVersion, ErrCorrupt.
func parseEnvelope(message []byte) (envelope, error) {
	var e envelope
	if len(message) < HeaderSize || string(message[0:4]) != magic {
		return e, fmt.Errorf("%w: not a journal batch (%d bytes)", ErrCorrupt, len(message))
	}
	if v := binary.LittleEndian.Uint16(message[4:]); v != FormatVersion {
		return e, fmt.Errorf("%w: envelope version %d, this program reads %d", ErrVersion, v, FormatVersion)
	}
	e.sum = binary.LittleEndian.Uint32(message[44:])
	if sum := checksum(message); sum != e.sum {
		return e, fmt.Errorf("%w: CRC32C is %08x, the header says %08x", ErrCorrupt, sum, e.sum)
	}
	flags := binary.LittleEndian.Uint16(message[6:])
	if flags > compressionZstd {
		return e, fmt.Errorf("%w: envelope flags %#04x", ErrVersion, flags)
	}
	e.compression = byte(flags)
	copy(e.incarnation[:], message[8:24])
	e.n = binary.LittleEndian.Uint64(message[24:])
	e.rows = binary.LittleEndian.Uint32(message[32:])
	e.rawLen = binary.LittleEndian.Uint32(message[36:])
	e.stored = message[HeaderSize:]
	return e, e.check(binary.LittleEndian.Uint32(message[40:]))
}

// check holds the lengths and numbers of a header against each other.
func (e *envelope) check(storedLen uint32) error {
	switch {
	case uint64(storedLen) != uint64(len(e.stored)):
		return fmt.Errorf("%w: payload has %d bytes, the header says %d", ErrCorrupt, len(e.stored), storedLen)
	case e.rawLen > MaxRaw:
		return fmt.Errorf("%w: uncompressed payload of %d bytes, the limit is %d", ErrCorrupt, e.rawLen, MaxRaw)
	case e.compression == compressionNone && e.rawLen != storedLen:
		return fmt.Errorf("%w: stored payload of %d bytes, uncompressed %d", ErrCorrupt, storedLen, e.rawLen)
	case e.n == 0:
		return fmt.Errorf("%w: batch number 0", ErrCorrupt)
	}
	return nil
}
