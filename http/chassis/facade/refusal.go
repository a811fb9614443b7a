package facade

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// answer is what a known error is answered with.
type answer struct {
	err    error
	status int
	code   string
	detail string
	after  time.Duration // of a 503; 0 is the default
}

// answers is the one table from errors of branches, journal and store to
// answers. The first match counts.
var answers = []answer{
	{persistence.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large", "the records do not fit one journal message; send fewer at a time, or send them as NDJSON", 0},
	{persistence.ErrRecord, http.StatusUnprocessableEntity, "invalid_record", "a record holds what no store can keep, such as a number of too many digits", 0},
	{persistence.ErrJournalFull, http.StatusServiceUnavailable, "journal_full", "the journal is full and takes no records until stored ones have been purged from it", 5 * time.Second},
	{persistence.ErrDiskFull, http.StatusServiceUnavailable, "disk_full", "the disk of the journal is full; records are taken again as soon as there is space", 5 * time.Second},
	{persistence.ErrNoCredit, http.StatusServiceUnavailable, "journal_busy", "too many records are on their way into the journal already", time.Second},
	{persistence.ErrRefusing, http.StatusServiceUnavailable, "journal_refuses", "the journal refuses records at the moment", 2 * time.Second},
	{persistence.ErrDoubt, http.StatusServiceUnavailable, "journal_in_doubt", "the journal did not acknowledge in time; the records may still appear, and sending them again is harmless", 2 * time.Second},
	{persistence.ErrStopped, http.StatusServiceUnavailable, "stopping", "the journal is stopping", 2 * time.Second},
	{persistence.ErrCursor, http.StatusUnprocessableEntity, "invalid_field", "query parameter cursor is not a cursor of this list; start without one", 0},
	{persistence.ErrQuery, http.StatusUnprocessableEntity, "invalid_field", "the store does not know this kind, column or interval", 0},
	{persistence.ErrClosed, http.StatusServiceUnavailable, "stopping", "the store is closed", 2 * time.Second},
	{persistence.ErrBacklog, http.StatusServiceUnavailable, "store_busy", "the store has too much left to write", 2 * time.Second},
	{supervise.ErrMailboxFull, http.StatusServiceUnavailable, "busy", "the service has more requests than it can take at the moment", time.Second},
	{supervise.ErrTimeout, http.StatusServiceUnavailable, "deadline_exceeded", "the service did not answer within the deadline of the request", time.Second},
	{supervise.ErrStopped, http.StatusServiceUnavailable, "restarting", "this part of the service is not running at the moment", time.Second},
	{supervise.ErrFailed, http.StatusServiceUnavailable, "restarting", "this part of the service failed over the request and is restarting", time.Second},
}

// Refusal gives an error of a branch, the journal or the store the answer that
// the client gets. An error that knows its answer, and one that nobody knows,
// are returned as they are.
func Refusal(err error) error {
	var known *chassis.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	var symbol *market.SymbolError
	if errors.As(err, &symbol) {
		return unlisted(symbol)
	}
	for _, a := range answers {
		if !errors.Is(err, a.err) {
			continue
		}
		if a.status == http.StatusServiceUnavailable {
			return chassis.Unavailable(max(a.after, time.Second), "%s", a.detail).WithCode(a.code).WithCause(err)
		}
		return chassis.NewError(a.status, a.code, "%s", a.detail).WithCause(err)
	}
	return err
}

// Answered wraps the handlers of routes with [Refusal].
func Answered(routes []chassis.Route) []chassis.Route {
	for i := range routes {
		handler := routes[i].Handler
		routes[i].Handler = func(w http.ResponseWriter, r *http.Request) error {
			return Refusal(handler(w, r))
		}
	}
	return routes
}
