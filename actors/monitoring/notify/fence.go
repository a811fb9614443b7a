package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
)

// fenceKey is the key whose revision is the fencing number of who tells: whoever gets the
// lease writes it, by compare-and-set, before it reads what was told, and looks at it
// before each message.
const fenceKey = "fence"

// errFenced: another has taken a higher fencing number; the lease is its.
var errFenced = fmt.Errorf("%w: it has a higher fencing number", errElsewhere)

// holder is who has written the fence.
type holder struct {
	Node string    `json:"node"`
	At   time.Time `json:"at"`
}

// Fence is the fencing number of who tells, as a store of notifications has it; 0 when
// nobody ever had the lease. Errors are the store's.
func Fence(ctx context.Context, store bucket.Store) (uint64, error) {
	d, _, err := store.Get(ctx, fenceKey)
	if err != nil {
		return 0, fmt.Errorf("reading the fencing number of notifications: %w", err)
	}
	return d.Revision, nil
}

// alone says whether nobody else can tell.
func (h *Handle) alone() bool {
	_, alone := h.options.Lease.(Alone)
	return alone
}

// takeFence takes a fencing number above all there were; 0 where nobody else can tell.
func (h *Handle) takeFence(ctx context.Context) (uint64, error) {
	if h.alone() {
		return 0, nil
	}
	value, err := json.Marshal(holder{h.options.Node, h.options.Now().UTC()})
	if err != nil {
		return 0, fmt.Errorf("writing the fencing number of notifications: %w", err)
	}
	for ctx.Err() == nil {
		before, err := Fence(ctx, h.options.Store)
		if err != nil {
			return 0, err
		}
		switch fence, err := h.options.Store.Put(ctx, fenceKey, value, before); {
		case err == nil:
			return fence, nil
		case !isConflict(err): // with a conflict another was faster, and is below this one
			return 0, fmt.Errorf("taking a fencing number of notifications: %w", err)
		}
	}
	return 0, ctx.Err()
}

// fenced is errFenced when another has a higher fencing number than this node, which has
// none while the store was out of reach ever since it got the lease.
func (h *Handle) fenced(ctx context.Context) error {
	own := h.fence.Load()
	if own == 0 {
		return nil
	}
	now, err := Fence(ctx, h.options.Store)
	if err == nil && now > own {
		return errFenced
	}
	return err
}

// giveUp has the lease given back: whether it is this node's after all, says who is asked
// for it anew.
func (h *Handle) giveUp() {
	select {
	case h.resign <- struct{}{}:
	default: // it is known already
	}
}
