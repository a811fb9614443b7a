package persistence

import (
	"encoding/hex"
	"fmt"
	"maps"
)

// Position is how far a store has read one journal shard, and what the reader
// must know to read on. It is saved in the same commit as the records.
type Position struct {
	// JournalID is the id of the journal; a position is of no use with another.
	JournalID string `json:"journal_id"`
	Shard     int    `json:"shard"`
	// Seq is the sequence, in the shard's stream, of the last message whose records
	// are stored; 0 is before the first.
	Seq uint64 `json:"seq"`
	// Recorders holds the last batch of each recorder incarnation.
	Recorders map[Incarnation]RecorderBatch `json:"recorders,omitempty"`
	// Epochs holds the highest epoch seen of each stream, by
	// market.StreamID.String.
	Epochs map[string]int64 `json:"epochs,omitempty"`
}

// RecorderBatch is the last batch of one recorder incarnation.
type RecorderBatch struct {
	// N is the batch's number within the incarnation.
	N uint64 `json:"n"`
	// Seq is the message's sequence in the journal stream.
	Seq uint64 `json:"seq"`
	// Sum is the batch's CRC32C, to tell a repeat from a conflict.
	Sum uint32 `json:"sum"`
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
