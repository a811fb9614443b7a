package collector

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// socket is one session as the rest of the branch sees it: what it is to
// subscribe, how it does, and where its deliveries go. It outlives the
// incarnations of its actor. It is the [connectors.Sink] of its session.
type socket struct {
	venue  *venue
	number int
	name   string
	url    string
	group  string
	known  *market.Instruments
	pid    atomic.Pointer[actor.PID]

	// has are the subscriptions, for those who look at every frame.
	has atomic.Pointer[map[connectors.Subscription]struct{}]

	mu      sync.Mutex
	session *connectors.Session // nil before the actor has started
	subs    []connectors.Subscription
	denied  map[connectors.Subscription]struct{} // of which the exchange wants to know nothing
	silent  map[connectors.Subscription]struct{} // while the connection is there
	state   connectors.State
	conn    int64
	since   time.Time
	fault   string
	before  traffic // of earlier incarnations

	connects, disconnects, refused atomic.Uint64
}

func newSocket(v *venue, number int, c connectors.Connection) *socket {
	s := &socket{
		venue: v, number: number, name: fmt.Sprintf("session-%d", number), url: c.URL, group: c.Group,
		known: v.instruments(), subs: slices.Clone(c.Subs),
	}
	s.index()
	return s
}

// index makes has of subs; the lock is held, or nobody else knows s yet.
func (s *socket) index() {
	has := make(map[connectors.Subscription]struct{}, len(s.subs))
	for _, sub := range s.subs {
		has[sub] = struct{}{}
	}
	s.has.Store(&has)
}

func (s *socket) subscribed(sub connectors.Subscription) bool {
	_, ok := (*s.has.Load())[sub]
	return ok
}

