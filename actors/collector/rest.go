package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Messages of the rest actor, beside *errand.
type (
	// pollPlan lists all polled channels that are wanted.
	pollPlan struct{ subs []connectors.Subscription }
	pollDue  struct{ sub connectors.Subscription }
	// listDue: the instrument table is to be fetched.
	listDue struct{}
	// errandDue: an errand has waited long enough.
	errandDue struct{ errand *errand }

	// What comes home from a call.
	listed struct {
		instruments []*market.Instrument
		ranking     []string // nil when it was not asked for, or rankErr
		err         error
		rankErr     error
	}
	errandDone struct {
		errand *errand
		batch  *market.Batch
		done   bool
		err    error
	}
	pollDone struct {
		sub   connectors.Subscription
		batch *market.Batch
		err   error
	}
)

// rest makes the REST calls of one market: the instrument table, then books, then
// missed trades, then polled channels. The client allows one call at a time; a
// second is under way so that its turn comes without delay.
type rest struct {
	venue *venue
	c     *supervise.Context
	calls [2]supervise.InFlight

	listWanted bool
	listTries  int
	listLater  func() // stops the timer of the next fetch; nil for none
	books      []*errand
	trades     []*errand
	known      map[*errand]struct{} // queued, waiting or under way
	polls      []connectors.Subscription
	polling    map[connectors.Subscription]*poll
}

// poll is one polled channel of one instrument.
type poll struct {
	stop   func()
	queued bool
}

func newRest(v *venue) *rest {
	return &rest{venue: v, known: map[*errand]struct{}{}, polling: map[connectors.Subscription]*poll{}}
}

// Receive handles one message and starts what may be started.
func (r *rest) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		r.start(c)
	case listDue:
		r.listWanted = r.venue.enabled()
	case listed:
		r.listed(m)
	case *errand:
		r.take(m)
	case errandDue:
		r.queue(m.errand)
	case errandDone:
		r.errandDone(m)
	case pollPlan:
		r.plan(m.subs)
	case pollDue:
		if p := r.polling[m.sub]; p != nil && !p.queued {
			p.queued = true
			r.polls = append(r.polls, m.sub)
		}
	case pollDone:
		r.pollDone(m)
	}
	r.work()
}

// start fetches the table at once when there is none, and tells those that wait
// for answers of an earlier incarnation.
func (r *rest) start(c *supervise.Context) {
	r.c = c
	if l := r.venue.listing.Load(); l == nil || l.builtin {
		r.listWanted = r.venue.enabled()
	} else {
		r.listIn(r.venue.opts.Config.InstrumentsEvery)
	}
	if c.Incarnation() == 1 {
		return
	}
	for _, route := range r.venue.allRoutes() {
		route.answer(restBack{})
	}
	r.tellSubscriptions(restBack{})
}

// listIn fetches the table after d, and not before.
func (r *rest) listIn(d time.Duration) {
	if r.listLater != nil {
		r.listLater()
	}
	r.listLater = r.c.After(d, listDue{})
}

func (r *rest) tellSubscriptions(message any) {
	if err := r.c.System().Tell(r.venue.child(subscriptionsName), message); err != nil {
		// It looks at the table when it starts.
		r.c.Log().Debug("the subscriptions actor is not there yet", zap.Error(err))
	}
}

// work starts calls, the most urgent first.
func (r *rest) work() {
	defer func() { r.venue.precedence.set(len(r.books) + len(r.trades)) }()
	for i := range r.calls {
		if r.calls[i].Busy() {
			continue
		}
		call := r.nextCall()
		if call == nil {
			return
		}
		r.calls[i].Start(r.c, call)
	}
}

func (r *rest) nextCall() func(context.Context) any {
	v := r.venue
	switch {
	case r.listWanted:
		r.listWanted = false
		return func(ctx context.Context) any {
			m := listed{}
			if m.instruments, m.err = v.fetchInstruments(ctx); m.err == nil && v.wish.Load().top > 0 {
				m.ranking, m.rankErr = v.fetchRanking(ctx, m.instruments)
			}
			return m
		}
	case len(r.books) > 0:
		return r.run(pop(&r.books), v.fetchBook)
	case len(r.trades) > 0:
		return r.run(pop(&r.trades), v.fetchTrades)
	case len(r.polls) > 0:
		sub := pop(&r.polls)
		if p := r.polling[sub]; p != nil {
			p.queued = false
		}
		return func(ctx context.Context) any {
			b := new(market.Batch)
			err := v.fetch(ctx, connectors.Need{Kind: connectors.NeedPoll, Instrument: sub.Instrument, Channel: sub.Channel}, b)
			return pollDone{sub, b, err}
		}
	}
	return nil
}

