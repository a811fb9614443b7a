package journal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

const readersBucket = "journal_readers"

// readerID is what a reader's id looks like: one token of a key.
var readerID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Registry knows who reads the journal, and how far each has stored it: keys
// <shard>.<reader> of the bucket journal_readers. Safe for concurrent use.
type Registry struct {
	journal *Journal
	kv      jetstream.KeyValue
}

// registered is the value of a key.
type registered struct {
	Position uint64 `json:"position"`
	// FullCopy: the reader keeps everything itself, so that another may copy from it.
	FullCopy bool `json:"full_copy"`
	// Session is random, one for each Register: it tells one process from another.
	Session string `json:"session"`
	// Node is whose turn it is, of a reader that several nodes share.
	Node string `json:"node,omitempty"`

	moved time.Time // when it was written, by the broker's clock
}

// Registered is one reader of one shard, as the registry knows it.
type Registered struct {
	Reader   string    `json:"reader" doc:"its name among the readers"`
	Shard    int       `json:"shard" doc:"its number, from 0"`
	Position uint64    `json:"position" doc:"of the journal up to which the reader has stored the shard"`
	FullCopy bool      `json:"full_copy" doc:"the reader keeps a full copy of its own"`
	Node     string    `json:"node,omitempty" doc:"whose turn it is, of a reader that several nodes share; else the node that it is of; absent when that is not known"`
	Moved    time.Time `json:"moved" doc:"when it said so, by the broker's clock"`

	revision uint64
}

// Registry opens the journal's registry, and makes it if there is none.
func (j *Journal) Registry(ctx context.Context) (*Registry, error) {
	kv, err := j.bucket(ctx, readersBucket)
	if err != nil {
		return nil, err
	}
	return &Registry{journal: j, kv: kv}, nil
}

// Registration is one reader's entry for one shard. It belongs to one goroutine.
type Registration struct {
	registry *Registry
	key      string
	value    registered
	revision uint64
	written  time.Time
	now      func() time.Time
}

// Register enters a reader that has stored shard up to position, before it reads
// on. An entry under the same id, of an earlier run, is taken over. id is 1 to 64
// letters, digits, - and _.
func (g *Registry) Register(ctx context.Context, id string, fullCopy bool, shard int, position uint64) (*Registration, error) {
	if !readerID.MatchString(id) {
		return nil, fmt.Errorf("journal reader id %q: want 1 to 64 letters, digits, - and _", id)
	}
	if shard < 0 || shard >= g.journal.cfg.Shards {
		return nil, fmt.Errorf("%w: a reader of shard %d, the journal has %d", ErrShards, shard, g.journal.cfg.Shards)
	}
	var session [8]byte
	rand.Read(session[:]) // never fails
	r := &Registration{
		registry: g, key: strconv.Itoa(shard) + "." + id, now: time.Now,
		value: registered{Position: position, FullCopy: fullCopy, Session: hex.EncodeToString(session[:])},
	}
	for {
		_, revision, err := g.get(ctx, r.key)
		if err != nil {
			return nil, err
		}
		r.revision = revision
		err = r.put(ctx, position)
		if err == nil {
			return r, nil
		}
		if !isConflict(err) {
			return nil, err
		}
	}
}

// Advance says that everything up to position is stored. It writes at most once
// per register_interval and leaves the rest to a later call; Flush writes at
// once. Errors: ErrUnregistered, ErrReaderTaken; after another error call it again.
func (r *Registration) Advance(ctx context.Context, position uint64) error {
	if position <= r.value.Position || r.now().Sub(r.written) < r.registry.journal.cfg.RegisterInterval {
		return nil
	}
	return r.Flush(ctx, position)
}

// Flush is Advance without the interval.
func (r *Registration) Flush(ctx context.Context, position uint64) error {
	if position <= r.value.Position {
		return nil
	}
	for {
		err := r.put(ctx, position)
		if !isConflict(err) {
			return err
		}
		// Removed, taken over, or our own write whose answer was lost.
		now, revision, err := r.registry.get(ctx, r.key)
		switch {
		case err != nil:
			return err
		case now == nil:
			return fmt.Errorf("%w: %s", ErrUnregistered, r.key)
		case now.Session != r.value.Session:
			return fmt.Errorf("%w: %s", ErrReaderTaken, r.key)
		}
		r.revision = revision
	}
}

