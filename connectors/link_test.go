package connectors

import (
	"context"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// oneTrade decodes every frame as the same trade.
type oneTrade struct{ i *market.Instrument }

func (d oneTrade) Decode(_ []byte, rc Receipt, out *market.Batch) (Note, error) {
	t := market.Add[market.Trade](out)
	t.Instrument, t.ReceiveTime, t.Conn = d.i, rc.Time, rc.Conn
	return Note{}, nil
}

// taker takes every delivery and gives it back.
type taker struct{}

func (taker) Deliver(d *Delivery) bool { d.Release(); return true }
func (taker) Report(Event)             {}

// idleLink is a link without a socket.
func idleLink(i *market.Instrument) *link {
	s := &Session{o: SessionOptions{Sink: taker{}, Now: time.Now}, events: make(chan linkEvent, 1)}
	s.pool.New = func() any { return &Delivery{pool: &s.pool} }
	l := &link{s: s, conn: 1, dec: oneTrade{i}, ctx: context.Background()}
	l.slots.Store(&map[Subscription]*slot{{0, i}: {}})
	return l
}

// The frame's way from the socket to the sink.
func TestAllocHandle(t *testing.T) {
	l := idleLink(&market.Instrument{Native: "X"})
	frame := []byte("{}")
	l.handle(frame, 1, 1)
	if n := testing.AllocsPerRun(200, func() { l.handle(frame, 2, 2) }); n >= 1 && !raceEnabled {
		t.Errorf("%.1f allocations a frame", n)
	}
	if got := (*l.slots.Load())[Subscription{0, l.lastSub.Instrument}].heard.Load(); got != 2 {
		t.Errorf("the watchdog heard at %d, want 2", got)
	}
}

func BenchmarkHandle(b *testing.B) {
	l := idleLink(&market.Instrument{Native: "X"})
	frame := []byte("{}")
	b.ReportAllocs()
	for b.Loop() {
		l.handle(frame, 1, 1)
	}
}
