package copies

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// heardEvery is between two questions for what another node has just made.
const heardEvery = 50 * time.Millisecond

// Bucket opens a bucket that there is: one that another node is making at this moment is
// not known everywhere yet, and is asked for until ctx ends.
func Bucket(ctx context.Context, js jetstream.JetStream, name string) (kv jetstream.KeyValue, err error) {
	err = heard(ctx, jetstream.ErrBucketNotFound, func() error {
		kv, err = answered(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, name) })
		return err
	})
	return kv, err
}

// Stream is the same of a stream.
func Stream(ctx context.Context, js jetstream.JetStream, name string) (s jetstream.Stream, err error) {
	err = heard(ctx, jetstream.ErrStreamNotFound, func() error {
		s, err = Known(ctx, js, name)
		return err
	})
	return s, err
}

// Known is what there is of a stream, asked for until whoever leads it answers; errors are
// those of [jetstream.JetStream.Stream].
func Known(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	return answered(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, name) })
}

// heard asks until the answer is not that there is no such thing.
func heard(ctx context.Context, missing error, ask func() error) error {
	tick := time.NewTicker(heardEvery)
	defer tick.Stop()
	for {
		err := ask()
		if !errors.Is(err, missing) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
