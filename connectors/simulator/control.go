package simulator

import (
	"time"

	"github.com/gorilla/websocket"
)

// Selection selects hosts; a zero field selects all.
type Selection struct {
	Exchange string
	// Market is one that the host serves.
	Market string
}

func (s *Server) selected(sel Selection) []*host {
	var out []*host
	for _, h := range s.hosts {
		serves := sel.Market == ""
		for m := range h.venues {
			serves = serves || m.String() == sel.Market
		}
		if serves && (sel.Exchange == "" || sel.Exchange == h.exchange) {
			out = append(out, h)
		}
	}
	return out
}

// each calls do under the lock of every selected host, and says how many there
// are.
func (s *Server) each(sel Selection, do func(h *host, now int64)) int {
	list := s.selected(sel)
	for _, h := range list {
		h.mu.Lock()
		do(h, h.present())
		h.mu.Unlock()
	}
	return len(list)
}

// Pause takes hosts down for a time: connections end without a word, and nobody is
// let in. The markets go on, as they do.
func (s *Server) Pause(sel Selection, d time.Duration) int {
	return s.each(sel, func(h *host, now int64) {
		h.down = now + int64(d)
		h.resetAll()
	})
}

// Resume brings hosts back.
func (s *Server) Resume(sel Selection) int {
	return s.each(sel, func(h *host, _ int64) { h.down = 0 })
}

// Cut ends every connection without a word, or in the middle of a frame.
func (s *Server) Cut(sel Selection, midFrame bool) int {
	return s.each(sel, func(h *host, _ int64) {
		if !midFrame {
			h.resetAll()
			return
		}
		for c := range h.sockets {
			c.tear([]byte(`{"e":"`), true)
			c.flush()
		}
	})
}

func (h *host) resetAll() {
	for c := range h.sockets {
		c.leaving = true
		reset(c.net) // its reader takes it out
	}
}

// Leave does what the exchange does at the end of a connection's life: it says so,
// and closes.
func (s *Server) Leave(sel Selection) int {
	return s.each(sel, func(h *host, _ int64) {
		for c := range h.sockets {
			if !c.silent && !c.leaving {
				c.sendAway("end of life")
				c.flush()
			}
		}
	})
}

// HalfOpen lets nothing come on the present connections any more.
func (s *Server) HalfOpen(sel Selection) int {
	return s.each(sel, func(h *host, _ int64) {
		for c := range h.sockets {
			c.fallSilent()
		}
	})
}

// Ban refuses every call and connection for a time: 418, with Retry-After.
func (s *Server) Ban(sel Selection, d time.Duration) int {
	return s.each(sel, func(h *host, now int64) {
		h.limits.ban(now, d)
		for c := range h.sockets {
			c.end(websocket.ClosePolicyViolation, "banned")
			c.flush()
		}
	})
}

// Throttle refuses every call for a time: 429, with Retry-After.
func (s *Server) Throttle(sel Selection, d time.Duration) int {
	return s.each(sel, func(h *host, now int64) { h.limits.until = now + int64(d) })
}
