package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream error codes that say that there is no room; nothing was stored.
const (
	codeAccountResources = 10002 // account limit
	codeServerResources  = 10023 // server limit
	codeStorageResources = 10047 // storage limit
	codeMessageTooLarge  = 10054
	codeStoreFailed      = 10077 // generic, its text tells why
)

// classify turns what a publish came back with into one of this package's
// errors, and says whether the batch may have been stored nevertheless.
func classify(err error) (typed error, doubt bool) {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		return classifyAPI(api)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: %w", ErrUnavailable, err), false
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err), false
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrReconnectBufExceeded):
		return fmt.Errorf("%w: %w", ErrUnavailable, err), true
	case errors.Is(err, jetstream.ErrInvalidJSAck):
		return fmt.Errorf("%w: %w", ErrRefused, err), true
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err), true
}

func classifyAPI(api *jetstream.APIError) (error, bool) {
	switch {
	case isFull(api):
		return fmt.Errorf("%w: %w", ErrFull, api), false
	case isTooLarge(api):
		return fmt.Errorf("%w: %w", ErrTooLarge, api), false
	case api.Code >= 500:
		return fmt.Errorf("%w: %w", ErrUnavailable, api), true
	}
	return fmt.Errorf("%w: %w", ErrRefused, api), false
}

// isFull: only the text of the generic code tells a full stream from another
// failure; this is the one place that looks at it (nats-server v2.15.2,
// server/store.go, ErrMaxBytes and ErrMaxMsgs).
func isFull(api *jetstream.APIError) bool {
	switch api.ErrorCode {
	case codeAccountResources, codeServerResources, codeStorageResources:
		return true
	case codeStoreFailed:
		return strings.Contains(api.Description, "maximum bytes exceeded") ||
			strings.Contains(api.Description, "maximum messages exceeded")
	}
	return false
}

func isTooLarge(api *jetstream.APIError) bool {
	return api.ErrorCode == codeMessageTooLarge ||
		api.ErrorCode == codeStoreFailed && strings.Contains(api.Description, "message too large")
}