// Position is the position that was written last.
func (r *Registration) Position() uint64 { return r.value.Position }

// Remove takes the reader out of the registry: it will never read on. What it
// has not stored may then be purged.
func (r *Registration) Remove(ctx context.Context) error {
	return r.registry.remove(ctx, r.key, r.revision)
}

// put writes the value over the revision that is known.
func (r *Registration) put(ctx context.Context, position uint64) error {
	value := r.value
	value.Position = position
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding a registration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	revision, err := copies.Put(ctx, r.registry.journal.js, readersBucket, r.key, b, r.revision)
	if err != nil {
		return fmt.Errorf("registering %s at %d: %w", r.key, position, err)
	}
	r.revision, r.value, r.written = revision, value, r.now()
	return nil
}

// get reads a key; nil when there is none.
func (g *Registry) get(ctx context.Context, key string) (*registered, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	e, err := copies.Newest(ctx, g.kv, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading registration %s: %w", key, err)
	}
	var v registered
	if err := json.Unmarshal(e.Value(), &v); err != nil {
		return nil, 0, fmt.Errorf("registration %s: %w", key, err)
	}
	v.moved = e.Created()
	return &v, e.Revision(), nil
}

// Retire removes a reader that will not read on, unless it has said something since it
// was listed. What it has not stored may then be purged. Error: ErrReaderMoved.
func (g *Registry) Retire(ctx context.Context, r Registered) error {
	err := g.remove(ctx, strconv.Itoa(r.Shard)+"."+r.Reader, r.revision)
	if isConflict(err) {
		return fmt.Errorf("%w: %s, of shard %d", ErrReaderMoved, r.Reader, r.Shard)
	}
	return err
}

// remove deletes a key if it still has this revision; a conflict means that its
// reader wrote meanwhile.
func (g *Registry) remove(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := copies.Remove(ctx, g.journal.js, readersBucket, key, revision); err != nil {
		return fmt.Errorf("removing registration %s: %w", key, err)
	}
	return nil
}

// Rename gives a reader's entry for one shard another id; nothing where there is none. One
// that already has the other id keeps its place, and the first is removed. No such reader
// may run.
func (g *Registry) Rename(ctx context.Context, shard int, from, to string) error {
	prefix := strconv.Itoa(shard) + "."
	v, revision, err := g.get(ctx, prefix+from)
	if err != nil || v == nil || from == to {
		return err
	}
	there, _, err := g.get(ctx, prefix+to)
	if err != nil {
		return err
	}
	if there == nil {
		r := Registration{registry: g, key: prefix + to, value: *v, now: time.Now}
		if err := r.put(ctx, v.Position); err != nil {
			return err
		}
	}
	return g.remove(ctx, prefix+from, revision)
}

// Readers lists the readers of a shard, by position.
func (g *Registry) Readers(ctx context.Context, shard int) ([]Registered, error) {
	api, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	prefix := "$KV." + readersBucket + "."
	s, err := copies.Known(api, g.journal.js, "KV_"+readersBucket)
	if err != nil {
		return nil, fmt.Errorf("listing journal readers: %w", err)
	}
	info, err := s.Info(api, jetstream.WithSubjectFilter(prefix+strconv.Itoa(shard)+".*"))
	if err != nil {
		return nil, fmt.Errorf("listing journal readers: %w", err)
	}
	var all []Registered
	for subject := range info.State.Subjects {
		key := strings.TrimPrefix(subject, prefix)
		v, revision, err := g.get(ctx, key)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue // removed
		}
		_, id, _ := strings.Cut(key, ".")
		all = append(all, Registered{Reader: id, Shard: shard, Position: v.Position, FullCopy: v.FullCopy, Node: v.Node, Moved: v.moved, revision: revision})
	}
	slices.SortFunc(all, func(a, b Registered) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Reader, b.Reader))
	})
	return all, nil
}
