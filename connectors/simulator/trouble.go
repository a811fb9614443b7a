package simulator

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// trouble is the state of a stream's faults.
type trouble struct {
	// skip is how many frames are still to be lost, until how long all are; number
	// is the fault's.
	skip, until, number int64
	held                []byte // is to come after the next
}

// How long the faults that last do.
const (
	longestGap  = 8
	calmFor     = 2 * time.Second // a refusal's Retry-After
	shortBanFor = 5 * time.Second
)

// pick draws the fault of a frame; false for none. It is the same for the same
// seed, stream, connection and frame.
func (h *host) pick(l *listener, ev *Event) (Fault, uint64, bool) {
	rates := h.server.faults.rates.Load()
	if *rates == (Faults{}) {
		return 0, 0, false
	}
	dice := hash(l.stream.key, 31, hashText(l.socket.key, l.Topic), uint64(l.frames))
	u := unit(dice)
	for f, rate := range rates {
		if u < rate && Fault(f) != RateLimit {
			return Fault(f), mix(dice), possible(Fault(f), l, ev)
		}
		if Fault(f) != RateLimit {
			u -= rate
		}
	}
	return 0, 0, false
}

// possible reports whether a frame can have a fault.
func possible(f Fault, l *listener, ev *Event) bool {
	switch f {
	case BadChecksum:
		return l.Checksum && ev.Book != nil
	case Crossed:
		return ev.Book != nil && !ev.Book.Snapshot
	case Reorder:
		return l.trouble.held == nil // one frame is late already, and comes after this one
	}
	return true
}

// deliver tells a listener of an event, or lies.
func (h *host) deliver(l *listener, ev *Event) {
	c := l.socket
	if l.gone || c.silent || c.leaving {
		return
	}
	l.frames++
	if h.lost(l, ev) {
		return
	}
	if f, dice, ok := h.pick(l, ev); ok {
		h.lie(f, dice, l, ev)
		return
	}
	h.tell(l, ev)
}

// tell sends the frame of an event, and one that was held back after it.
func (h *host) tell(l *listener, ev *Event) {
	h.scratch = l.socket.talk.Append(h.scratch[:0], l.Subscription, ev)
	h.send(l, h.scratch)
}

func (h *host) send(l *listener, frame []byte) {
	if len(frame) == 0 {
		return
	}
	l.socket.push(opText, frame)
	if held := l.trouble.held; held != nil {
		l.trouble.held = nil
		l.socket.push(opText, held)
	}
}

// lost reports whether an earlier fault takes this frame too.
func (h *host) lost(l *listener, ev *Event) bool {
	t := &l.trouble
	switch {
	case t.skip > 0:
		t.skip--
	case t.until > ev.Sent:
	default:
		t.until = 0
		return false
	}
	first, last := boundsOf(ev)
	h.server.faults.extend(t.number, func(f *Injected) {
		f.Frames++
		if f.FirstSeq == 0 {
			f.FirstSeq = first
		}
		f.LastSeq = max(f.LastSeq, last)
		f.Snapshot = f.Snapshot || ev.Book != nil && ev.Book.Snapshot
	})
	return true
}

// boundsOf is what a frame holds: ids or sequence numbers.
func boundsOf(ev *Event) (first, last int64) {
	switch {
	case len(ev.Trades) > 0:
		return ev.Trades[0].Seq.V, ev.Trades[len(ev.Trades)-1].Seq.V
	case ev.Book != nil:
		return ev.Book.FirstSeq, ev.Book.Seq
	}
	return 0, 0
}

// lie injects a fault.
func (h *host) lie(f Fault, dice uint64, l *listener, ev *Event) {
	in := h.injected(f, l, ev)
	c, t := l.socket, &l.trouble
	switch f {
	case Drop:
	case Gap:
		t.skip = 1 + int64(dice%(longestGap-1))
	case Stale:
		h.silence(l, ev)
		return
	case Dup:
		h.tell(l, ev)
		h.tell(l, ev)
	case Reorder:
		t.held = c.talk.Append(nil, l.Subscription, ev)
	case BadChecksum:
		ev.BadChecksum = true
		h.tell(l, ev)
		ev.BadChecksum = false
	case Crossed:
		crossed, sound := *ev.Book, ev.Book
		ev.Book = &crossed
		cross(ev.Book)
		h.tell(l, ev)
		ev.Book = sound
	case Malformed:
		h.scratch = c.talk.Append(h.scratch[:0], l.Subscription, ev)
		h.send(l, spoil(h.scratch, dice))
	case Disconnect:
		h.scratch = c.talk.Append(h.scratch[:0], l.Subscription, ev)
		c.tear(h.scratch, dice%2 == 0)
	case HalfOpen:
		c.fallSilent()
	}
	t.number = h.server.faults.add(in)
}

