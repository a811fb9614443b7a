package simulator

import (
	"encoding/binary"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
)

// socket is one client's WebSocket. Its reader is the goroutine of the HTTP
// handler; its writer is one of its own, so that a client that does not read
// delays nobody. What is to be written is gathered, so that one system call
// carries many frames; a client that is too far behind is sent away, as exchanges
// do.
type socket struct {
	host   *host
	ws     *websocket.Conn // reads
	net    net.Conn        // writes
	number int64
	key    uint64

	// The host's lock guards what follows.
	talk                Dialogue
	listeners           map[string][]*listener
	silent              bool // half-open: nothing is said or heard any more
	leaving             bool // nothing more is said
	opened              int64
	heard               int64 // when the client said something last
	told                int64 // when it was told something last
	pinged              int64 // when it was pinged last
	unanswered          bool
	beatEvery, beatNext int64
	budget              meter
	pending             []byte

	mu    sync.Mutex
	queue []byte // frames to write
	last  bool   // the connection ends after them
	wake  chan struct{}
	done  chan struct{} // the writer has ended
}

const (
	maxClientFrame = 1 << 20
	maxQueue       = 16 << 20
	maxSpare       = 1 << 20
	writeWithin    = 30 * time.Second
	goodbye        = time.Second // the last words
)

// The opcodes of RFC 6455, section 5.2.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// appendFrame appends a frame as a server sends it: whole and unmasked.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// open enters the host and does what the URL asked for; false when the host has
// gone.
func (c *socket) open(r *Reply) bool {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if !c.host.enter(c) {
		return false
	}
	now := c.host.present()
	c.opened, c.heard, c.told, c.pinged = now, now, now, now
	c.do(r)
	c.flush()
	return true
}

// serve reads until the client goes or is sent away.
func (c *socket) serve() {
	go c.write()
	c.ws.SetReadLimit(maxClientFrame)
	c.ws.SetPingHandler(func(text string) error { return c.control(opPing, text) })
	c.ws.SetPongHandler(func(text string) error { return c.control(opPong, text) })
	c.ws.SetCloseHandler(func(code int, _ string) error {
		c.host.mu.Lock()
		defer c.host.mu.Unlock()
		c.end(code, "")
		return nil
	})
	for {
		_, frame, err := c.ws.ReadMessage()
		if err != nil {
			break // the client went, or we closed
		}
		c.hear(frame)
	}
	c.host.leave(c)
	c.finish()
	<-c.done
	_ = c.net.Close() // it may be closed already
}

// hear takes a frame of the client.
func (c *socket) hear(frame []byte) {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.listens() {
		return
	}
	h.reply = Reply{steps: h.reply.steps[:0], now: h.marketTime()}
	c.talk.Hear(frame, &h.reply)
	c.do(&h.reply)
	c.flush()
}

// control takes a ping or pong of the client.
func (c *socket) control(op byte, text string) error {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if op == opPong {
		c.heard, c.unanswered = c.host.present(), false
		return nil
	}
	if c.listens() {
		c.push(opPong, []byte(text))
		c.flush()
	}
	return nil
}

// listens counts what the client says, and sends it away when it is too much.
func (c *socket) listens() bool {
	if c.silent || c.leaving {
		return false
	}
	h := c.host
	c.heard = h.present()
	if _, ok := c.budget.spend(h.sim.Terms.Messages, 1, c.heard); !ok && !h.server.o.NoLimits {
		c.end(websocket.ClosePolicyViolation, "Too many requests")
		c.flush()
		return false
	}
	return true
}

// do does what a dialogue wants; the host's lock is held.
func (c *socket) do(r *Reply) {
	for i := range r.steps {
		switch s := &r.steps[i]; {
		case s.frame != nil:
			c.push(opText, s.frame)
		case s.subscribe != nil:
			c.host.subscribe(c, s.subscribe)
		case s.unsubscribe != "":
			c.host.unsubscribe(c, s.unsubscribe)
		case s.beat > 0:
			c.beatEvery, c.beatNext = int64(s.beat), c.host.present()+int64(s.beat)
		case s.close != 0:
			c.end(s.close, s.reason)
		}
	}
}

