package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/marketprism/marketprism/actors/bucket"
)

// change reads a document, changes it, and writes it, again when somebody else was
// faster. It is in the mirror when change returns. The function may refuse with an
// error; it gets nil where there is no document.
func change[T any](ctx context.Context, d *Desk, key string, fn func(*T) (*T, error)) (*T, error) {
	for {
		doc, there, err := d.o.Store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		var now *T
		if there {
			if now, err = decoded[T](doc.Value); err != nil {
				return nil, fmt.Errorf("document %s: %w", key, err)
			}
		}
		next, err := fn(now)
		if err != nil {
			return nil, err
		}
		err = d.write(ctx, key, next, doc.Revision)
		if !errors.Is(err, bucket.ErrConflict) {
			return next, err
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("changing %s: %w", key, context.Cause(ctx))
		}
	}
}

// write puts a document, and what it holds into the mirror.
func (d *Desk) write(ctx context.Context, key string, v any, revision uint64) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", key, err)
	}
	written, err := d.o.Store.Put(ctx, key, text, revision)
	if err != nil {
		return err
	}
	return d.mirror.apply(bucket.Change{Document: bucket.Document{Key: key, Value: text, Revision: written}})
}

// remove removes a document whatever its revision. None there is no error.
func (d *Desk) remove(ctx context.Context, key string) error {
	for {
		doc, there, err := d.o.Store.Get(ctx, key)
		if err != nil || !there {
			return err
		}
		err = d.o.Store.Remove(ctx, key, doc.Revision)
		if err == nil {
			// The removal's own revision is told by the watch; it is above this one.
			d.mirror.removed(key, doc.Revision)
			return nil
		}
		if !errors.Is(err, bucket.ErrConflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("removing %s: %w", key, context.Cause(ctx))
		}
	}
}

// removed forgets a document that was removed at a revision.
func (m *mirror) removed(key string, revision uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revisions[key] <= revision {
		m.forget(key)
		m.revisions[key] = revision
	}
}
