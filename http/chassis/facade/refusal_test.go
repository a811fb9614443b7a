package facade_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/persistence"
)

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   string
		retry  bool
	}{
		{persistence.ErrTooLarge, 413, "too_large", false},
		{persistence.ErrRecord, 422, "invalid_record", false},
		{persistence.ErrJournalFull, 503, "journal_full", true},
		{persistence.ErrDiskFull, 503, "disk_full", true},
		{persistence.ErrNoCredit, 503, "journal_busy", true},
		{persistence.ErrRefusing, 503, "journal_refuses", true},
		{persistence.ErrDoubt, 503, "journal_in_doubt", true},
		{persistence.ErrStopped, 503, "stopping", true},
		{persistence.ErrCursor, 422, "invalid_field", false},
		{persistence.ErrQuery, 422, "invalid_field", false},
		{persistence.ErrClosed, 503, "stopping", true},
		{supervise.ErrMailboxFull, 503, "busy", true},
		{fmt.Errorf("%w: %w", supervise.ErrTimeout, context.DeadlineExceeded), 503, "deadline_exceeded", true},
		{supervise.ErrStopped, 503, "restarting", true},
		{supervise.ErrFailed, 503, "restarting", true},
	} {
		t.Run(tc.code, func(t *testing.T) {
			err := facade.Refusal(fmt.Errorf("storing: %w", tc.err))
			var got interface {
				HTTPStatus() int
				ProblemCode() string
				RetryAfter() time.Duration
			}
			if !errors.As(err, &got) {
				t.Fatalf("%v has no answer", err)
			}
			if got.HTTPStatus() != tc.status || got.ProblemCode() != tc.code || got.RetryAfter() > 0 != tc.retry {
				t.Errorf("%d %s after %v, want %d %s, retry %v", got.HTTPStatus(), got.ProblemCode(), got.RetryAfter(), tc.status, tc.code, tc.retry)
			}
			if !errors.Is(err, tc.err) {
				t.Error("the cause is lost")
			}
		})
	}
	own := chassis.Conflict("taken")
	if got := facade.Refusal(own); got != error(own) { //nolint:errorlint // the very same
		t.Errorf("an error that knows its answer became %v", got)
	}
	if got := facade.Refusal(context.Canceled); !errors.Is(got, context.Canceled) || status(got) != 0 {
		t.Errorf("a client that left got %v", got)
	}
}
