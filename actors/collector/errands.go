package collector

import (
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// errand is one thing that a stream wants by REST. The rest actor tries until it
// is done, gives up, or the stream's incarnation has ended.
type errand struct {
	route *route
	born  uint64
	kind  connectors.NeedKind // NeedSnapshot or NeedTradesFrom
	// request is the stream's (trades).
	request stream.Request
	// wait is how long to leave the exchange alone before.
	wait time.Duration

	// The rest actor's.
	next    int64 // the first trade that is still wanted
	upTo    int64 // the last that may be of use
	recent  bool  // ask for the newest trades, because they cannot be had by id
	tries   int
	started time.Time
}

// fetched is what an errand brought. Trades may come in several, the last of
// which is done.
type fetched struct {
	errand *errand
	batch  *market.Batch
	done   bool
	err    error // given up
}

// bookAsked: the exchange is being asked for a book, or, after a call that failed,
// will be again later.
type bookAsked struct {
	errand *errand
	now    bool
}

// maxUnasked is how many changes a book keeps whose snapshot waits for its turn,
// which takes minutes where thousands do. The snapshot will be newer than any of them:
// they are kept so that one that comes late may still find its place.
const maxUnasked = 64

// bookAsked makes the stream keep what comes from now on, or keep little again.
func (s *streamActor) bookAsked(m bookAsked) {
	if m.errand.born == s.born && m.errand == s.errands.book && s.phase == stepping {
		s.stream.SnapshotAsked(m.now)
	}
}

// restBack: the rest actor has restarted and knows of no errand.
type restBack struct{}

// errands are what a stream waits for: at most one book and one range of trades
// at a time.
type errands struct {
	book   *errand
	bookAt int64 // when the last one was sent, Unix ns
	trades []stream.Request
	trade  *errand // for trades[0]
	unsent bool    // one of them did not fit the rest actor's mailbox

	// renewed is when the book was subscribed anew last, Unix ns; renewals how often
	// lately; renewing that it is to be, as soon as the wait is over.
	renewed  int64
	renewals int
	renewing bool
}

const (
	// renewalsForgotten is the calm after which waits start anew.
	renewalsForgotten = time.Minute
	// renewAgain, times the patience for an acknowledgement, is when a new
	// subscription that brought nothing is asked for again.
	renewAgain = 4
)

// renewDue: the wait before a new subscription is over.
type renewDue struct{}

// renew subscribes the book anew: at once, or after a wait that doubles while new
// subscriptions do not help.
func (e *errands) renew(s *streamActor) {
	if e.renewing {
		return
	}
	passed := time.Duration(s.venue.now() - e.renewed)
	if passed > renewalsForgotten {
		e.renewals = 0
	}
	c, wait := s.opts.Config, time.Duration(0)
	if e.renewals > 0 {
		wait = supervise.Backoff{Base: c.RetryFirst, Cap: c.RetryLast, Jitter: .2}.Delay(e.renewals-1, s.opts.jitter()) - passed
	}
	e.renewals++
	if wait > 0 {
		e.renewing = true
		s.c.After(wait, renewDue{})
		return
	}
	e.renewNow(s)
}

func (e *errands) renewNow(s *streamActor) {
	e.renewing, e.renewed = false, s.venue.now()
	if s.phase == stepping && s.stream.AwaitsBook() {
		s.venue.resubscribe(s.route.instrument)
	}
}

// renewLost asks again when a new subscription has brought no snapshot: the
// mailbox may have refused it.
func (e *errands) renewLost(s *streamActor) {
	patience := renewAgain * s.venue.made.Load().cfg.Reconnect.AckTimeout
	if s.config.SnapshotsInBand && s.stream.AwaitsBook() && s.venue.now()-e.renewed > int64(patience) {
		e.renew(s)
	}
}

// ask carries a request of the step function out.
func (e *errands) ask(s *streamActor, q stream.Request) {
	if s.phase == draining {
		return
	}
	switch q.Kind {
	case stream.RequestSnapshot:
		now := s.venue.now()
		e.book = &errand{route: s.route, born: s.born, kind: connectors.NeedSnapshot}
		// A snapshot that was too old is not asked for again at once.
		if now-e.bookAt < int64(s.opts.Config.RetryFirst) {
			e.book.wait = s.opts.Config.RetryFirst
		}
		e.bookAt = now
		e.send(s, e.book)
	case stream.RequestResubscribe:
		e.renew(s)
	case stream.RequestTrades:
		e.trades = append(e.trades, q)
		e.nextTrades(s)
	}
}

// together is how many trades one call is expected to bring at most: what else is
// missing within so many is asked for with the first.
const together = 1000

// nextTrades asks for the next range, unless it has come with one before it.
func (e *errands) nextTrades(s *streamActor) {
	for e.trade == nil && len(e.trades) > 0 && !s.stream.Lacks(e.trades[0]) {
		e.trades = e.trades[1:]
	}
	if e.trade != nil || len(e.trades) == 0 {
		return
	}
	q := e.trades[0]
	from := q.From
	if limit := int64(s.opts.Config.BackfillTrades); q.To-from >= limit {
		from = q.To - limit + 1
	}
	upTo := q.To
	for _, later := range e.trades[1:] {
		if later.From >= from && later.To-from < together {
			upTo = max(upTo, later.To)
		}
	}
	e.trade = &errand{route: s.route, born: s.born, kind: connectors.NeedTradesFrom, request: q, next: from, upTo: upTo}
	e.send(s, e.trade)
}

func (e *errands) send(s *streamActor, one *errand) {
	if err := s.opts.System.Tell(s.venue.child(restName), one); err != nil {
		e.unsent = true
		s.c.Log().Debug("the rest actor takes no request now", zap.Error(err))
	}
}

// retry sends what could not be sent.
func (e *errands) retry(s *streamActor) {
	if e.unsent {
		e.resend(s)
	}
}

// resend asks again for all that is wanted, and returns for how many ranges of
// trades. What the rest actor has already it does not take twice.
func (e *errands) resend(s *streamActor) int {
	e.unsent = false
	if e.book != nil {
		e.send(s, e.book)
	}
	if e.trade != nil {
		e.send(s, e.trade)
	}
	return len(e.trades)
}

// fetched takes what an errand brought.
func (s *streamActor) fetched(m *fetched) {
	e := &s.errands
	if m.errand.born == s.born && s.phase == resuming && m.errand == e.book {
		s.takeover.bookFetched(s, m)
		return
	}
	if m.errand.born != s.born || s.phase != stepping {
		return
	}
	switch m.errand {
	case e.book:
		e.book = nil
		s.fetchedBook(m)
	case e.trade:
		s.stream.Backfilled(m.errand.request, m.batch, m.done, s.venue.now(), &s.desk.out)
		s.emit()
		if m.done {
			e.trade, e.trades = nil, e.trades[1:]
			e.nextTrades(s)
		}
	}
}

func (s *streamActor) fetchedBook(m *fetched) {
	if m.err != nil {
		s.c.Log().Error("no snapshot of the book", zap.Error(m.err))
		s.stream.SnapshotFailed()
		return
	}
	for d := range market.Rows[market.BookDelta](m.batch) {
		s.stream.Snapshot(d, &s.desk.out)
	}
	s.emit()
}
