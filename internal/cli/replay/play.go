package replay

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/stream"
)

// player moves the time line. It is one goroutine's.
type player struct {
	*Server
	// The frame recorded at begin was, or would have been, due at start.
	start   time.Time
	word    []byte
	out     stream.Output
	dirty   []*socket // hold bytes that are not sent yet
	pending int       // frames since the last flush
}

// flushEvery bounds how many frames are gathered.
const flushEvery = 64

func (s *Server) play() error {
	p := &player{Server: s}
	err := p.run()
	p.flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, at := range s.survey.sites {
		for _, sh := range at.shelves {
			sh.wake()
		}
	}
	return err
}

func (p *player) run() error {
	r, err := openReel(p.o.Captures)
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }() // only read from
	if err := p.await(); err != nil {
		return err
	}
	p.start = p.o.Clock.Now()
	for {
		rec, capture, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.pace(rec.Time); err != nil {
			return err
		}
		switch rec.Dir {
		case connectors.CaptureIn:
			err = p.frame(rec, p.survey.of(capture, rec.Conn))
		case connectors.CaptureHTTP:
			err = p.response(rec, capture)
		}
		if err != nil {
			return err
		}
	}
}

// await returns when the subscriptions are there.
func (p *player) await() error {
	defer p.rest()()
	var quiet <-chan time.Time
	have := 0
	for {
		p.mu.Lock()
		now := p.subscriptions
		p.mu.Unlock()
		switch {
		case p.o.Expect > 0 && now >= p.o.Expect:
			return nil
		case p.o.Expect > 0, now == 0:
			quiet = nil
		case now != have:
			quiet = p.o.Clock.After(p.o.Settle)
		}
		have = now
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case <-p.kick:
		case <-p.begin:
			return nil
		case <-quiet:
			return nil
		}
	}
}

// pace returns when what was recorded at a time is due.
func (p *player) pace(recorded int64) error {
	if p.o.Speed == 0 {
		return p.ctx.Err()
	}
	due := float64(recorded-p.survey.begin) / p.o.Speed
	d := p.start.Add(time.Duration(min(max(due, 0), math.MaxInt64/2))).Sub(p.o.Clock.Now())
	if d <= 0 {
		return p.ctx.Err()
	}
	p.flush()
	defer p.rest()()
	select {
	case <-p.ctx.Done():
		return p.ctx.Err()
	case <-p.o.Clock.After(d):
		return nil
	}
}

// rest says that the time line waits, until the returned function is called.
func (p *player) rest() func() {
	p.resting.Store(true)
	return func() { p.resting.Store(false) }
}

// frame sends a frame to those who asked for it.
func (p *player) frame(rec *connectors.CaptureRecord, at *site) error {
	if err := p.audience(); err != nil {
		return err
	}
	p.word = at.replayer.AppendTopic(p.word[:0], rec.Body)
	p.mu.Lock()
	p.position++
	p.now = rec.Time
	p.report.Frames++
	at.learn(rec, &p.out)
	var name string
	var sockets []*socket
	if t := at.topics[string(p.word)]; t != nil {
		name, sockets = t.name, t.sockets
	}
	switch {
	case len(p.word) == 0:
		p.report.Control++
	case len(sockets) == 0:
		p.report.Unasked++
	default:
		p.report.Sent++
	}
	p.mu.Unlock()
	for _, c := range sockets {
		if !c.held {
			c.held = true
			c.conn.hold()
			p.dirty = append(p.dirty, c)
		}
		c.say(name, rec.Body)
	}
	if p.pending++; p.pending >= flushEvery {
		p.flush()
	}
	return nil
}

// audience waits, at the highest speed, until somebody listens.
func (p *player) audience() error {
	for p.o.Speed == 0 && !p.heard() {
		p.flush()
		p.resting.Store(true)
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case <-p.kick:
		}
	}
	p.resting.Store(false)
	return nil
}

func (p *player) heard() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.subscriptions > 0
}

// flush hands everything written so far to the sockets.
func (p *player) flush() {
	p.pending = 0
	for _, c := range p.dirty {
		c.held = false
		if c.conn.release() != nil {
			_ = c.ws.Close() // its reader takes it out
		}
	}
	p.dirty = p.dirty[:0]
}

// response makes a recorded response the present one.
func (p *player) response(rec *connectors.CaptureRecord, capture int) error {
	u, err := url.Parse(rec.URL)
	if err != nil {
		return fmt.Errorf("line %d: %w", rec.Line, err)
	}
	at, _ := p.survey.at(rec.URL)
	if at == nil {
		at = p.survey.only[capture]
	}
	p.flush()
	c := at.replayer.Call(u)
	p.mu.Lock()
	p.position++
	p.now = max(p.now, rec.Time)
	at.learnResponse(rec, u, &p.out)
	sh := at.shelves[c.Key]
	if sh != nil {
		sh.reached++
		sh.last, sh.lastAt, sh.given = append([]byte(nil), rec.Body...), p.position, 0
		sh.wake()
	}
	p.mu.Unlock()
	if sh == nil || c.Kind != connectors.NeedSnapshot {
		return nil
	}
	return p.gate(at, sh)
}

// gate waits for the first call of a snapshot that somebody needs, so that a book
// begins where it began when it was recorded. The time that it takes is not part
// of the time line.
func (p *player) gate(at *site, sh *shelf) error {
	defer p.rest()()
	begin := p.o.Clock.Now()
	var grace <-chan time.Time
	for {
		p.mu.Lock()
		t := at.topics[sh.call.Topic]
		wait := sh.reached == 1 && sh.asked == 0 && at.held == 0 && !p.unasked && t != nil && len(t.sockets) > 0
		p.mu.Unlock()
		if !wait {
			p.start = p.start.Add(p.o.Clock.Now().Sub(begin))
			return nil
		}
		if grace == nil {
			grace = p.o.Clock.After(p.o.Grace)
		}
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case <-p.kick:
		case <-grace:
			p.mu.Lock()
			p.unasked = p.calls == 0
			p.mu.Unlock()
			p.start = p.start.Add(p.o.Clock.Now().Sub(begin))
			return nil
		}
	}
}

// wake tells those who wait for the call; the server's lock is held.
func (sh *shelf) wake() {
	close(sh.changed)
	sh.changed = make(chan struct{})
}
