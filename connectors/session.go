package connectors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/internal/market"
)

// SessionOptions are what a [Session] is made from.
type SessionOptions struct {
	Venue *Venue
	// Connection is what to dial and what to ask for at first.
	Connection  Connection
	Instruments *market.Instruments
	Reconnect   ReconnectConfig
	Sink        Sink
	// NextConn numbers the connections: all sessions of an epoch share it. nil
	// counts from 1.
	NextConn func() int64
	// Connects paces the attempts of all sessions at one address; nil does not.
	Connects *Pacer
	// Dialer makes the connections; nil is gorilla's default.
	Dialer *websocket.Dialer
	Header http.Header
	// Tap sees everything that is sent and received; it must not keep the record
	// or its body. nil for none.
	Tap func(*CaptureRecord)
	// Now is the clock that stamps frames; nil is time.Now. Deadlines go by the
	// machine's monotonic clock: a step of this one neither makes a connection look
	// silent nor hides one that is.
	Now func() time.Time
	// Jitter draws a wait between 0 and its bound; nil draws evenly.
	Jitter func(bound time.Duration) time.Duration
}

// Session keeps one subscription set alive on one socket, for ever: it makes the
// socket, replaces it before the exchange ends it, and makes it again when it is
// lost. At a planned replacement two sockets exist for a moment, and the old one
// is closed once the new one delivers.
//
// [Session.Run] is its life; the other methods may be called from anywhere.
type Session struct {
	o     SessionOptions
	began time.Time // what elapsed counts from
	// monotonic: the times of the clock that stamps carry a monotonic reading.
	monotonic bool
	pool      sync.Pool
	count     counters

	mu      sync.Mutex
	want    subscriptionSet
	renewed subscriptionSet // to be ended and asked for anew
	status  status
	shown   []Subscription     // see Silent
	cancel  context.CancelFunc // of Run; nil before
	stopped bool

	changed chan struct{} // holds one token when want or renewed has changed
	events  chan linkEvent
	dialed  chan dialResult
	done    chan struct{} // closed when Run has ended

	// Of the goroutine in Run:
	cur, next *link
	dialing   bool
	failures  int // attempts in a row that came to nothing
	lastID    int64
	silent    map[Subscription]*silence
}

type dialResult struct {
	l   *link
	err error
}

// NewSession makes a session that does nothing yet. The error says which option
// is missing or wrong.
func NewSession(o SessionOptions) (*Session, error) {
	if o.Venue == nil || o.Venue.Wire == nil || o.Venue.NewDecoder == nil || o.Instruments == nil || o.Sink == nil {
		return nil, errors.New("a session needs a venue with a wire and a decoder, instruments and a sink")
	}
	if err := o.Reconnect.validate(); err != nil {
		return nil, err
	}
	if o.Dialer == nil {
		o.Dialer = websocket.DefaultDialer
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	now := o.Now()
	if o.Jitter == nil {
		o.Jitter = func(bound time.Duration) time.Duration { return rand.N(bound + 1) }
	}
	if o.NextConn == nil {
		last := int64(0)
		o.NextConn = func() int64 { last++; return last }
	}
	s := &Session{
		o: o, began: time.Now(), monotonic: now != now.Round(0),
		changed: make(chan struct{}, 1), events: make(chan linkEvent, 64),
		dialed: make(chan dialResult, 1), done: make(chan struct{}), silent: map[Subscription]*silence{},
	}
	s.want.add(o.Connection.Subs)
	s.pool.New = func() any { return &Delivery{pool: &s.pool} }
	return s, nil
}

// Subscribe adds subscriptions, now and on every later connection. They must be
// of the connection's group. Those that exist already are left as they are.
func (s *Session) Subscribe(subs ...Subscription) {
	s.mu.Lock()
	s.want.add(subs)
	s.mu.Unlock()
	s.wake()
}

// Unsubscribe ends subscriptions. Frames that are under way may still come.
func (s *Session) Unsubscribe(subs ...Subscription) {
	s.mu.Lock()
	s.want.remove(subs)
	s.mu.Unlock()
	s.wake()
}

// Resubscribe ends subscriptions on the open connections and asks for them anew
// as soon as the exchange has acknowledged the end, so that what a channel begins
// with, a book's snapshot, comes again. A subscription that is being asked for
// already is left alone, because it is to begin anyway; so are those that are not
// subscribed. The session's state does not change. An end that is not
// acknowledged in time ends the connection, as any demand does.
func (s *Session) Resubscribe(subs ...Subscription) {
	s.mu.Lock()
	s.renewed.add(subs)
	s.mu.Unlock()
	s.wake()
}

// Subscriptions lists what the session keeps subscribed.
func (s *Session) Subscriptions() []Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.want.list)
}