func (r *rest) run(e *errand, do func(context.Context, *errand) errandDone) func(context.Context) any {
	return func(ctx context.Context) any { return do(ctx, e) }
}

func pop[T any](queue *[]T) T {
	first := (*queue)[0]
	var zero T
	(*queue)[0] = zero
	*queue = (*queue)[1:]
	return first
}

// take takes an errand up, unless it has it.
func (r *rest) take(e *errand) {
	if _, ok := r.known[e]; ok {
		return
	}
	r.known[e] = struct{}{}
	e.started = r.venue.opts.Now()
	if e.wait > 0 {
		r.c.After(e.wait, errandDue{e})
		return
	}
	r.queue(e)
}

func (r *rest) queue(e *errand) {
	switch {
	case e.over():
		delete(r.known, e)
	case e.kind == connectors.NeedSnapshot:
		r.books = append(r.books, e)
	default:
		r.trades = append(r.trades, e)
	}
}

// over reports whether nobody waits for the errand any more.
func (e *errand) over() bool {
	return e.route.final.Load() || e.route.born.Load() != e.born
}

func (r *rest) errandDone(m errandDone) {
	e := m.errand
	if m.err != nil && !m.done && r.again(e, m.err) {
		return
	}
	if m.err != nil {
		r.venue.failures.Add(1)
		r.c.Log().Warn("gave up asking the exchange", zap.String("for", e.kind.String()),
			zap.String("symbol", e.route.instrument.Symbol), zap.Error(m.err))
		m.done = true
	}
	e.tries = 0
	e.route.answer(&fetched{errand: e, batch: m.batch, done: m.done, err: m.err})
	if m.done {
		delete(r.known, e)
		return
	}
	r.queue(e)
}

// again tries an errand later, if that may help and there is patience left. A
// book is needed, however long it takes.
func (r *rest) again(e *errand, err error) bool {
	patient := e.kind == connectors.NeedSnapshot || r.venue.opts.Now().Sub(e.started) < r.venue.opts.Config.BackfillPatience
	if !patient || errors.Is(err, connectors.ErrUnsupported) {
		return false
	}
	r.venue.retries.Add(1)
	if e.kind == connectors.NeedSnapshot {
		e.route.answer(bookAsked{e, false})
	}
	if e.tries == 0 {
		r.c.Log().Warn("the exchange's REST interface fails, trying again", zap.String("for", e.kind.String()),
			zap.String("symbol", e.route.instrument.Symbol), zap.Error(err))
	}
	r.c.After(r.pause(e.tries), errandDue{e})
	e.tries++
	return true
}

// pause is the wait before try n+1.
func (r *rest) pause(n int) time.Duration {
	c := r.venue.opts.Config
	return supervise.Backoff{Base: c.RetryFirst, Cap: c.RetryLast, Jitter: .2}.Delay(n, r.venue.opts.jitter())
}

// listed takes the instrument table. Without an answer the program's own table
// has to do, loudly, until there is one.
func (r *rest) listed(m listed) {
	v := r.venue
	if m.err == nil {
		v.adopt(m.instruments, false)
		r.ranked(m)
		r.tellSubscriptions(tableChanged{})
		return
	}
	v.retries.Add(1)
	wait := r.pause(r.listTries)
	r.listTries++
	r.listIn(wait)
	if v.listing.Load() != nil || v.table().Builtin == nil {
		r.c.Log().Warn("the exchange's list of instruments cannot be fetched, trying again", zap.Duration("wait", wait), zap.Error(m.err))
		return
	}
	v.adopt(v.table().Builtin().All(), true)
	r.c.Log().Error("THE EXCHANGE'S REST INTERFACE DOES NOT ANSWER: working from the built-in instrument table, which may be out of date",
		zap.Int("instruments", len(v.instruments().All())), zap.Duration("wait", wait), zap.Error(m.err))
	r.tellSubscriptions(tableChanged{})
}

