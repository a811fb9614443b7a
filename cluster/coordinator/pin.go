package coordinator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/cluster/placement"
)

// pinPrefix begins the keys of the orders to have a stream at a node, beside the plan:
// the rest is the stream, in the URL's form of base 64.
const pinPrefix = "pin."

// Pin is an order that a stream is collected by one node as long as that is there, does
// not drain, and can. While it is not, the stream is placed as any other, and moves back
// afterwards.
type Pin struct {
	Stream string    `json:"stream"` // exchange/market/symbol
	Node   string    `json:"node"`
	By     string    `json:"by,omitempty"` // who gave it
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it ends; zero: when it is lifted.
	Until time.Time `json:"until,omitzero"`
}

// Over reports whether the order has ended.
func (p Pin) Over(now time.Time) bool { return !p.Until.IsZero() && !now.Before(p.Until) }

func pinKey(stream string) string {
	return pinPrefix + base64.RawURLEncoding.EncodeToString([]byte(stream))
}

// pinTries bounds how often an order is written anew because another one was given
// meanwhile.
const pinTries = 5

// PinTo gives an order, in place of one that there is for the stream. Errors are those
// of the store.
func PinTo(ctx context.Context, plans bucket.Store, p Pin) error {
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("writing the order to have %s at %s: %w", p.Stream, p.Node, err)
	}
	for range pinTries {
		var now bucket.Document
		if now, _, err = plans.Get(ctx, pinKey(p.Stream)); err != nil {
			break
		}
		if _, err = plans.Put(ctx, pinKey(p.Stream), value, now.Revision); !errors.Is(err, bucket.ErrConflict) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("ordering that %s is at %s: %w", p.Stream, p.Node, err)
	}
	return nil
}

// Unpin takes an order back, and reports whether there was one. Errors are those of the
// store.
func Unpin(ctx context.Context, plans bucket.Store, stream string) (bool, error) {
	d, there, err := plans.Get(ctx, pinKey(stream))
	if err == nil && there {
		err = plans.Remove(ctx, d.Key, d.Revision)
	}
	if err != nil {
		return false, fmt.Errorf("taking back where %s is to be: %w", stream, err)
	}
	return there, nil
}

func pinOf(d bucket.Document) (p Pin, err error) {
	if err := json.Unmarshal(d.Value, &p); err != nil {
		return p, fmt.Errorf("reading the order %s: %w", d.Key, err)
	}
	stream, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(d.Key, pinPrefix))
	if err != nil {
		return p, fmt.Errorf("reading the order %s: %w", d.Key, err)
	}
	p.Stream = string(stream)
	return p, nil
}

// pinned is an order as it is kept.
type pinned struct {
	Pin
	key      string
	revision uint64
}

// pin takes an order, or that one is lifted.
func (c *Coordinator) pin(change bucket.Change) error {
	one := pinned{key: change.Key, revision: change.Revision}
	if !change.Removed {
		var err error
		if one.Pin, err = pinOf(change.Document); err != nil {
			return err
		}
	}
	c.change(func() {
		all := maps.Clone(c.pins)
		if all == nil {
			all = map[string]pinned{}
		}
		maps.DeleteFunc(all, func(_ string, p pinned) bool { return p.key == change.Key })
		if !change.Removed {
			all[one.Stream] = one
		}
		c.pins = all
	})
	return nil
}

// pinAll marks the streams that are to be somewhere, and removes orders that have ended.
func (c *Coordinator) pinAll(ctx context.Context, log *zap.Logger, s state, streams []placement.Stream) {
	if len(s.pins) == 0 {
		return
	}
	now := time.Now()
	for i := range streams {
		if p, ok := s.pins[streams[i].ID]; ok && !p.Over(now) {
			streams[i].Pin = p.Node
		}
	}
	for _, p := range s.pins {
		if !p.Over(now) {
			continue
		}
		if err := c.o.Plans.Remove(ctx, p.key, p.revision); err != nil && !errors.Is(err, bucket.ErrConflict) {
			log.Warn("an order that has ended cannot be removed", zap.String("stream", p.Stream), zap.Error(err))
		}
	}
}
