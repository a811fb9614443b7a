package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/internal/market"
)

// overlays keeps run-time subscriptions in a KV bucket of the broker, so that
// they survive a restart and belong to no single node.
type overlays struct{ js jetstream.JetStream }

const (
	overlayBucket = "subscriptions"
	// backfillBucket keeps the operations that fetch the past.
	backfillBucket = "backfills"
)

func (o overlays) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := o.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: overlayBucket, Description: "run-time subscriptions over the configuration", History: 8,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the bucket of run-time subscriptions: %w", err)
	}
	return kv, nil
}

func overlayKey(exchange string, m market.Market) string { return exchange + "." + m.String() }

// Load implements [collector.Store].
func (o overlays) Load(ctx context.Context, exchange string, m market.Market) (collector.Overlay, error) {
	var overlay collector.Overlay
	kv, err := o.bucket(ctx)
	if err != nil {
		return overlay, err
	}
	e, err := kv.Get(ctx, overlayKey(exchange, m))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return overlay, nil
	}
	if err != nil {
		return overlay, fmt.Errorf("reading the run-time subscriptions of %s %s: %w", exchange, m, err)
	}
	if err := json.Unmarshal(e.Value(), &overlay); err != nil {
		return overlay, fmt.Errorf("reading the run-time subscriptions of %s %s: %w", exchange, m, err)
	}
	return overlay, nil
}

// Save implements [collector.Store].
func (o overlays) Save(ctx context.Context, exchange string, m market.Market, overlay collector.Overlay) error {
	kv, err := o.bucket(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return fmt.Errorf("writing the run-time subscriptions of %s %s: %w", exchange, m, err)
	}
	if _, err := kv.Put(ctx, overlayKey(exchange, m), text); err != nil {
		return fmt.Errorf("writing the run-time subscriptions of %s %s: %w", exchange, m, err)
	}
	return nil
}
