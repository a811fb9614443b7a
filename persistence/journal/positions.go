package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
	"github.com/marketprism/marketprism/persistence"
)

const positionsBucket = "journal_positions"

// Positions keeps the journal positions of a store that cannot keep them itself:
// keys <shard>.<reader> of the bucket journal_positions, written by compare-and-set,
// so that of two processes that keep the same store one stops. Safe for concurrent
// use.
type Positions struct {
	journal *Journal
	kv      jetstream.KeyValue
	reader  string

	mu        sync.Mutex
	revisions map[int]uint64 // of what was loaded or saved last; 0 when there is no key
	// doubtful are values that were sent over that revision without an answer: any of them
	// may be there, or come to be.
	doubtful map[int][][]byte
}

// Positions opens the positions of one reader, whose id is that of its
// registration, and makes the bucket if there is none.
func (j *Journal) Positions(ctx context.Context, reader string) (*Positions, error) {
	if !readerID.MatchString(reader) {
		return nil, fmt.Errorf("journal reader id %q: want 1 to 64 letters, digits, - and _", reader)
	}
	kv, err := j.bucket(ctx, positionsBucket)
	if err != nil {
		return nil, err
	}
	return &Positions{journal: j, kv: kv, reader: reader, revisions: map[int]uint64{}, doubtful: map[int][][]byte{}}, nil
}

func (p *Positions) key(shard int) string { return strconv.Itoa(shard) + "." + p.reader }

// Load is the saved position of a shard; its Seq is 0 when none was saved. Saving
// goes on from what was loaded.
func (p *Positions) Load(ctx context.Context, shard int) (persistence.Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	value, revision, err := p.get(ctx, shard)
	if err != nil {
		return persistence.Position{}, err
	}
	saved := persistence.Position{Shard: shard}
	if revision > 0 {
		if err := json.Unmarshal(value, &saved); err != nil {
			return persistence.Position{}, fmt.Errorf("the saved position %s: %w", p.key(shard), err)
		}
	}
	p.settle(shard, revision)
	return saved, nil
}

// Save replaces the position of a shard. Error: ErrReaderTaken when another process
// has saved one since; after any other, save again, this position or a later one.
func (p *Positions) Save(ctx context.Context, position persistence.Position) error {
	value, err := json.Marshal(position)
	if err != nil {
		return fmt.Errorf("encoding a position: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.revisions[position.Shard]; !known {
		return fmt.Errorf("position %s is saved before it was loaded", p.key(position.Shard))
	}
	for {
		err := p.replace(ctx, position.Shard, value)
		if !isConflict(err) {
			return err
		}
		// Somebody else's, or one of our own whose answer was lost.
		have, at, err := p.get(ctx, position.Shard)
		switch {
		case err != nil:
			return err
		case bytes.Equal(have, value):
			p.settle(position.Shard, at)
			return nil
		case !slices.ContainsFunc(p.doubtful[position.Shard], func(own []byte) bool { return bytes.Equal(have, own) }):
			return fmt.Errorf("%w: position %s was saved by somebody else", ErrReaderTaken, p.key(position.Shard))
		}
		p.revisions[position.Shard] = at // what else is doubtful was sent over an older one
	}
}

// replace writes a value over the revision that is known.
func (p *Positions) replace(ctx context.Context, shard int, value []byte) error {
	revision, err := p.put(ctx, p.key(shard), value, p.revisions[shard])
	switch {
	case err == nil:
		p.settle(shard, revision)
		return nil
	case !isConflict(err):
		p.doubtful[shard] = append(p.doubtful[shard], value)
	}
	return fmt.Errorf("saving position %s: %w", p.key(shard), err)
}

// settle notes the revision of a value that is known to be there: nothing that was sent
// over an older one can follow it.
func (p *Positions) settle(shard int, revision uint64) {
	p.revisions[shard] = revision
	delete(p.doubtful, shard)
}

func (p *Positions) put(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if last == 0 {
		return p.kv.Create(ctx, key, value)
	}
	return p.kv.Update(ctx, key, value, last)
}

// get reads a key; the revision is 0 when there is none.
func (p *Positions) get(ctx context.Context, shard int) (value []byte, revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	e, err := copies.Newest(ctx, p.kv, p.key(shard))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading position %s: %w", p.key(shard), err)
	}
	return e.Value(), e.Revision(), nil
}
