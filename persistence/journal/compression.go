package journal

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/marketprism/marketprism/persistence"
)

// Payloads below this many bytes are stored as they are.
const compressFrom = 128

// Buffers above this capacity are not kept for the next message.
const keepBuffer = 4 << 20

// sealer builds envelopes in one buffer that it reuses. It belongs to one
// goroutine at a time.
type sealer struct {
	encoder *zstd.Encoder
	buf     []byte
}

func newSealer() (*sealer, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), // the envelope has its own
		zstd.WithSingleSegment(true),
		zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("making the zstd encoder: %w", err)
	}
	return &sealer{encoder: enc}, nil
}

// seal returns the message for payload, valid until the next seal. limit is the
// largest message in bytes. Error: ErrTooLarge.
func (s *sealer) seal(id persistence.Incarnation, n uint64, rows uint32, payload []byte, limit int) ([]byte, error) {
	if len(payload) > MaxRaw {
		return nil, fmt.Errorf("%w: %d bytes uncompressed, the limit is %d", ErrTooLarge, len(payload), MaxRaw)
	}
	if cap(s.buf) < HeaderSize || cap(s.buf) > keepBuffer {
		s.buf = make([]byte, HeaderSize, HeaderSize+len(payload)+64)
	}
	e := envelope{incarnation: id, n: n, rows: rows, rawLen: uint32(len(payload))}
	s.buf = s.buf[:HeaderSize]
	if len(payload) >= compressFrom {
		s.buf = s.encoder.EncodeAll(payload, s.buf)
		e.compression = compressionZstd
	}
	if e.compression == compressionNone || len(s.buf)-HeaderSize >= len(payload) {
		s.buf = append(s.buf[:HeaderSize], payload...)
		e.compression = compressionNone
	}
	if len(s.buf) > limit {
		return nil, fmt.Errorf("%w: %d bytes compressed, the limit is %d", ErrTooLarge, len(s.buf), limit)
	}
	putHeader(s.buf, e)
	return s.buf, nil
}

// opener gives back payloads, in one buffer that it reuses. It belongs to one
// goroutine at a time.
type opener struct {
	decoder *zstd.Decoder
	buf     []byte
}

func newOpener() (*opener, error) {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(MaxRaw),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("making the zstd decoder: %w", err)
	}
	return &opener{decoder: dec}, nil
}

// open returns the uncompressed payload, valid until the next open (an
// uncompressed one aliases the message). It never writes beyond the length that
// the header promises. Error: ErrCorrupt.
func (o *opener) open(e *envelope) ([]byte, error) {
	if e.compression == compressionNone {
		return e.stored, nil
	}
	if cap(o.buf) < int(e.rawLen) || cap(o.buf) > keepBuffer {
		o.buf = make([]byte, 0, max(int(e.rawLen), 64<<10))
	}
	raw, err := o.decoder.DecodeAll(e.stored, o.buf[:0:e.rawLen])
	if err != nil {
		return nil, fmt.Errorf("%w: decompressing the payload: %w", ErrCorrupt, err)
	}
	if len(raw) != int(e.rawLen) {
		return nil, fmt.Errorf("%w: payload decompressed to %d bytes, the header says %d", ErrCorrupt, len(raw), e.rawLen)
	}
	return raw, nil
}

func (o *opener) close() { o.decoder.Close() }
