package journal

import (
	"context"

	"github.com/nats-io/nats.go"
)

// whileConnected is ctx until the connection is lost: a request that was sent on it
// is then never answered, and waiting for its timeout would be in vain. release
// ends it.
func whileConnected(ctx context.Context, nc *nats.Conn) (bound context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	lost := nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	done := make(chan struct{})
	go func() { // release waits for it
		defer close(done)
		select {
		case <-lost:
			cancel(errConnEvent)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
		nc.RemoveStatusListener(lost)
	}
}
