package copies

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// askedAgain is after how long a question is asked again for the first time.
const askedAgain = 500 * time.Millisecond

// Newest reads the newest value of a key. Only the server that leads the bucket answers:
// what is asked while none does, after a node was lost, is never answered, although one
// may lead a moment later. So it is asked again, each time after half as long again, until
// ctx ends. Errors are those of [jetstream.KeyValue.Get].
func Newest(ctx context.Context, kv jetstream.KeyValue, key string) (jetstream.KeyValueEntry, error) {
	for patience := askedAgain; ; patience += patience / 2 {
		e, silent, err := ask(ctx, kv, key, patience)
		if !silent || ctx.Err() != nil {
			return e, err
		}
	}
}

// ask asks once; silent is that patience was over before there was an answer.
func ask(ctx context.Context, kv jetstream.KeyValue, key string, patience time.Duration) (e jetstream.KeyValueEntry, silent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e, err = kv.Get(ctx, key)
	return e, err != nil && ctx.Err() != nil, err
}
