package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

const (
	epochBucket = "journal_epoch"
	epochKey    = "epoch"
)

// epochValue is the value of the epoch key. The epoch is Base plus the key's
// revision. Base is 0 unless the bucket was lost and made again: then revisions
// begin at 1, and Base lifts the epoch above the highest one that was saved.
type epochValue struct {
	Base uint64 `json:"base"`
}

// NextEpoch takes a new epoch, above every one taken before and above atLeast,
// the highest epoch that any store has saved. It is called once per process
// start and once per takeover batch. It costs one compare-and-set; who loses a
// race tries again, as long as ctx lasts. An epoch whose answer is lost is
// skipped.
func (j *Journal) NextEpoch(ctx context.Context, atLeast uint64) (uint64, error) {
	kv, err := j.bucket(ctx, epochBucket)
	if err != nil {
		return 0, err
	}
	for {
		epoch, err := j.bumpEpoch(ctx, kv, atLeast)
		if err == nil {
			return epoch, nil
		}
		if !isConflict(err) {
			return 0, fmt.Errorf("taking an epoch above %d: %w", atLeast, err)
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("taking an epoch above %d: %w", atLeast, ctx.Err())
		}
	}
}

func (j *Journal) bumpEpoch(ctx context.Context, kv jetstream.KeyValue, atLeast uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var v epochValue
	var last uint64
	e, err := copies.Newest(ctx, kv, epochKey)
	switch {
	case err == nil:
		if err := json.Unmarshal(e.Value(), &v); err != nil {
			return 0, fmt.Errorf("the epoch key holds %q: %w", e.Value(), err)
		}
		last = e.Revision()
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return 0, fmt.Errorf("reading the epoch key: %w", err)
	}
	if v.Base+last < atLeast {
		v.Base = atLeast - last
	}
	b, err := json.Marshal(v)
	if err != nil {
		return 0, fmt.Errorf("encoding the epoch key: %w", err)
	}
	revision, err := copies.Put(ctx, j.js, epochBucket, epochKey, b, last)
	if err != nil {
		return 0, fmt.Errorf("writing the epoch key: %w", err)
	}
	return v.Base + revision, nil
}