// silence lets all streams of an instrument on a connection be silent for a while.
func (h *host) silence(l *listener, ev *Event) {
	until := ev.Sent + int64(h.server.o.StaleFor)
	for _, other := range l.stream.listeners {
		if other.socket != l.socket || other.trouble.until > ev.Sent {
			continue
		}
		in := h.injected(Stale, other, ev)
		if other != l {
			in.Frames, in.FirstSeq, in.LastSeq, in.Snapshot = 0, 0, 0, false
		}
		in.Until, other.trouble.until = until, until
		other.trouble.number = h.server.faults.add(in)
	}
}

// injected describes a fault.
func (h *host) injected(f Fault, l *listener, ev *Event) Injected {
	id := l.stream.instrument.ID()
	first, last := boundsOf(ev)
	return Injected{
		Fault: f, Time: ev.Sent, Exchange: id.Exchange, Market: id.Market.String(), Symbol: id.Symbol, Channel: l.Channel,
		Topic: l.Topic, Conn: l.socket.number, Frames: 1, FirstSeq: first, LastSeq: last,
		Snapshot: ev.Book != nil && ev.Book.Snapshot, Must: h.conclusion(f, l),
	}
}

// conclusion is what a correct collector makes of a fault of a stream.
func (h *host) conclusion(f Fault, l *listener) Conclusion {
	switch f {
	case HalfOpen, Disconnect:
		return MustReconnect
	case BadChecksum, Crossed:
		return MustResync
	}
	if !h.proven(l) {
		if f == Stale {
			return MustSeeSilence
		}
		return Unverifiable
	}
	switch f {
	case Dup:
		return MustDropOne
	case Reorder:
		return MustRestoreOrder
	}
	if l.Feed == FeedBook {
		return MustResync
	}
	return MustSeeHole
}

// proven reports whether the channel shows that something is missing.
func (h *host) proven(l *listener) bool {
	v := h.venues[l.stream.instrument.Market]
	i := v.ChannelIndex(l.Channel)
	return i >= 0 && v.Channels[i].Proof != connectors.NoProof
}

// cross adds a bid at the best ask to a change: whoever applies it has a crossed
// book.
func cross(b *Book) {
	_, ask := b.engine.top(1)
	bid := Level{Level: market.Level{Price: ask[0].Price, Amount: b.engine.amount(1)}}
	// It is the best bid there is, and the only word on that price.
	at := slices.IndexFunc(b.Bids, func(l Level) bool { return l.Price.Cmp(bid.Price) <= 0 })
	b.Bids = slices.Clone(b.Bids)
	switch {
	case at < 0:
		b.Bids = append(b.Bids, bid)
	case b.Bids[at].Price.Cmp(bid.Price) == 0:
		b.Bids[at] = bid
	default:
		b.Bids = slices.Insert(b.Bids, at, bid)
	}
}

// spoil cuts a frame off, or gives it a byte that JSON does not have.
func spoil(frame []byte, dice uint64) []byte {
	if len(frame) < 2 {
		return frame
	}
	if dice%2 == 0 {
		return frame[:1+int(dice>>8%uint64(len(frame)-1))]
	}
	// Outside of any string: the first byte is a bracket.
	return append([]byte{frame[0], 0x01}, frame[1:]...)
}

// tear ends the connection: at once, or in the middle of a frame.
func (c *socket) tear(frame []byte, inside bool) {
	if inside && len(frame) > 1 {
		whole := appendFrame(nil, opText, frame)
		c.pending = append(c.pending, whole[:len(whole)/2]...)
	}
	c.leaving = true
}

// fallSilent lets nothing come on the connection any more.
func (c *socket) fallSilent() {
	c.flush()
	c.silent = true
}

// storm draws whether a call is refused though the budget would allow it.
func (h *host) storm(path string, now int64) {
	h.calls++
	rate := h.server.faults.rates.Load()[RateLimit]
	if rate == 0 || now < h.limits.until {
		return
	}
	dice := hash(h.server.o.Seed, 41, hashText(0, h.exchange+h.sim.Name), uint64(h.calls))
	if unit(dice) >= rate {
		return
	}
	if mix(dice)%4 == 0 && h.sim.Terms.BanAfter > 0 {
		h.limits.ban(now, shortBanFor)
	} else {
		h.limits.until = now + int64(calmFor)
	}
	h.server.faults.add(Injected{
		Fault: RateLimit, Time: now, Until: h.limits.until, Exchange: h.exchange, Topic: path, Conn: -1, Frames: 1, Must: MustWait,
	})
}
