package messages

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
)

// Why is the sort of a [Refusal].
type Why uint8

// The sorts of refusals.
const (
	Malformed Why = iota // it makes no sense
	Forbidden            // it is the program's own
	Unknown              // there is no such stream, consumer, message or task
	Conflict             // it does not go with what is there
	TooLarge             // a message is larger than is taken
	Full                 // there is no room now
	Nobody               // nobody answers requests on that subject
)

func (w Why) String() string {
	return [...]string{"malformed", "forbidden", "unknown", "conflict", "too large", "full", "nobody"}[w]
}

// Refusal says why something is not done. Its text is for the client.
type Refusal struct {
	Why Why
	// Field is what of the request is to blame, "" when none is.
	Field string
	Text  string
	Err   error // nil when there is none behind it
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// Unwrap implements errors.Unwrap.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse makes a Refusal.
func Refuse(why Why, field, format string, args ...any) *Refusal {
	return &Refusal{Why: why, Field: field, Text: fmt.Sprintf(format, args...)}
}

// Subject refuses what the broker's checks of names and subjects have found.
func Subject(field string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrReserved):
		return &Refusal{Why: Forbidden, Field: field, Text: err.Error(), Err: err}
	}
	return &Refusal{Why: Malformed, Field: field, Text: err.Error(), Err: err}
}

// codes are JetStream's errors that mean more than a bad request
// (https://github.com/nats-io/nats-server/blob/main/server/errors.json).
var codes = map[jetstream.ErrorCode]Why{
	10014: Unknown, 10037: Unknown, 10043: Unknown, 10059: Unknown,
	10013: Conflict, 10058: Conflict, 10065: Conflict, 10099: Conflict, 10100: Conflict, 10101: Conflict, 10105: Conflict, 10148: Conflict,
	10023: Conflict, 10026: Conflict, 10028: Conflict, 10047: Conflict, // no room for what is asked
	10054: TooLarge,
	10077: Full,
}

// Explained gives an error of NATS its meaning: a [*Refusal], broker.ErrNotRunning, or
// the error of a context. doing says what failed.
func Explained(doing string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &api):
		if why, ok := codes[api.ErrorCode]; ok {
			return &Refusal{Why: why, Text: doing + ": " + api.Description, Err: err}
		}
		if api.Code == 400 {
			return &Refusal{Why: Malformed, Text: doing + ": " + api.Description, Err: err}
		}
	case errors.Is(err, nats.ErrMaxPayload):
		return &Refusal{Why: TooLarge, Text: doing + ": the message is larger than the broker takes", Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case isDown(err):
		return fmt.Errorf("%w: %s: %w", broker.ErrNotRunning, doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// isDown reports whether an error means that no server, or no JetStream, answers.
func isDown(err error) bool {
	for _, down := range []error{
		nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrReconnectBufExceeded, nats.ErrConnectionReconnecting,
		nats.ErrNoResponders, nats.ErrTimeout, nats.ErrNoServers, jetstream.ErrNoStreamResponse, jetstream.ErrServerShutdown, jetstream.ErrNoHeartbeat,
		jetstream.ErrConnectionClosed, jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount,
	} {
		if errors.Is(err, down) {
			return true
		}
	}
	return false
}
