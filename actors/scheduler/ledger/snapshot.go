package ledger

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
)

// chunkBytes is the largest piece of a snapshot in one message.
const chunkBytes = 1 << 20

// image is a snapshot: the book after the batches up to two sequences.
type image struct {
	Version  int       `json:"v"`
	Accounts []Account `json:"accounts"`
}

// pack compresses the accounts of a book.
func pack(all []Account) ([]byte, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("packing a snapshot: %w", err)
	}
	if err := json.NewEncoder(z).Encode(image{version, all}); err != nil {
		return nil, fmt.Errorf("packing a snapshot: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("packing a snapshot: %w", err)
	}
	return packed.Bytes(), nil
}

// unpack reads what pack made.
func unpack(packed []byte) ([]Account, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: a snapshot: %w", ErrDamaged, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("%w: a snapshot: %w", ErrDamaged, err)
	}
	var i image
	if err := json.Unmarshal(text, &i); err != nil {
		return nil, fmt.Errorf("%w: a snapshot: %w", ErrDamaged, err)
	}
	if i.Version != version {
		return nil, fmt.Errorf("%w: a snapshot of version %d, this program reads %d", ErrDamaged, i.Version, version)
	}
	return i.Accounts, nil
}