// ranked takes which instruments are traded most; the ranking that there is stays
// in force while another cannot be had.
func (r *rest) ranked(m listed) {
	v := r.venue
	switch {
	case m.rankErr == nil:
		r.listTries = 0
		r.listIn(v.opts.Config.InstrumentsEvery)
		if m.ranking != nil {
			v.ranking.Store(&m.ranking)
		}
		return
	case errors.Is(m.rankErr, connectors.ErrUnsupported):
		r.listIn(v.opts.Config.InstrumentsEvery)
		r.c.Log().Error("top: the exchange does not tell which instruments are traded most; name symbols or patterns",
			zap.Int("top", v.wish.Load().top))
	default:
		v.retries.Add(1)
		wait := r.pause(r.listTries)
		r.listTries++
		r.listIn(wait)
		r.c.Log().Warn("top: the exchange's volumes cannot be fetched, trying again", zap.Duration("wait", wait), zap.Error(m.rankErr))
	}
}

// plan makes the polled channels those of subs.
func (r *rest) plan(subs []connectors.Subscription) {
	want := make(map[connectors.Subscription]bool, len(subs))
	for _, s := range subs {
		want[s] = true
		if r.polling[s] == nil {
			r.polling[s] = &poll{stop: r.c.Every(r.venue.table().Channels[s.Channel].Poll, pollDue{s}), queued: true}
			r.polls = append(r.polls, s)
		}
	}
	for s, p := range r.polling {
		if !want[s] {
			p.stop()
			delete(r.polling, s)
		}
	}
}

func (r *rest) pollDone(m pollDone) {
	route := r.venue.route(m.sub.Instrument)
	if m.err != nil {
		r.venue.failures.Add(1)
		r.c.Log().Warn("polling the exchange failed", zap.String("channel", r.venue.table().Channels[m.sub.Channel].Name),
			zap.String("symbol", m.sub.Instrument.Symbol), zap.Error(m.err))
		return
	}
	if route != nil && r.polling[m.sub] != nil {
		p := &polled{m.batch, m.batch.Memory()}
		route.post(p, r.venue.kindsOfChannel(m.sub.Channel), p.memory)
	}
}

// fetch makes one call.
func (v *venue) fetch(ctx context.Context, n connectors.Need, into *market.Batch) error {
	if v.table().REST == nil {
		return connectors.ErrUnsupported
	}
	req, err := v.table().REST.Request(n)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", n.Kind, err)
	}
	return v.made.Load().client.Fetch(ctx, req, into)
}

func (v *venue) fetchInstruments(ctx context.Context) ([]*market.Instrument, error) {
	if v.table().REST == nil {
		return nil, connectors.ErrUnsupported
	}
	return v.made.Load().client.Instruments(ctx)
}

// fetchRanking lists native symbols, the most traded first.
func (v *venue) fetchRanking(ctx context.Context, listed []*market.Instrument) ([]string, error) {
	volumes, err := v.made.Load().client.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	return rank(volumes, listed), nil
}

func (v *venue) fetchBook(ctx context.Context, e *errand) errandDone {
	e.route.answer(bookAsked{e, true})
	b := new(market.Batch)
	err := v.fetch(ctx, connectors.Need{Kind: connectors.NeedSnapshot, Instrument: e.route.instrument}, b)
	return errandDone{errand: e, batch: b, done: err == nil, err: err}
}

// fetchTrades fetches one page of what is missing, oldest first. An exchange that
// does not give trades by id is asked once for its newest.
func (v *venue) fetchTrades(ctx context.Context, e *errand) errandDone {
	b := new(market.Batch)
	need := connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: e.route.instrument, FromID: e.next, ToID: e.upTo}
	if e.recent {
		need.Kind = connectors.NeedRecentTrades
	}
	err := v.fetch(ctx, need, b)
	if err != nil && !e.recent && final(err) {
		e.recent = true
		return v.fetchTrades(ctx, e)
	}
	if err != nil {
		return errandDone{errand: e, batch: b, err: err, done: e.recent && final(err)}
	}
	last := int64(-1)
	for t := range market.Rows[market.Trade](b) {
		if id, ok := t.Number(); ok {
			last = max(last, id)
		}
	}
	done := e.recent || last < e.next || last >= e.request.To
	e.next = last + 1
	return errandDone{errand: e, batch: b, done: done}
}

// final reports whether the same call would fail again.
func final(err error) bool {
	var temporary interface{ Temporary() bool }
	if errors.As(err, &temporary) {
		return !temporary.Temporary()
	}
	return errors.Is(err, connectors.ErrUnsupported)
}
