package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/internal/market"
)

// overlays keeps run-time subscriptions in a bucket of the broker, so that they
// survive a restart and belong to no single node.
type overlays struct{ documents bucket.Store }

const (
	overlayBucket = "subscriptions"
	// backfillBucket keeps the operations that fetch the past.
	backfillBucket = "backfills"
)

func overlayKey(exchange string, m market.Market) string { return exchange + "." + m.String() }

// Load implements [collector.Store].
func (o overlays) Load(ctx context.Context, exchange string, m market.Market) (overlay collector.Overlay, err error) {
	d, there, err := o.documents.Get(ctx, overlayKey(exchange, m))
	if err == nil && there {
		err = json.Unmarshal(d.Value, &overlay)
	}
	if err != nil {
		return overlay, fmt.Errorf("reading the run-time subscriptions of %s %s: %w", exchange, m, err)
	}
	overlay.Revision = d.Revision
	return overlay, nil
}

// Save implements [collector.Store].
func (o overlays) Save(ctx context.Context, exchange string, m market.Market, overlay collector.Overlay) (uint64, error) {
	text, err := json.Marshal(overlay)
	if err != nil {
		return 0, fmt.Errorf("writing the run-time subscriptions of %s %s: %w", exchange, m, err)
	}
	revision, err := o.documents.Put(ctx, overlayKey(exchange, m), text, overlay.Revision)
	if errors.Is(err, bucket.ErrConflict) {
		return 0, fmt.Errorf("%w: %s %s", collector.ErrChanged, exchange, m)
	}
	if err != nil {
		return 0, fmt.Errorf("writing the run-time subscriptions of %s %s: %w", exchange, m, err)
	}
	return revision, nil
}

// Watch implements [collector.Store].
func (o overlays) Watch(ctx context.Context, exchange string, m market.Market, changed func()) error {
	key := overlayKey(exchange, m)
	return o.documents.Watch(ctx, "", func(c bucket.Change) {
		if c.Key == key || c.Complete {
			changed()
		}
	})
}