// look does what is due at a time: pings, beats, and the end of connections that
// are too old or too quiet.
func (c *socket) look(t int64) {
	terms := &c.host.sim.Terms
	if c.silent || c.leaving {
		return
	}
	switch {
	case terms.Lifetime > 0 && t-c.opened > int64(terms.Lifetime):
		c.sendAway("end of life")
		return
	case terms.Idle > 0 && t-max(c.heard, c.told) > int64(terms.Idle):
		c.end(websocket.CloseNormalClosure, "idle")
		return
	case c.unanswered && terms.PongWithin > 0 && t-c.pinged > int64(terms.PongWithin):
		c.end(websocket.ClosePolicyViolation, "no pong")
		return
	}
	if terms.PingEvery > 0 && !c.unanswered && t-c.pinged > int64(terms.PingEvery) {
		c.pinged, c.unanswered = t, true
		c.push(opPing, strconv.AppendInt(nil, t/1e6, 10))
	}
	if b, ok := c.talk.(Beater); ok && c.beatEvery > 0 && t >= c.beatNext {
		c.beatNext = t + c.beatEvery
		r := Reply{now: c.host.marketTime()}
		b.Beat(&r)
		c.do(&r)
	}
}

// sendAway says what the exchange says before it closes, and closes.
func (c *socket) sendAway(reason string) {
	if l, ok := c.talk.(Leaver); ok {
		r := Reply{now: c.host.marketTime()}
		l.Leave(&r)
		c.do(&r)
	}
	c.end(websocket.CloseServiceRestart, reason)
}

// push adds a frame to what is written at the next flush; the host's lock is
// held.
func (c *socket) push(op byte, payload []byte) {
	if c.silent || c.leaving {
		return // nobody is told anything any more
	}
	c.pending = appendFrame(c.pending, op, payload)
}

// flush hands what was gathered to the writer.
func (c *socket) flush() {
	if len(c.pending) == 0 && !c.leaving {
		return
	}
	c.mu.Lock()
	slow := len(c.queue)+len(c.pending) > maxQueue
	if !slow {
		c.queue = append(c.queue, c.pending...)
	}
	c.last = c.last || c.leaving
	c.mu.Unlock()
	if len(c.pending) > 0 {
		c.told = c.host.present()
	}
	c.pending = c.pending[:0]
	if slow {
		c.host.server.o.Log.Warn("client too slow, connection reset", zap.Int64("conn", c.number))
		c.leaving = true
		reset(c.net)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end closes the connection with a code, after what was said so far.
func (c *socket) end(code int, reason string) {
	if c.leaving {
		return
	}
	c.push(opClose, websocket.FormatCloseMessage(code, reason))
	c.leaving = true
}

// finish lets the writer end when it has written what there is.
func (c *socket) finish() {
	c.mu.Lock()
	c.last = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write is the writer's goroutine.
func (c *socket) write() {
	defer close(c.done)
	var spare []byte
	for range c.wake {
		c.mu.Lock()
		out, last := c.queue, c.last
		c.queue = spare[:0]
		c.mu.Unlock()
		if len(out) > 0 {
			within := writeWithin
			if last {
				within = goodbye
			}
			// A connection that is closed already says so below.
			_ = c.net.SetWriteDeadline(time.Now().Add(within))
			if _, err := c.net.Write(out); err != nil {
				last = true
			}
		}
		if spare = out; cap(spare) > maxSpare {
			spare = nil // a burst; what follows is small
		}
		if last {
			// The reader ends with it: a goodbye has been said, or there is none.
			_ = c.net.Close()
			return
		}
	}
}

// reset closes a connection without a goodbye.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a closed connection only
	}
	_ = conn.Close()
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }
