package simulator

import (
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// host is one address of an exchange: its markets, its clients and their limits.
// Its own goroutine lets the markets go on.
type host struct {
	server   *Server
	exchange string
	sim      Simulation
	listing  Listing
	venues   map[market.Market]*connectors.Venue
	address  string

	mu       sync.Mutex // guards the streams too
	now      int64      // the market's time, Unix ns
	sockets  map[*socket]bool
	count    int64 // connections so far
	limits   limits
	down     int64 // until then nobody is let in
	calls    int64 // REST calls so far
	chores   int64 // when the connections are looked after next
	closing  bool
	scratch  []byte
	reply    Reply
	handlers sync.WaitGroup // added to while closing is false
}

const (
	// pulse is how often the markets go on.
	pulse = 5 * time.Millisecond
	// maxAdvance is how far they go on at once: a machine that is too slow makes them
	// slow, not jerky.
	maxAdvance = 250 * time.Millisecond
	choresEach = 100 * time.Millisecond
)

// run lets the markets go on until the server closes.
func (h *host) run() {
	for {
		select {
		case <-h.server.ctx.Done():
			return
		case <-h.server.o.Clock.After(pulse):
			h.pulse(h.server.o.Clock.Now().UnixNano())
		}
	}
}

// pulse lets the markets go on until a time.
func (h *host) pulse(t int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == 0 {
		h.now = t
	}
	h.now = max(h.now, min(t, h.now+int64(maxAdvance)))
	for _, s := range h.listing.streams {
		s.advance(h.now)
	}
	if now := h.present(); now >= h.chores {
		h.chores = now + int64(choresEach)
		for c := range h.sockets {
			c.look(now)
		}
	}
	for c := range h.sockets {
		c.flush()
	}
}

func (h *host) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		now := h.server.o.Clock.Now().UnixNano()
		if h.closing || now < h.down {
			h.mu.Unlock()
			abort(w)
			return
		}
		h.handlers.Add(1)
		h.mu.Unlock()
		defer h.handlers.Done()
		if websocket.IsWebSocketUpgrade(r) {
			h.accept(w, r)
			return
		}
		h.call(w, r)
	})
}

// abort ends a connection as a host that is gone does: without a word.
func abort(w http.ResponseWriter) {
	hj, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hj.Hijack()
	if err != nil {
		return // it is gone already
	}
	reset(conn)
}

// accept serves a client until it goes or is sent away.
func (h *host) accept(w http.ResponseWriter, r *http.Request) {
	c := &socket{host: h, listeners: map[string][]*listener{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	h.mu.Lock()
	if status := h.limits.connect(&h.sim.Terms, h.present()); status != 0 {
		h.mu.Unlock()
		http.Error(w, "too many connections", status)
		return
	}
	c.number = h.count
	h.count++
	c.key = hash(h.server.o.Seed, 21, uint64(c.number))
	opening := Reply{now: h.present()}
	talk, ok := h.sim.Connect(r.URL, &h.listing, &opening)
	h.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	upgrader := websocket.Upgrader{
		ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10,
		CheckOrigin: func(*http.Request) bool { return true }, // an exchange serves everybody
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c.ws, c.net, c.talk = ws, ws.NetConn(), talk
	if !c.open(&opening) {
		reset(c.net) // the host has gone meanwhile
		return
	}
	c.serve()
}

// present is the time that limits go by; the lock is held.
func (h *host) present() int64 { return h.server.o.Clock.Now().UnixNano() }

// marketTime is the time that the market has reached.
func (h *host) marketTime() int64 {
	if h.now == 0 {
		h.now = h.present()
	}
	return h.now
}

// call answers a REST call.
func (h *host) call(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	a := h.answer(r, w.Header())
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the client may be gone; there is nobody else to tell
}

func (h *host) answer(r *http.Request, header http.Header) Answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.present()
	rest := h.sim.REST
	h.storm(r.URL.Path, now)
	used, refused := h.limits.spend(&h.sim.Terms, rest.Weight(r.URL), now)
	if m, ok := rest.(Meter); ok {
		m.Meter(header, used)
	}
	if refused.Status != 0 {
		header.Set("Retry-After", retryAfter(refused.Until-now))
		return rest.Refuse(refused, header)
	}
	a := rest.Answer(r.URL, &View{Listing: &h.listing, host: h, now: h.marketTime()})
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	return a
}

// enter adds a connection; false when the host has gone while it was made. The
// lock is held.
func (h *host) enter(c *socket) bool {
	if now := h.present(); h.closing || now < h.down || h.limits.banned && now < h.limits.until {
		return false
	}
	h.sockets[c] = true
	return true
}

// leave takes a connection and its subscriptions out.
func (h *host) leave(c *socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for topic := range c.listeners {
		h.unsubscribe(c, topic)
	}
	delete(h.sockets, c)
}

// subscribe begins a subscription; the lock is held.
func (h *host) subscribe(c *socket, sub *Subscription) {
	if _, known := c.listeners[sub.Topic]; known {
		return
	}
	if n := h.sim.Terms.StreamsPerConnection; n > 0 && len(c.listeners) >= n && !h.server.o.NoLimits {
		c.end(websocket.ClosePolicyViolation, "too many subscriptions")
		return
	}
	if sub.Every > time.Second && sub.Feed == FeedBook {
		sub.Every = time.Second // the log of changes goes no further back
	}
	var list []*listener
	for _, s := range h.streamsOf(sub) {
		list = append(list, &listener{Subscription: sub, socket: c, stream: s})
	}
	c.listeners[sub.Topic] = list
	for _, l := range list {
		l.stream.join(l, h.marketTime())
	}
}

func (h *host) streamsOf(sub *Subscription) []*stream {
	if sub.Native == "" {
		return h.listing.all(sub.Market)
	}
	if s, ok := h.listing.stream(sub.Native); ok {
		return []*stream{s}
	}
	return nil
}

func (h *host) unsubscribe(c *socket, topic string) {
	for _, l := range c.listeners[topic] {
		l.stream.leave(l)
	}
	delete(c.listeners, topic)
}

// retryAfter is a time in whole seconds, at least one.
func retryAfter(ns int64) string {
	return formatInt(max(1, int64(math.Ceil(float64(ns)/1e9))))
}
