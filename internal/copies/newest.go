package copies

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// askedAgain is after how long a question is asked again, and often how many times that
	// is so: for as long as an election lasts. Later it is twice as long each time.
	askedAgain = 500 * time.Millisecond
	often      = 8
)

// Newest reads the newest value of a key; errors are those of [jetstream.KeyValue.Get].
func Newest(ctx context.Context, kv jetstream.KeyValue, key string) (jetstream.KeyValueEntry, error) {
	return answered(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return kv.Get(ctx, key) })
}

// answered asks until there is an answer, or ctx ends. Only the server that leads a stream
// or a bucket answers for it: what is asked while none does, after a node was lost or all
// of them began anew, is never answered, although one may lead a moment later. So it is
// asked again, while the answers to what was asked before are still waited for: a server
// that is slow is not one that is silent.
func answered[T any](ctx context.Context, ask func(context.Context) (T, error)) (answer T, err error) {
	asked, cancel := context.WithCancel(ctx)
	replies := make(chan reply[T])
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	again := time.NewTimer(0)
	defer again.Stop()
	for pause, times := askedAgain, 0; ; {
		select {
		case <-again.C:
			asking.Go(func() {
				r := replied(asked, ask)
				select {
				case replies <- r:
				case <-asked.Done():
				}
			})
			if times++; times > often {
				pause *= 2
			}
			again.Reset(pause)
		case r := <-replies:
			if r.panicked != nil {
				panic(r.panicked)
			}
			if err = r.err; !isUnanswered(err) {
				return r.answer, err
			}
		case <-ctx.Done():
			if err == nil || errors.Is(err, ctx.Err()) {
				return answer, ctx.Err()
			}
			return answer, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// reply is what one question led to.
type reply[T any] struct {
	answer   T
	err      error
	panicked any // is the asker's
}

func replied[T any](ctx context.Context, ask func(context.Context) (T, error)) (r reply[T]) {
	defer func() { r.panicked = recover() }()
	r.answer, r.err = ask(ctx)
	return r
}

// isUnanswered reports whether nobody leads the stream, or whoever does has a message and
// has not yet stored it.
func isUnanswered(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &api) && api.ErrorCode == errCodeInFlight
}
