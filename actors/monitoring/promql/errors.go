package promql

import (
	"context"
	"errors"
	"fmt"

	upstream "github.com/prometheus/prometheus/promql"
)

// Kind says whose fault an error is.
type Kind string

// The kinds, as Prometheus' HTTP interface names them.
const (
	BadData   Kind = "bad_data"  // of the asker
	Execution Kind = "execution" // of the query, on these samples
	Canceled  Kind = "canceled"
	Timeout   Kind = "timeout"
	Internal  Kind = "internal" // ours
)

// Error is why there is no result.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Bad is an error of the asker.
func Bad(format string, args ...any) *Error {
	return &Error{BadData, fmt.Errorf(format, args...)}
}

// failure gives an error of the engine its kind.
func failure(err error) *Error {
	var (
		canceled upstream.ErrQueryCanceled
		timeout  upstream.ErrQueryTimeout
		stored   upstream.ErrStorage
	)
	if errors.Is(err, context.DeadlineExceeded) { // while it waited for its slot
		err = upstream.ErrQueryTimeout("query queue")
	}
	switch {
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return &Error{Canceled, err}
	case errors.As(err, &timeout):
		return &Error{Timeout, err}
	case errors.As(err, &stored):
		return &Error{Internal, err}
	}
	return &Error{Execution, err}
}
