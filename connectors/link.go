package connectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/internal/market"
)

const (
	// writeWait bounds one write to a socket.
	writeWait = 10 * time.Second
	// closeWait bounds the farewell.
	closeWait = 250 * time.Millisecond
	// maxOut bounds the frames that wait to be sent.
	maxOut = 1024
	// firstBuffer is where the buffer of a connection's frames begins.
	firstBuffer = 64 << 10
)

// link is one socket: a goroutine that reads, one that writes, and what the
// session knows of its subscriptions.
type link struct {
	s      *Session
	conn   int64
	ws     *websocket.Conn
	opened time.Time
	pace   *Pacer

	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	err    error         // why it ended; set before done is closed
	done   chan struct{} // closed when both goroutines have ended

	out  chan outgoing
	pong chan string // the newest ping's payload

	heard     atomic.Int64 // when anything came last: Session.elapsed
	delivered atomic.Bool  // records have come
	slots     atomic.Pointer[map[Subscription]*slot]

	// Of the reader:
	dec       Decoder
	buf       []byte
	lastSub   Subscription // the subscription of the frame before,
	lastSlots *map[Subscription]*slot
	lastSlot  *slot // and its slot in lastSlots

	// Of the goroutine in Run:
	asked      map[Subscription]phase
	topics     map[string]int // subscriptions of each topic, where they may share one
	pending    []*pending
	renew      subscriptionSet // to be ended and asked for anew, when that is allowed
	queue      []*pending      // demands that wait for the allowance
	allowance  *allowance
	quietSince time.Time // when pending became empty
}

// outgoing is a frame to send; sent, if any, is when it was written, see
// [Session.elapsed].
type outgoing struct {
	body []byte
	sent *atomic.Int64
}

// linkEvent is a frame that concerns the session.
type linkEvent struct {
	l    *link
	note Note
}

func newLink(s *Session, ws *websocket.Conn) *link {
	rules := s.o.Venue.Wire.Rules()
	l := &link{
		s: s, ws: ws, opened: time.Now(), pace: NewPacer(s.o.Venue.Limits.Messages),
		done: make(chan struct{}), out: make(chan outgoing, maxOut), pong: make(chan string, 1),
		dec: s.o.Venue.NewDecoder(s.o.Instruments), buf: make([]byte, firstBuffer), asked: map[Subscription]phase{},
		topics: map[string]int{}, allowance: newAllowance(s.o.Venue.Limits.Demands),
	}
	l.heard.Store(s.elapsed(l.opened))
	l.slots.Store(&map[Subscription]*slot{})
	if rules.ReadLimit > 0 {
		ws.SetReadLimit(rules.ReadLimit)
	}
	ws.SetPingHandler(func(payload string) error {
		l.heard.Store(s.elapsed(time.Now()))
		select {
		case <-l.pong: // an older one needs no answer any more
		default:
		}
		l.pong <- payload
		return nil
	})
	ws.SetPongHandler(func(string) error {
		l.heard.Store(s.elapsed(time.Now()))
		return nil
	})
	return l
}

// start starts both goroutines; done is closed when they have ended.
func (l *link) start(ctx context.Context) {
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.fail(l.write())
	}()
	go func() {
		defer close(l.done)
		defer func() { <-written }()
		l.fail(l.read())
	}()
}

// fail ends the link with the first reason.
func (l *link) fail(err error) {
	l.once.Do(func() { l.end(err) })
}

// errShut is the reason of a link that we closed.
var errShut = errors.New("closed by us")

// shut says goodbye and ends the link.
func (l *link) shut() {
	l.once.Do(func() {
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		// The exchange need not hear it: the socket is closed either way.
		_ = l.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeWait))
		l.end(errShut)
	})
}

func (l *link) end(err error) {
	l.err = err
	l.cancel()
	_ = l.ws.Close() // it is of no use any more, however it closes
}

// read reads frames until the socket ends. A panic below it becomes an error.
func (l *link) read() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	for {
		_, r, err := l.ws.NextReader()
		if err != nil {
			return fmt.Errorf("connection %d: %w", l.conn, err)
		}
		frame, err := l.fill(r)
		if err != nil {
			return fmt.Errorf("connection %d: in the middle of a frame: %w", l.conn, err)
		}
		at, elapsed := l.s.moment()
		l.handle(frame, at, elapsed)
	}
}