// begin makes the session of a new incarnation.
func (s *socket) begin() (*connectors.Session, error) {
	v := s.venue
	s.mu.Lock()
	defer s.mu.Unlock()
	session, err := connectors.NewSession(connectors.SessionOptions{
		Venue: v.table(), Connection: connectors.Connection{URL: s.url, Group: s.group, Subs: s.subs}, Instruments: s.known,
		Reconnect: v.made.Load().cfg.Reconnect, Sink: s, NextConn: func() int64 { return v.conns.Add(1) }, Connects: v.made.Load().pacer, Now: v.opts.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if s.session != nil {
		s.before.add(trafficOf(s.session))
	}
	s.session, s.denied = session, nil
	return session, nil
}

// close ends the session for good and returns when it has ended.
func (s *socket) close() {
	s.mu.Lock()
	session := s.session
	s.mu.Unlock()
	if session != nil {
		session.Stop()
	}
}

// subscribe and unsubscribe take effect on the open connection.
func (s *socket) subscribe(subs []connectors.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = append(s.subs, subs...)
	s.index()
	if s.session != nil {
		s.session.Subscribe(subs...)
	}
}

func (s *socket) unsubscribe(subs []connectors.Subscription) {
	gone := make(map[connectors.Subscription]struct{}, len(subs))
	for _, sub := range subs {
		gone[sub] = struct{}{}
	}
	s.mu.Lock()
	s.subs = without(s.subs, gone)
	s.index()
	if s.session != nil {
		s.session.Unsubscribe(subs...)
	}
	s.mu.Unlock()
	for i, kinds := range s.venue.byInstrument(subs) {
		if r := s.venue.route(i); r != nil {
			r.up.And(^uint32(kinds))
		}
	}
}

// without are the subscriptions that are not in gone, in a slice of its own.
func without(subs []connectors.Subscription, gone map[connectors.Subscription]struct{}) []connectors.Subscription {
	return slices.DeleteFunc(slices.Clone(subs), func(sub connectors.Subscription) bool {
		_, ok := gone[sub]
		return ok
	})
}

// resubscribe asks for a subscription anew, if the session has it.
func (s *socket) resubscribe(sub connectors.Subscription) {
	if !s.subscribed(sub) {
		return
	}
	s.mu.Lock()
	session := s.session
	s.mu.Unlock()
	if session != nil {
		session.Resubscribe(sub)
	}
}

// clear unsubscribes everything: the session is about to go.
func (s *socket) clear() { s.unsubscribe(s.subscriptions()) }

// fits reports whether the session can take all of a connection's subscriptions: the
// exchange's own plan puts them on one connection with those that it has. What counts
// towards its limits (topics that several share, books) is the exchange's business.
func (s *socket) fits(c connectors.Connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.url != c.URL || s.group != c.Group || len(s.venue.table().Wire.Plan(slices.Concat(s.subs, c.Subs))) != 1 {
		return false
	}
	for _, sub := range c.Subs {
		if i, ok := s.known.Native([]byte(sub.Instrument.Native)); !ok || i != sub.Instrument {
			return false // its decoder would not know the symbol
		}
	}
	return true
}

// Deliver implements [connectors.Sink], on the way of every frame.
func (s *socket) Deliver(d *connectors.Delivery) bool {
	n := d.Batch.Len()
	if n == 0 {
		return false
	}
	first := d.Batch.At(0).Head().Instrument
	for i := 1; i < n; i++ {
		if d.Batch.At(i).Head().Instrument != first {
			s.split(d)
			return true
		}
	}
	r := s.routeOf(d.Note.Channel, first)
	if r == nil {
		s.venue.unrouted.Add(1)
		return false
	}
	return r.post(d, s.venue.kindsOfChannel(d.Note.Channel), d.Memory)
}

// routeOf is where records of a channel and instrument go; nil for nowhere. A
// topic that serves several instruments brings some that are not subscribed.
func (s *socket) routeOf(channel int, i *market.Instrument) *route {
	if s.venue.made.Load().sharing && !s.subscribed(connectors.Subscription{Channel: channel, Instrument: i}) {
		return nil
	}
	return s.venue.route(i)
}

// split shares a delivery out among the streams concerned.
func (s *socket) split(d *connectors.Delivery) {
	var of []*market.Instrument
	for r := range d.Batch.All() {
		if i := r.Head().Instrument; !slices.Contains(of, i) {
			of = append(of, i)
		}
	}
	share := &shared{delivery: d}
	share.left.Store(int32(len(of)))
	kinds := s.venue.kindsOfChannel(d.Note.Channel)
	for _, i := range of {
		r := s.routeOf(d.Note.Channel, i)
		if r == nil {
			s.venue.unrouted.Add(1)
			share.release()
			continue
		}
		p := s.venue.parts.Get().(*part)
		p.of, p.instrument, p.memory = share, i, d.Memory/int64(len(of))
		if !r.post(p, kinds, p.memory) {
			share.release()
		}
	}
}

// Report implements [connectors.Sink].
func (s *socket) Report(e connectors.Event) {
	s.mu.Lock()
	switch e.Kind {
	case connectors.StateChanged:
		s.state, s.since = e.State, e.Time
		if e.Cause != nil {
			s.fault = e.Cause.Error()
		}
	case connectors.Connected:
		s.conn, s.denied = e.Conn, nil
		s.connects.Add(1)
	case connectors.SubscriptionRefused:
		if s.denied == nil {
			s.denied = map[connectors.Subscription]struct{}{}
		}
		for _, sub := range e.Subs {
			s.denied[sub] = struct{}{}
		}
		s.refused.Add(uint64(len(e.Subs)))
	}
	s.noteSilence(e)
	live := s.state == connectors.Live
	var subs []connectors.Subscription
	switch {
	case live && e.Kind == connectors.StateChanged:
		subs = without(without(s.subs, s.denied), s.silent)
	case e.Kind == connectors.Malformed:
		subs = without(s.subs, s.denied)
	}
	s.mu.Unlock()
	switch e.Kind {
	case connectors.StateChanged:
		if live && e.State == connectors.Live {
			s.tellArrival(subs)
		}
	case connectors.Disconnected:
		if !e.Replaced {
			s.disconnects.Add(1)
			s.tellInterruption(e.Subs, market.CauseDisconnect, e.Time)
		}
	case connectors.Silent:
		s.tellInterruption(e.Subs, market.CauseSilence, e.Time)
	case connectors.Heard:
		s.tellArrival(e.Subs)
	case connectors.Malformed:
		s.tellInterruption(subs, market.CauseMalformed, e.Time)
	}
}

// noteSilence keeps which subscriptions are silent: they do not arrive with the others.
// The lock is held.
func (s *socket) noteSilence(e connectors.Event) {
	switch {
	case e.Kind == connectors.Silent:
		if s.silent == nil {
			s.silent = map[connectors.Subscription]struct{}{}
		}
		for _, sub := range e.Subs {
			s.silent[sub] = struct{}{}
		}
	case e.Kind == connectors.Heard:
		for _, sub := range e.Subs {
			delete(s.silent, sub)
		}
	case e.Kind == connectors.Disconnected && !e.Replaced:
		clear(s.silent)
	}
}

func (s *socket) tellArrival(subs []connectors.Subscription) {
	for i, kinds := range s.venue.byInstrument(subs) {
		if r := s.venue.route(i); r != nil {
			r.up.Or(uint32(kinds))
			r.tell(arrival{kinds})
		}
	}
}

func (s *socket) tellInterruption(subs []connectors.Subscription, cause string, at time.Time) {
	if s.venue.closed.Load() {
		return // the next start takes it up from what is stored
	}
	for i, kinds := range s.venue.byInstrument(subs) {
		r := s.venue.route(i)
		if r == nil {
			continue
		}
		if cause != market.CauseMalformed {
			r.up.And(^uint32(kinds))
		}
		r.tell(interruption{kinds: kinds, cause: cause, time: at.UnixNano()})
	}
}

// byInstrument is the kinds that subscriptions give of each instrument.
func (v *venue) byInstrument(subs []connectors.Subscription) map[*market.Instrument]kindSet {
	out := map[*market.Instrument]kindSet{}
	for _, sub := range subs {
		out[sub.Instrument] |= v.kindsOfChannel(sub.Channel)
	}
	return out
}

func (s *socket) subscriptions() []connectors.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.subs)
}

