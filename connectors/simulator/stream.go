package simulator

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// stream is one instrument of a host. While nobody listens it has no engine: the
// market goes on all the same, and is made again when somebody comes.
type stream struct {
	*spec
	host *host

	// The host's lock guards what follows.
	engine    *engine
	listeners []*listener
	log       []change // of the last second and more
	full      int      // the length of the log at which it is cut
	candles   []*candle
	next      int64 // the earliest time at which a listener is to be told something
	batch     batch
}

// batch is what an event is made of; it is used again for the next.
type batch struct {
	event  Event
	trades []market.Trade
	book   Book
	keys   []uint64
}

// listener is one subscription of one connection to one instrument.
type listener struct {
	*Subscription
	socket *socket
	stream *stream
	// next is when it is to be told something, of feeds at intervals.
	next int64
	// told is the last step that its book has.
	told    int64
	quote   market.Quote
	frames  int64 // sent or lost so far
	trouble trouble
	gone    bool
}

// timed reports whether the listener is told at intervals.
func (l *listener) timed() bool {
	switch l.Feed {
	case FeedBook, FeedState, FeedCandle:
		return l.Every > 0
	}
	return false
}

// logSpan is how long changes are kept for those who are told at intervals.
const logSpan = int64(1500 * time.Millisecond)

// wake makes the market as it is at a time.
func (s *stream) wake(t int64) {
	if s.engine == nil {
		s.engine = s.at(s.stepAt(t))
		s.next = math.MaxInt64
	}
}

// join adds a listener, and tells it what its subscription begins with.
func (s *stream) join(l *listener, t int64) {
	s.wake(t)
	s.listeners = append(s.listeners, l)
	l.told = s.engine.now
	if l.timed() {
		every := int64(l.Every)
		phase := int64(hash(l.socket.key, hashText(0, l.Topic)) % uint64(every))
		if l.Feed != FeedBook {
			phase = 0
		}
		l.next = (t-phase)/every*every + phase + every
		s.next = min(s.next, l.next)
	}
	switch l.Feed {
	case FeedCandle:
		if s.candle(l.Interval) == nil {
			s.candles = append(s.candles, s.engine.candleNow(l.Interval, t))
		}
	case FeedBook:
		if l.Snapshot {
			s.snapshot(l, t)
		}
	case FeedState:
		s.tellState(l, t) // exchanges send the present state at once
	}
}

// leave takes a listener out.
func (s *stream) leave(l *listener) {
	l.gone = true
	s.listeners = slices.DeleteFunc(s.listeners, func(x *listener) bool { return x == l })
	if len(s.listeners) == 0 {
		s.engine, s.log, s.candles = nil, nil, nil
	}
}

// advance lets the market go on until a time, and tells the listeners.
func (s *stream) advance(t int64) {
	if s.engine == nil {
		return
	}
	for s.engine != nil {
		due := s.due(s.engine.now + 1)
		switch {
		case s.next <= t && s.next <= due:
			s.tick(s.next)
		case due <= t:
			s.step(due)
		default:
			return
		}
	}
}

// step does one step of the market.
func (s *stream) step(due int64) {
	e := s.engine
	at := e.time(e.now + 1)
	for _, c := range s.candles {
		s.roll(c, at)
	}
	e.next()
	s.keep()
	if len(e.fills) > 0 {
		for _, c := range s.candles {
			c.take(e)
		}
	}
	ev := s.event(due)
	ev.Time = at
	if len(e.fills) > 0 {
		s.batch.trades = e.appendTrades(s.batch.trades[:0])
	}
	for _, l := range s.listeners {
		switch l.Feed {
		case FeedTrades:
			s.tellTrades(l, ev)
		case FeedQuote:
			s.tellQuote(l, ev)
		case FeedLiquidations:
			s.tellLiquidation(l, ev)
		case FeedBook:
			if l.Every == 0 {
				s.cut(l, due)
			}
		}
	}
}

// keep adds the step's changes to the log, and drops what is too old.
func (s *stream) keep() {
	s.log = append(s.log, s.engine.changes...)
	if len(s.log) < s.full {
		return
	}
	oldest := s.engine.now - logSpan/s.period - 2
	n, _ := slices.BinarySearchFunc(s.log, oldest, func(c change, step int64) int { return cmp.Compare(c.step, step) })
	s.log = append(s.log[:0], s.log[n:]...)
	s.full = max(64, 2*len(s.log))
}

// candle is the running candle of an interval; nil when nobody asked for it.
func (s *stream) candle(interval string) *candle {
	for _, c := range s.candles {
		if c.interval == interval {
			return c
		}
	}
	return nil
}

func (s *stream) event(sent int64) *Event {
	ev := &s.batch.event
	*ev = Event{Instrument: s.instrument, Time: sent, Sent: sent, Seq: s.seq(s.engine.now)}
	return ev
}

// tick tells those whose time has come.
func (s *stream) tick(t int64) {
	s.next = math.MaxInt64
	for _, c := range s.candles {
		s.roll(c, t)
	}
	for _, l := range s.listeners {
		if !l.timed() {
			continue
		}
		if l.next <= t {
			for l.next <= t {
				l.next += int64(l.Every)
			}
			switch l.Feed {
			case FeedBook:
				s.cut(l, t)
			case FeedState:
				s.tellState(l, t)
			case FeedCandle:
				s.tellCandle(l, s.candle(l.Interval), t, false)
			}
		}
		s.next = min(s.next, l.next)
	}
}

