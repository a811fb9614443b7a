package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/marketprism/marketprism/internal/copies"
)

// Share is the right of one of several processes to bring a shard into a store that they
// have together: its entry in the registry, which it writes again and again. Whoever finds
// that nothing was written to an entry for a whole term, by its own clock, writes its own
// name over it, by compare-and-set; so one that was frozen, or cut off, learns by its next
// write that it is not its turn any more, and by its own clock before that. It is safe
// for concurrent use.
type Share struct {
	registry *Registry
	key      string
	term     time.Duration
	now      func() time.Time

	mu       sync.Mutex // of one write at a time
	value    registered
	revision uint64

	held     sync.Mutex
	until    time.Time // by the own clock
	lost     error
	position uint64
	wanted   uint64 // what Advance was told
}

// Contender is who wants a share.
type Contender struct {
	// Reader is the store's id, the same for all, Node the process's own name.
	Reader, Node string
	Shard        int
	// Term is after how much silence another takes over; at least a second.
	Term time.Duration
	// Waiting is told whose turn it is, while it is another's; it may be nil.
	Waiting func(node string)
}

// Contend waits until it is this process's turn, or ctx ends. What the store has saved
// is to be read after it returns, and stays registered as it was until Advance. A process
// that starts again takes the entry of the one before on its node at once.
func (g *Registry) Contend(ctx context.Context, c Contender) (*Share, error) {
	if !readerID.MatchString(c.Reader) || c.Node == "" {
		return nil, fmt.Errorf("journal reader id %q of node %q: want 1 to 64 letters, digits, - and _, and a node", c.Reader, c.Node)
	}
	var session [8]byte
	rand.Read(session[:]) // never fails
	s := &Share{registry: g, key: strconv.Itoa(c.Shard) + "." + c.Reader, term: max(c.Term, time.Second), now: time.Now}
	last, since := uint64(0), s.now()
	for {
		at := s.now()
		have, revision, err := g.get(ctx, s.key)
		if err != nil {
			return nil, err
		}
		if revision != last {
			last, since = revision, at
		}
		if have == nil || have.Session == "" || have.Node == c.Node || at.Sub(since) >= s.term {
			s.value = registered{Session: hex.EncodeToString(session[:]), Node: c.Node}
			if have != nil {
				s.value.Position = have.Position
			}
			s.revision = revision
			err := s.write(ctx, s.value)
			if err == nil {
				return s, nil
			}
			if !isConflict(err) {
				return nil, err
			}
			continue
		}
		if c.Waiting != nil {
			c.Waiting(have.Node)
		}
		select {
		case <-time.After(s.term / 4):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// write puts a value over the revision that is known; s.mu is locked, or nobody has s yet.
func (s *Share) write(ctx context.Context, value registered) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding a registration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.term/2)
	defer cancel()
	began := s.now()
	revision, err := copies.Put(ctx, s.registry.journal.js, readersBucket, s.key, b, s.revision)
	if err != nil {
		return fmt.Errorf("registering %s at %d: %w", s.key, value.Position, err)
	}
	s.revision, s.value = revision, value
	s.held.Lock()
	defer s.held.Unlock()
	// Others count from when they see it, which is later.
	s.until, s.position = began.Add(s.term*3/4), value.Position
	return nil
}

// Held is nil while it is this process's turn for certain; it asks nobody. Error:
// ErrReaderTaken.
func (s *Share) Held() error {
	s.held.Lock()
	defer s.held.Unlock()
	switch {
	case s.lost != nil:
		return s.lost
	case s.now().After(s.until):
		return fmt.Errorf("%w: %s was not confirmed for %v", ErrReaderTaken, s.key, s.term*3/4)
	}
	return nil
}

// Beat says that this process is there; it is called a few times a term. Error:
// ErrReaderTaken, which is final; after another call it again.
func (s *Share) Beat(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.Lock()
	position := max(s.value.Position, s.wanted)
	s.held.Unlock()
	return s.put(ctx, position)
}

// Advance says that everything up to position is stored, durably; the next Beat passes
// it on.
func (s *Share) Advance(_ context.Context, position uint64) error {
	s.held.Lock()
	defer s.held.Unlock()
	s.wanted = max(s.wanted, position)
	return s.lost
}

// Flush is Advance at once.
func (s *Share) Flush(ctx context.Context, position uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if position <= s.value.Position {
		return nil
	}
	return s.put(ctx, position)
}

func (s *Share) put(ctx context.Context, position uint64) error {
	value := s.value
	value.Position = position
	for {
		err := s.write(ctx, value)
		if !isConflict(err) {
			return err
		}
		// Somebody else's, or our own write whose answer was lost.
		now, revision, err := s.registry.get(ctx, s.key)
		switch {
		case err != nil:
			return err
		case now == nil || now.Session != s.value.Session:
			lost := fmt.Errorf("%w: %s", ErrReaderTaken, s.key)
			s.held.Lock()
			s.lost = lost
			s.held.Unlock()
			return lost
		}
		s.revision = revision
	}
}

// Position is the position that was written last.
func (s *Share) Position() uint64 {
	s.held.Lock()
	defer s.held.Unlock()
	return s.position
}

// Release gives the turn to whoever is waiting; nothing may be on its way to the store.
func (s *Share) Release(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.put(ctx, s.value.Position)
	if err != nil {
		return err
	}
	value := s.value
	value.Session = ""
	err = s.write(ctx, value)
	s.held.Lock()
	defer s.held.Unlock()
	s.lost = errors.Join(ErrReaderTaken, errors.New("it was given up"))
	return err
}
