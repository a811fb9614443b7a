package journal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/persistence"
)

// How many incarnations a position remembers; see doc.go.
const rememberIncarnations = 256

// newIncarnation makes an incarnation that no other recorder has: 8 bytes of
// start time (Unix nanoseconds, big endian, so that later ones sort later) and 8
// random bytes. A recorder takes a new one at its start, when it gives a batch of
// unknown outcome up, and after a long silence.
func newIncarnation(now time.Time) persistence.Incarnation {
	var id persistence.Incarnation
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixNano()))
	rand.Read(id[8:]) // never fails
	return id
}

// earlier stands, in a position that began where a journal was purged, for the
// incarnations of which batches lie before that: their first one that is read may have
// any number. Once too many have come after them it is forgotten like any other.
var earlier persistence.Incarnation

// admit decides on the batch at seq: repeat means that it was read before. A
// batch that is not a repeat counts as read from now on. Errors: ErrJump,
// ErrConflict.
func admit(p *persistence.Position, e *envelope, seq uint64) (repeat bool, err error) {
	last, known := p.Recorders[e.incarnation]
	_, purged := p.Recorders[earlier]
	switch {
	case e.n == last.N+1, !known && purged:
		if p.Recorders == nil {
			p.Recorders = make(map[persistence.Incarnation]persistence.RecorderBatch)
		}
		p.Recorders[e.incarnation] = persistence.RecorderBatch{N: e.n, Seq: seq, Sum: e.sum}
		if !known {
			forget(p)
		}
		return false, nil
	case e.n > last.N:
		return false, fmt.Errorf("%w: incarnation %x goes from %d to %d", ErrJump, e.incarnation, last.N, e.n)
	case e.n == last.N && e.sum != last.Sum:
		return false, fmt.Errorf("%w: incarnation %x, number %d, checksums %08x and %08x", ErrConflict, e.incarnation, e.n, last.Sum, e.sum)
	}
	return true, nil
}

// forget drops the incarnation that wrote least recently when there are too many.
func forget(p *persistence.Position) {
	if len(p.Recorders) <= rememberIncarnations {
		return
	}
	var oldest persistence.Incarnation
	seq := ^uint64(0)
	for id, last := range p.Recorders {
		if last.Seq < seq {
			oldest, seq = id, last.Seq
		}
	}
	delete(p.Recorders, oldest)
}