func (s *stream) tellTrades(l *listener, ev *Event) {
	if len(s.engine.fills) == 0 {
		return
	}
	list := s.batch.trades
	if l.Together {
		ev.Trades = list
		s.host.deliver(l, ev)
	} else {
		for i := range list {
			ev.Trades = list[i : i+1]
			s.host.deliver(l, ev)
		}
	}
	ev.Trades = nil
}

func (s *stream) tellQuote(l *listener, ev *Event) {
	if len(s.engine.changes) == 0 {
		return
	}
	if q := s.engine.quoteNow(); q != l.quote {
		l.quote, ev.Quote = q, q
		s.host.deliver(l, ev)
	}
}

func (s *stream) tellLiquidation(l *listener, ev *Event) {
	e := s.engine
	if !e.liquidation || len(e.fills) == 0 {
		return
	}
	amount := int64(0)
	for _, f := range e.fills {
		amount += f.amount
	}
	ev.Liquidation = &market.Liquidation{
		Header: market.Header{Instrument: s.instrument, ExchangeTime: ev.Time}, ID: market.NumID(e.trades),
		Price: e.price(e.fills[0].cell), Amount: e.amount(amount), Side: e.taker, Status: "filled",
	}
	s.host.deliver(l, ev)
	ev.Liquidation = nil
}

func (s *stream) tellState(l *listener, t int64) {
	ev := s.event(t)
	ev.State = s.engine.state(t)
	s.host.deliver(l, ev)
}

func (s *stream) tellCandle(l *listener, c *candle, t int64, closed bool) {
	ev := s.event(t)
	ev.Candle = c.record(s.engine, t, closed)
	s.host.deliver(l, ev)
}

// roll closes a candle whose interval is over, and begins the next.
func (s *stream) roll(c *candle, t int64) {
	for t >= c.to {
		for _, l := range s.listeners {
			if l.Feed == FeedCandle && l.Interval == c.interval {
				s.tellCandle(l, c, c.to, true)
			}
		}
		*c = *newCandle(c.interval, c.to, c.close)
	}
}

// snapshot tells a listener the whole book.
func (s *stream) snapshot(l *listener, t int64) {
	ev, b := s.event(t), &s.batch.book
	ev.Time = s.time(s.engine.now)
	bid, ask := s.engine.top(0)
	seq := s.seq(s.engine.now)
	*b = Book{Snapshot: true, FirstSeq: seq, Seq: seq, PrevSeq: seq, engine: s.engine, Bids: b.Bids[:0], Asks: b.Asks[:0]}
	for _, x := range bid {
		b.Bids = append(b.Bids, Level{Level: x})
	}
	for _, x := range ask {
		b.Asks = append(b.Asks, Level{Level: x})
	}
	ev.Book = b
	s.host.deliver(l, ev)
}

// cut tells a listener the changes since the last time.
func (s *stream) cut(l *listener, t int64) {
	e := s.engine
	if e.now == l.told {
		return
	}
	b := &s.batch.book
	*b = Book{FirstSeq: s.seq(l.told + 1), Seq: s.seq(e.now), PrevSeq: s.seq(l.told), engine: e, Bids: b.Bids[:0], Asks: b.Asks[:0]}
	first, _ := slices.BinarySearchFunc(s.log, l.told+1, func(c change, step int64) int { return cmp.Compare(c.step, step) })
	s.merge(b, s.log[first:])
	l.told = e.now
	ev := s.event(t)
	ev.Time, ev.Book = s.time(e.now), b
	s.host.deliver(l, ev)
}

// merge makes one change a level of all of them, best first. The changes are
// sorted by numbers that hold side, distance from the best and place.
func (s *stream) merge(b *Book, changes []change) {
	const placeBits, far = 20, 1 << 40
	keys := s.batch.keys[:0]
	for i := range changes {
		c := &changes[i]
		at := far - c.cell
		if c.side == asks {
			at = far + c.cell
		}
		keys = append(keys, uint64(at)<<placeBits|uint64(i))
	}
	s.batch.keys = keys
	slices.Sort(keys)
	place := func(i int) *change { return &changes[keys[i]&(1<<placeBits-1)] }
	for i := 0; i < len(keys); {
		j := i
		for j+1 < len(keys) && keys[j+1]>>placeBits == keys[i]>>placeBits {
			j++
		}
		first, last := place(i), place(j)
		level := Level{Level: market.Level{Price: s.price(first.cell), Amount: s.amount(last.now)}, Existed: first.was > 0}
		if first.side == bids {
			b.Bids = append(b.Bids, level)
		} else {
			b.Asks = append(b.Asks, level)
		}
		i = j + 1
	}
}

// Listing is what a host's clients may ask for. It is immutable.
type Listing struct {
	streams []*stream
	native  map[string]*stream
}

// Instrument finds an instrument by the exchange's spelling.
func (l *Listing) Instrument(native string) (*market.Instrument, bool) {
	s, ok := l.stream(native)
	if !ok {
		return nil, false
	}
	return s.instrument, true
}

// Instruments lists those of a market, those most traded first.
func (l *Listing) Instruments(m market.Market) []*market.Instrument {
	var out []*market.Instrument
	for _, s := range l.streams {
		if s.instrument.Market == m {
			out = append(out, s.instrument)
		}
	}
	return out
}

func (l *Listing) stream(native string) (*stream, bool) {
	s, ok := l.native[native]
	return s, ok
}

func (l *Listing) all(m market.Market) []*stream {
	var out []*stream
	for _, s := range l.streams {
		if s.instrument.Market == m {
			out = append(out, s)
		}
	}
	return out
}