// fill reads one frame into the buffer, which grows to the largest seen.
func (l *link) fill(r io.Reader) ([]byte, error) {
	n := 0
	for {
		if n == len(l.buf) {
			l.buf = append(l.buf, make([]byte, len(l.buf))...)
		}
		m, err := r.Read(l.buf[n:])
		n += m
		if errors.Is(err, io.EOF) {
			return l.buf[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// handle decodes a frame that was read at a moment, and passes it on.
func (l *link) handle(frame []byte, at, elapsed int64) {
	s := l.s
	l.heard.Store(elapsed)
	s.count.last.Store(at)
	s.count.frames.Add(1)
	s.count.bytes.Add(uint64(len(frame)))
	if s.o.Tap != nil {
		s.o.Tap(&CaptureRecord{Time: at, Conn: l.conn, Dir: CaptureIn, Body: frame})
	}
	d := s.pool.Get().(*Delivery)
	d.Receipt = Receipt{Time: at, Conn: l.conn}
	note, err := l.dec.Decode(frame, d.Receipt, &d.Batch)
	if err != nil {
		d.Release()
		s.count.malformed.Add(1)
		s.o.Sink.Report(Event{Kind: Malformed, State: s.State(), Time: time.Unix(0, at), Conn: l.conn, Cause: err})
		return
	}
	s.count.notes[note.Reason].Add(1)
	if note.Control != nil {
		l.tell(note)
	}
	d.Note = note
	n := d.Batch.Len()
	if n == 0 {
		d.Release()
		return
	}
	l.markAll(note.Channel, &d.Batch, elapsed)
	s.count.records.Add(uint64(n))
	d.Memory = d.Batch.Memory()
	if !s.o.Sink.Deliver(d) {
		s.count.refused.Add(1)
		d.Release()
	}
	if !l.delivered.Load() {
		l.delivered.Store(true)
		l.tell(Note{Reason: Records, Channel: note.Channel})
	}
}

// tell passes a note to the goroutine in Run.
func (l *link) tell(n Note) {
	select {
	case l.s.events <- linkEvent{l, n}:
	case <-l.ctx.Done():
	}
}

// markAll notes that the subscriptions have spoken of which a frame had records.
func (l *link) markAll(channel int, b *market.Batch, elapsed int64) {
	var last *market.Instrument
	for i := range b.Len() {
		if of := b.At(i).Head().Instrument; of != last {
			last = of
			l.mark(channel, of, elapsed)
		}
	}
}

// mark notes that a subscription has spoken.
func (l *link) mark(channel int, i *market.Instrument, elapsed int64) {
	sub := Subscription{Channel: channel, Instrument: i}
	if slots := l.slots.Load(); sub != l.lastSub || slots != l.lastSlots {
		l.lastSub, l.lastSlots, l.lastSlot = sub, slots, (*slots)[sub]
	}
	if l.lastSlot != nil {
		l.lastSlot.heard.Store(elapsed)
	}
}

// send queues a frame; a queue that is full ends the link.
func (l *link) send(f outgoing) {
	select {
	case l.out <- f:
	default:
		l.fail(fmt.Errorf("connection %d: %d frames wait to be sent", l.conn, maxOut))
	}
}

// write sends what is queued, pongs first, at the pace that the exchange allows.
func (l *link) write() error {
	rules := l.s.o.Venue.Wire.Rules()
	var ping <-chan time.Time
	if rules.PingEvery > 0 {
		t := time.NewTicker(rules.PingEvery)
		defer t.Stop()
		ping = t.C
	}
	for {
		var frame []byte
		var sent *atomic.Int64
		kind := websocket.TextMessage
		select {
		case p := <-l.pong:
			kind, frame = websocket.PongMessage, []byte(p)
		default:
			select {
			case <-l.ctx.Done():
				return l.ctx.Err()
			case p := <-l.pong:
				kind, frame = websocket.PongMessage, []byte(p)
			case f := <-l.out:
				frame, sent = f.body, f.sent
			case <-ping:
				if frame = rules.Ping; frame == nil {
					kind = websocket.PingMessage
				}
			}
		}
		if err := l.pace.Wait(l.ctx); err != nil {
			return err
		}
		if err := l.put(kind, frame); err != nil {
			return fmt.Errorf("connection %d: write: %w", l.conn, err)
		}
		if sent != nil {
			sent.Store(l.s.elapsed(time.Now()))
		}
	}
}

func (l *link) put(kind int, frame []byte) error {
	l.s.count.sent.Add(1)
	if kind == websocket.PongMessage {
		l.s.count.pongs.Add(1)
	}
	deadline := time.Now().Add(writeWait)
	if kind != websocket.TextMessage {
		return l.ws.WriteControl(kind, frame, deadline)
	}
	l.s.tap(&CaptureRecord{Time: l.s.o.Now().UnixNano(), Conn: l.conn, Dir: CaptureOut, URL: l.s.o.Connection.URL, Body: frame})
	if err := l.ws.SetWriteDeadline(deadline); err != nil {
		return err
	}
	return l.ws.WriteMessage(kind, frame)
}