func (s *Session) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Stop ends the session and returns when everything of it has ended. It may be
// called again, and before Run.
func (s *Session) Stop() {
	s.mu.Lock()
	s.stopped = true
	cancel := s.cancel
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-s.done
	}
}

// ErrSessionOver says that Run has been called before, or Stop.
var ErrSessionOver = errors.New("the session is running or over")

// Run keeps the session alive until ctx ends or Stop is called, and returns nil
// when every goroutine of it has ended. A panic of the decoder or of the sink is
// returned as a *[PanicError], with everything closed.
func (s *Session) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if s.stopped || s.cancel != nil {
		s.mu.Unlock()
		return ErrSessionOver
	}
	s.cancel = cancel
	s.mu.Unlock()
	defer close(s.done)
	err := s.run(ctx)
	s.enter(Stopped, err, 0)
	return err
}

func (s *Session) run(ctx context.Context) error {
	for ctx.Err() == nil {
		cause := s.attempt(ctx)
		if isPanic(cause) {
			return cause
		}
		if ctx.Err() == nil {
			wait := s.backoff(cause)
			s.enter(Backoff, cause, wait)
			_ = sleep(ctx, wait) // the loop asks ctx itself
		}
	}
	return nil
}

// attempt is one connection with all its planned successors: it returns when
// the last of them is gone.
func (s *Session) attempt(ctx context.Context) error {
	s.enter(Connecting, nil, 0)
	l, err := s.open(ctx)
	if err != nil {
		s.count.failed.Add(1)
		return err
	}
	s.adopt(ctx, l)
	s.cur = l
	s.enter(Subscribing, nil, 0)
	return s.serve(ctx)
}

// open makes a connection that is not yet read from.
func (s *Session) open(ctx context.Context) (*link, error) {
	if err := s.o.Connects.Wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Reconnect.DialTimeout)
	defer cancel()
	ws, resp, err := s.o.Dialer.DialContext(ctx, s.o.Connection.URL, s.o.Header)
	if err != nil {
		return nil, handshakeError(s.o.Connection.URL, resp, err, s.o.Now())
	}
	return newLink(s, ws), nil
}

// adopt numbers a new connection, starts it and asks for everything.
func (s *Session) adopt(ctx context.Context, l *link) {
	l.conn = s.o.NextConn()
	s.count.connects.Add(1)
	s.tap(&CaptureRecord{Time: s.o.Now().UnixNano(), Conn: l.conn, Dir: CaptureOpen, URL: s.o.Connection.URL})
	s.report(Event{Kind: Connected, Conn: l.conn, Subs: s.Subscriptions()})
	l.start(ctx)
	for _, frame := range s.o.Venue.Wire.Rules().Greeting {
		l.send(outgoing{body: frame})
	}
	s.align(l)
}

// serve watches over the connection until there is none.
func (s *Session) serve(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	tick := time.NewTicker(s.tickEvery())
	renew := time.NewTimer(s.lifetime())
	defer func() {
		tick.Stop()
		renew.Stop()
		cancel()
		s.abandon()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-s.events:
			s.hear(ctx, e)
		case r := <-s.dialed:
			s.dialing = false
			if r.err != nil {
				s.count.failed.Add(1)
				renew.Reset(s.backoff(r.err))
				break
			}
			s.adopt(ctx, r.l)
			s.next = r.l
		case <-renew.C:
			s.renew(ctx)
		case <-s.changed:
			s.align(s.cur)
			s.align(s.next)
			s.takeRenewed()
		case <-tick.C:
			s.check(ctx, s.cur)
			s.check(ctx, s.next)
		case <-doneOf(s.next):
			cause := s.lose(s.next, false)
			s.next = nil
			if isPanic(cause) {
				return cause
			}
			renew.Reset(s.backoff(cause))
		case <-s.cur.done:
			cause := s.lose(s.cur, s.next != nil && s.next.ready(time.Now()))
			if s.cur = nil; s.next == nil || isPanic(cause) {
				return cause
			}
			s.cur, s.next = s.next, nil
			renew.Reset(s.lifetime())
		}
		if s.settle() {
			renew.Reset(s.lifetime())
		}
	}
}