func (s *socket) status() SessionStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := SessionStatus{
		Name: s.name, URL: s.url, State: s.state.String(), Connection: s.conn, Subscriptions: len(s.subs),
		Connects: s.connects.Load(), Disconnects: s.disconnects.Load(), Refused: s.refused.Load(), LastError: s.fault,
		Silent: []string{},
	}
	if s.session != nil {
		for _, sub := range s.session.Silent() {
			out.Silent = append(out.Silent, s.venue.table().Channels[sub.Channel].Name+" "+sub.Instrument.Symbol)
		}
	}
	if !s.since.IsZero() {
		t := s.since.UTC()
		out.Since = &t
	}
	return out
}

// traffic counts what sessions have met: bytes received, frames that could not be
// decoded, subscriptions that fell silent, and what was done about those.
type traffic struct {
	bytes, malformed, silences uint64
	remedies                   [connectors.NumRemedies]uint64
}

func trafficOf(k *connectors.Session) traffic {
	st := k.Stats()
	return traffic{st.Bytes, st.Malformed, st.Silences, st.Remedies}
}

func (t *traffic) add(o traffic) {
	t.bytes += o.bytes
	t.malformed += o.malformed
	t.silences += o.silences
	for i, n := range o.remedies {
		t.remedies[i] += n
	}
}

// traffic is that of the socket, over all incarnations of its session.
func (s *socket) traffic() traffic {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.before
	if s.session != nil {
		t.add(trafficOf(s.session))
	}
	return t
}

func (s *socket) live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == connectors.Live
}
