package part

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/marketprism/marketprism/persistence"
)

const changeVersion = 1

// errUnknown: a record that is whole, and that this program does not know.
var errUnknown = errors.New("a later version of the program has written it, and has to be used")

// encodeChange writes a change; epochs that equal those in known are left out.
func encodeChange(dst []byte, c *Change, known map[int]persistence.Position) []byte {
	dst = append(dst, changeVersion, 0)
	if c.Checkpoint {
		dst[len(dst)-1] = 1
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Add)))
	for _, m := range c.Add {
		dst = appendMeta(dst, m)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Remove)))
	for _, name := range c.Remove {
		dst = appendString(dst, name)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Positions)))
	for i := range c.Positions {
		dst = appendPosition(dst, &c.Positions[i], known[c.Positions[i].Shard].Epochs)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Quarantine)))
	for _, q := range c.Quarantine {
		dst = appendMeta(dst, q.Meta)
		dst = appendString(dst, q.Moved)
		dst = appendString(dst, q.Reason)
	}
	return dst
}

func appendPosition(dst []byte, p *persistence.Position, known map[string]int64) []byte {
	dst = appendString(dst, p.JournalID)
	dst = binary.AppendUvarint(dst, uint64(p.Shard))
	dst = binary.AppendUvarint(dst, p.Seq)
	ids := slices.SortedFunc(maps.Keys(p.Recorders), func(a, b persistence.Incarnation) int { return slices.Compare(a[:], b[:]) })
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		batch := p.Recorders[id]
		dst = append(dst, id[:]...)
		dst = binary.AppendUvarint(dst, batch.N)
		dst = binary.AppendUvarint(dst, batch.Seq)
		dst = binary.AppendUvarint(dst, uint64(batch.Sum))
	}
	var changed []string
	for stream, epoch := range p.Epochs {
		if was, ok := known[stream]; !ok || was != epoch {
			changed = append(changed, stream)
		}
	}
	slices.Sort(changed)
	dst = binary.AppendUvarint(dst, uint64(len(changed)))
	for _, stream := range changed {
		dst = appendString(dst, stream)
		dst = binary.AppendVarint(dst, p.Epochs[stream])
	}
	return dst
}

// DecodeChange reads a manifest record's payload.
func DecodeChange(payload []byte) (*Change, error) {
	d := decoder{b: payload}
	if v := d.byte(); d.err == nil && v != changeVersion {
		return nil, fmt.Errorf("%w: version %d", errUnknown, v)
	}
	c := &Change{}
	switch d.byte() {
	case 0:
	case 1:
		c.Checkpoint = true
	default:
		return nil, fmt.Errorf("%w: its sort", errUnknown)
	}
	for range d.count(20) {
		m := d.meta()
		if d.err != nil {
			return nil, d.err
		}
		c.Add = append(c.Add, &m)
	}
	for range d.count(1) {
		c.Remove = append(c.Remove, d.string())
	}
	for range d.count(5) {
		c.Positions = append(c.Positions, d.position())
	}
	for range d.count(20) {
		m := d.meta()
		c.Quarantine = append(c.Quarantine, Damaged{Meta: &m, Moved: d.string(), Reason: d.string()})
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = errors.New("bytes after the record's end")
	}
	return c, d.err
}

func (d *decoder) position() persistence.Position {
	p := persistence.Position{JournalID: d.string(), Shard: int(d.uvarint()), Seq: d.uvarint()}
	for range d.count(19) {
		var id persistence.Incarnation
		for i := range id {
			id[i] = d.byte()
		}
		if p.Recorders == nil {
			p.Recorders = map[persistence.Incarnation]persistence.RecorderBatch{}
		}
		batch := persistence.RecorderBatch{N: d.uvarint(), Seq: d.uvarint()}
		batch.Sum = uint32(d.uvarint())
		p.Recorders[id] = batch
	}
	for range d.count(2) {
		if p.Epochs == nil {
			p.Epochs = map[string]int64{}
		}
		stream := d.string()
		p.Epochs[stream] = d.varint()
	}
	return p
}