// settle moves on as far as acknowledgements allow: to Live, and from an old
// connection to its replacement, which it reports.
func (s *Session) settle() (replaced bool) {
	if s.next != nil && s.next.ready(time.Now()) {
		s.cur.shut()
		<-s.cur.done
		_ = s.lose(s.cur, true) // its end was planned
		s.cur, s.next, replaced = s.next, nil, true
	}
	switch live := s.cur.settled(); {
	case live && s.State() != Live:
		s.enter(Live, nil, 0)
	case !live && s.State() != Subscribing:
		s.enter(Subscribing, nil, 0)
	}
	return replaced
}

// renew begins a planned replacement, unless one is under way.
func (s *Session) renew(ctx context.Context) {
	if s.next != nil || s.dialing {
		return
	}
	s.dialing = true
	go func() {
		l, err := s.open(ctx)
		s.dialed <- dialResult{l, err}
	}()
}

// lose reports a connection that has ended.
func (s *Session) lose(l *link, replaced bool) error {
	cause := l.err
	if time.Since(l.opened) >= s.o.Reconnect.HealthyAfter {
		s.failures = 0
	}
	switch {
	case replaced:
		s.count.replaced.Add(1)
		cause = nil
	case errors.Is(cause, errShut):
		cause = nil
	default:
		s.count.lost.Add(1)
	}
	if !replaced && l == s.cur {
		clear(s.silent) // the next connection is a remedy for all
		s.showSilent()
	}
	s.report(Event{Kind: Disconnected, Conn: l.conn, Replaced: replaced, Subs: s.Subscriptions(), Cause: cause})
	return l.err
}

// abandon closes whatever is left, and waits for it.
func (s *Session) abandon() {
	if s.dialing {
		if r := <-s.dialed; r.l != nil {
			_ = r.l.ws.Close() // nothing was said on it
		}
		s.dialing = false
	}
	for _, l := range []*link{s.next, s.cur} {
		if l != nil {
			l.shut()
			<-l.done
			_ = s.lose(l, false) // the session ends for a reason of its own
		}
	}
	s.cur, s.next = nil, nil
	for { // what the closed connections had to say
		select {
		case <-s.events:
		default:
			return
		}
	}
}

// backoff is the wait before the next attempt: drawn evenly below a bound that
// doubles, and not before the exchange allows it.
func (s *Session) backoff(cause error) time.Duration {
	bound := s.o.Reconnect.InitialWait
	for range s.failures {
		if bound *= 2; bound >= s.o.Reconnect.MaxWait {
			bound = s.o.Reconnect.MaxWait
			break
		}
	}
	s.failures++
	wait := s.o.Jitter(bound)
	var h *HandshakeError
	if errors.As(cause, &h) && (h.RetryAfter > 0 || throttled(h.Status)) {
		away := h.RetryAfter
		if away == 0 {
			away = defaultThrottle
		}
		wait += away
	}
	return wait
}

// lifetime is how long a new connection is kept before its replacement is made;
// it is drawn, so that sockets made together are not replaced together.
func (s *Session) lifetime() time.Duration {
	life := s.o.Venue.Wire.Rules().Lifetime
	if life <= 0 {
		return 1 << 62
	}
	early := s.o.Reconnect.ReplaceBefore
	return max(life-early-s.o.Jitter(early), life/2)
}

func doneOf(l *link) <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.done
}

// PanicError is a panic of a decoder or a sink, caught where it happened.
type PanicError struct {
	Value any
	Stack []byte
}

// Error gives the panic's value.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

func isPanic(err error) bool {
	var p *PanicError
	return errors.As(err, &p)
}

// HandshakeError is a connection that could not be made.
type HandshakeError struct {
	URL string
	// Status is the HTTP status of the refusal; 0 when there was no answer.
	Status int
	// RetryAfter is how long the exchange wants to be left alone; 0 when it does
	// not say.
	RetryAfter time.Duration
	Cause      error
}

// Error gives the status, if any, and the cause.
func (e *HandshakeError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("connect to %s: status %d: %v", e.URL, e.Status, e.Cause)
	}
	return fmt.Sprintf("connect to %s: %v", e.URL, e.Cause)
}

// Unwrap is the cause.
func (e *HandshakeError) Unwrap() error { return e.Cause }

func handshakeError(url string, resp *http.Response, err error, now time.Time) error {
	e := &HandshakeError{URL: url, Cause: err}
	if resp != nil {
		e.Status, e.RetryAfter = resp.StatusCode, retryAfter(resp.Header, now)
		resp.Body.Close()
	}
	return e
}
