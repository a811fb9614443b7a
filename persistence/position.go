package persistence

import (
	"encoding/hex"
	"fmt"
	"maps"
)

// Position is how far a store has read one journal shard, and what the reader
// must know to read on. It is saved in the same commit as the records.
type Position struct {
	JournalID string                        `json:"journal_id" doc:"of the journal; a position is of no use with another"`
	Shard     int                           `json:"shard" doc:"its number, from 0"`
	Seq       uint64                        `json:"seq" doc:"of the last message of the shard whose records are stored; 0 is before the first"`
	Recorders map[Incarnation]RecorderBatch `json:"recorders,omitempty" doc:"the last batch of each recorder incarnation"`
	Epochs    map[string]int64              `json:"epochs,omitempty" doc:"highest ownership number seen, by stream"`
}

// RecorderBatch is the last batch of one recorder incarnation.
type RecorderBatch struct {
	N   uint64 `json:"n" doc:"number of the batch within the incarnation"`
	Seq uint64 `json:"seq" doc:"position of its message in the journal"`
	Sum uint32 `json:"sum" doc:"CRC32C of the batch"`
}

// Incarnation identifies one run of one recorder.
type Incarnation [16]byte

// MarshalText writes 32 hexadecimal digits, so that an Incarnation can be a JSON
// key.
func (id Incarnation) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

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

// Clone returns a copy that shares no map.
func (p Position) Clone() Position {
	p.Recorders = maps.Clone(p.Recorders)
	p.Epochs = maps.Clone(p.Epochs)
	return p
}
