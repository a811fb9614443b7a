package collector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
)

// stages are nodes that know each other; none has the stream yet.
func stages(t *testing.T, names ...string) (*circle, map[string]*stage) {
	t.Helper()
	c := newCircle(t)
	all := map[string]*stage{}
	for _, name := range names {
		all[name] = newStageOf(t, place{c, name}, nil)
		c.change(func() { c.urls[name] = all[name].server.URL() })
	}
	return c, all
}

// TestFollowAtAnyNode follows at a node what another has, while it moves to a third: each
// trade is heard once, and the book goes on with a snapshot.
func TestFollowAtAnyNode(t *testing.T) {
	for name, follow := range map[string]func(s *stage, query string) func() heard{
		"websocket": func(s *stage, query string) func() heard { return s.dial(query).next },
		"events": func(s *stage, query string) func() heard {
			r := s.events(query, "")
			return func() heard { h, _ := r.next(); return h }
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, at := stages(t, "a", "b", "c")
			b, c := at["b"], at["c"]
			b.epoch, c.epoch = 5, 9
			b.open()
			next := follow(at["a"], "?kinds=book_delta,trade&symbols=btc_usdt")
			var book copied
			trades := map[string]int{}
			until := func(what string, ok func(heard) bool) {
				t.Helper()
				for range 10_000 {
					h := next()
					if h.Type == "" {
						t.Fatalf("it ended before %s", what)
					}
					book.hear(t, h)
					if h.Data.Kind == "trade" {
						trades[h.Data.ID]++
					}
					if ok(h) {
						return
					}
				}
				t.Fatalf("waited in vain for %s", what)
			}
			if ack := next(); ack.Type != "subscribed" || ack.Streams != 1 || len(ack.Waiting) != 0 {
				t.Fatalf("answered %+v", ack)
			}
			until("the book of b", state)
			b.trades(3, 0)
			b.changes(50)
			until("all changes of b", func(heard) bool { return book.seq == 150 && len(trades) == 3 })
			book.same(b)

			// c takes the stream over: it is there, and stands elsewhere, while b goes on.
			c.seq, c.trade, c.holds = 300, 3, true
			c.open()
			b.changes(10)
			until("b to go on", func(heard) bool { return book.seq == 160 })
			b.trades(1, 0)
			b.source.Close()
			until("the end at b", func(h heard) bool { return h.Data.State == "ended" })
			c.trade = 4
			c.rebuild()
			c.trades(2, 0)
			c.changes(20)
			until("c to go on", func(heard) bool { return book.seq == 320 && len(trades) == 6 })
			book.same(c)
			for id, n := range trades {
				if n != 1 {
					t.Errorf("trade %s was heard %d times", id, n)
				}
			}
			if book.snapshots != 2 {
				t.Errorf("%d snapshots were heard", book.snapshots)
			}
			// What b still had on its way would be too late now.
			b.epoch = 5
			b.open()
			c.changes(1)
			until("the last change", func(heard) bool { return book.seq == 321 })
			book.same(c)
		})
	}
}

// rebuild begins the book anew, as a stream does that begins to record.
func (s *stage) rebuild() {
	s.step(func() {
		s.holds = false
		s.publish(s.WholeBook())
	})
}

// TestNodesComeAndGo: a node joins, one stops in order, one is killed.
func TestNodesComeAndGo(t *testing.T) {
	c, at := stages(t, "a", "b")
	l := at["a"].dial("?kinds=trade,ticker&exchanges=binance")
	if ack := l.next(); ack.Streams != 0 {
		t.Fatalf("answered %+v", ack)
	}
	trade := func(h heard) bool { return h.Data.Kind == "trade" }
	// A follower is given the last ticker when it begins.
	begun := func(h heard) bool { return h.Data.Kind == "ticker" }
	at["b"].open()
	at["b"].tick()
	l.until("the stream of b", begun)
	at["b"].trades(1, 0)
	l.until("a trade of b", trade)

	d := newStageOf(t, place{c, "d"}, nil)
	d.open()
	d.tick()
	c.change(func() { c.urls["d"] = d.server.URL() })
	l.until("the stream of d", begun)
	d.trades(1, 0)
	l.until("a trade of d, which has joined", trade)

	at["b"].source.Close()
	at["b"].stop()
	c.change(func() { delete(c.urls, "b") })
	d.trades(1, 0)
	l.until("another of d", trade)

	// d is heard no more, and did not say why.
	c.cut()
	if code, reason := l.closed(); code != live.CodeOverloaded || !strings.Contains(reason, "d were lost") {
		t.Errorf("closed with %d %q", code, reason)
	}
}

// TestSlowAtTheOtherNode: a client that does not read what another node gives is too
// slow there, and is told so.
func TestSlowAtTheOtherNode(t *testing.T) {
	c := newCircle(t)
	small := func(limits *live.Config, _ *chassis.Config) {
		limits.QueueRecords, limits.WriteTimeout = 64, 2*time.Second
	}
	a, b := newStageOf(t, place{c, "a"}, small), newStageOf(t, place{c, "b"}, small)
	c.change(func() { c.urls["a"], c.urls["b"] = a.server.URL(), b.server.URL() })
	b.open()
	b.tick()
	l := a.dial("?kinds=trade,ticker")
	l.until("the stream of b", func(h heard) bool { return h.Data.Kind == "ticker" })
	for i := 0; i < 2000 && b.hub.Stats().SlowDisconnects == 0; i++ {
		b.trades(50, 20_000)
	}
	if b.hub.Stats().SlowDisconnects == 0 {
		t.Error("nobody was too slow")
	}
	err := l.ws.SetReadDeadline(time.Now().Add(patience))
	for err == nil {
		_, _, err = l.ws.ReadMessage()
	}
	if end, ok := err.(*websocket.CloseError); ok && end.Code != live.CodeSlow { //nolint:errorlint // as the library documents it
		t.Errorf("closed with %d %q", end.Code, end.Text)
	}
}
