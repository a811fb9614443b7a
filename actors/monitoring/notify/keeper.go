package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/supervise"
)

// keeper writes the dispatcher's documents into the bucket, behind its back: the newest
// state of each key, again until it is there. It belongs to the dispatcher.
type keeper struct {
	handle    *Handle
	dirty     map[string][]byte // nil is to be removed
	revisions map[string]uint64
	write     supervise.InFlight
	pausing   bool
}

func newKeeper(h *Handle) keeper {
	return keeper{handle: h, dirty: map[string][]byte{}, revisions: map[string]uint64{}}
}

// saved is what became of a round of writing.
type saved struct {
	revisions map[string]uint64 // of what was written; 0 is removed
	left      map[string][]byte // what was not
	err       error
}

func (k *keeper) put(key string, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		panic(fmt.Errorf("writing %s: %w", key, err)) // plain data
	}
	k.dirty[key] = text
}

func (k *keeper) remove(key string) {
	if _, there := k.revisions[key]; there || k.write.Busy() {
		k.dirty[key] = nil
	} else {
		delete(k.dirty, key)
	}
}

// clear forgets what another node is to write from now on.
func (k *keeper) clear() { clear(k.dirty); clear(k.revisions) }

func (k *keeper) retry() { k.pausing = false }

// save writes what is to be written, and reports whether it is at it.
func (k *keeper) save(c *supervise.Context) bool {
	if k.write.Busy() {
		return true
	}
	if len(k.dirty) == 0 || k.pausing {
		return false
	}
	dirty, revisions := k.dirty, maps.Clone(k.revisions)
	k.dirty = map[string][]byte{}
	h := k.handle
	return k.write.Start(c, func(ctx context.Context) any { return h.save(ctx, dirty, revisions) })
}

func (h *Handle) save(ctx context.Context, dirty map[string][]byte, revisions map[string]uint64) saved {
	s := saved{revisions: map[string]uint64{}, left: map[string][]byte{}}
	for key, value := range dirty {
		if s.err != nil {
			s.left[key] = value
			continue
		}
		revision, err := h.saveOne(ctx, key, value, revisions[key])
		if err != nil {
			s.err, s.left[key] = err, value
			continue
		}
		s.revisions[key] = revision
	}
	return s
}

// saveOne writes a document. Who has the lease wins over what was written before it.
func (h *Handle) saveOne(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	set := func() (uint64, error) {
		if value == nil {
			return 0, h.options.Store.Remove(ctx, key, revision)
		}
		return h.options.Store.Put(ctx, key, value, revision)
	}
	now, err := set()
	if !isConflict(err) {
		return now, err
	}
	old, there, err := h.options.Store.Get(ctx, key)
	if err != nil || !there && value == nil {
		return 0, err
	}
	if strings.HasPrefix(key, logPrefix) && value != nil && older(value, old) {
		return old.Revision, nil // of one who has told since
	}
	revision = old.Revision
	return set()
}

// older says whether an entry of the log is older than the one that is there: of one with
// a lower fencing number, or with the same, or without any, of an earlier time.
func older(value []byte, there bucket.Document) bool {
	ours, err := entryOf(bucket.Document{Value: value})
	theirs, bad := entryOf(there)
	if err != nil || bad != nil {
		return false
	}
	if ours.Fence != theirs.Fence && ours.Fence > 0 && theirs.Fence > 0 {
		return ours.Fence < theirs.Fence
	}
	return ours.At.Before(theirs.At)
}

func (k *keeper) saved(c *supervise.Context, m saved) {
	for key, revision := range m.revisions {
		if revision == 0 {
			delete(k.revisions, key)
		} else {
			k.revisions[key] = revision
		}
	}
	if m.err == nil {
		return
	}
	for key, value := range m.left {
		if _, newer := k.dirty[key]; !newer {
			k.dirty[key] = value
		}
	}
	k.handle.metrics.storeFailures.Inc()
	c.Log().Warn("notification log cannot be written", zap.Int("documents", len(k.dirty)), zap.Error(m.err))
	k.pausing = true
	c.After(storeAgain, saveAgain{})
}
