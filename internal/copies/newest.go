package copies

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// askedAgain is after how long a question is asked again for the first time.
const askedAgain = 500 * time.Millisecond

// Newest reads the newest value of a key; errors are those of [jetstream.KeyValue.Get].
func Newest(ctx context.Context, kv jetstream.KeyValue, key string) (jetstream.KeyValueEntry, error) {
	return answered(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return kv.Get(ctx, key) })
}

// answered asks until there is an answer, or ctx ends. Only the server that leads a stream
// or a bucket answers for it: what is asked while none does, after a node was lost or all
// of them began anew, is never answered, although one may lead a moment later. So it is
// asked again, each time after half as long again.
func answered[T any](ctx context.Context, ask func(context.Context) (T, error)) (answer T, err error) {
	for patience := askedAgain; ; patience += patience / 2 {
		silent := false
		if answer, silent, err = once(ctx, ask, patience); !silent || ctx.Err() != nil {
			return answer, err
		}
	}
}

// once asks once; silent is that patience was over before there was an answer.
func once[T any](ctx context.Context, ask func(context.Context) (T, error), patience time.Duration) (answer T, silent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err = ask(ctx)
	return answer, err != nil && ctx.Err() != nil, err
}
