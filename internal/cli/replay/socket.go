package replay

import (
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
)

// socket is one client's WebSocket. Its reader is the goroutine of the HTTP
// handler; the time line writes.
type socket struct {
	server *Server
	site   *site
	ws     *websocket.Conn
	conn   *heldConn

	mu     sync.Mutex // guards talk, topics and writing
	talk   connectors.ReplayConn
	topics []*topic
	failed bool

	held bool // the time line's: it holds the connection
}

// maxClientFrame bounds what a client may say at once.
const maxClientFrame = 1 << 20

var upgrader = websocket.Upgrader{
	ReadBufferSize: 4 << 10, WriteBufferSize: 16 << 10,
	// An exchange serves everybody, and a capture is its public data.
	CheckOrigin: func(*http.Request) bool { return true },
}

// accept serves a client until it goes or the server closes.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, at *site) {
	talk, ok := at.replayer.Connect(r.URL)
	if !ok {
		http.NotFound(w, r)
		return
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := &socket{server: s, site: at, ws: ws, conn: ws.NetConn().(*heldConn), talk: talk}
	c.conn.own()
	ws.SetReadLimit(maxClientFrame)
	if !s.enter(c) {
		_ = ws.Close() // the replay is over
		return
	}
	defer s.leave(c)
	stop := make(chan struct{})
	var pinger sync.WaitGroup
	pinger.Go(func() { c.ping(stop) })
	c.listen()
	close(stop)
	pinger.Wait()
}

// ping does what the exchange does: a client may count on hearing something.
func (c *socket) ping(stop <-chan struct{}) {
	every := c.site.venues[0].Wire.Rules().ServerPingEvery
	if every <= 0 {
		return
	}
	for {
		select {
		case <-stop:
			return
		case <-c.server.o.Clock.After(every):
			// A failure ends the reader, which ends us.
			if c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.conn.timeout)) != nil {
				_ = c.ws.Close()
			}
		}
	}
}

func (c *socket) listen() {
	c.subscribe()
	for {
		_, frame, err := c.ws.ReadMessage()
		if err != nil {
			return // the client went, or we closed
		}
		if !c.hear(frame) {
			_ = c.ws.Close() // the next read ends us
		}
	}
}

// hear answers a frame; what it subscribes to is sent after the answer only.
func (c *socket) hear(frame []byte) bool {
	c.mu.Lock()
	ok := true
	for _, reply := range c.talk.Hear(frame) {
		ok = ok && c.write(reply) == nil
	}
	c.mu.Unlock()
	c.subscribe()
	return ok
}

// subscribe tells the server what the client asks for now.
func (c *socket) subscribe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	if !c.failed {
		names = c.talk.Topics()
	}
	var openings []opening
	c.topics, openings = c.server.subscribe(c, c.topics, names)
	// The time line waits for this connection meanwhile: what it says next comes
	// after the book that it stood at.
	for _, o := range openings {
		if c.talk.Say(o.topic, o.frame, c.write) != nil {
			c.failed = true
			_ = c.ws.Close() // its reader takes it out
			return
		}
	}
}

// say sends a recorded frame; false when the client is gone.
func (c *socket) say(topic string, frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed {
		return false
	}
	if err := c.talk.Say(topic, frame, c.write); err != nil {
		c.failed = true
		_ = c.ws.Close() // its reader takes it out
		return false
	}
	return true
}

func (c *socket) write(frame []byte) error {
	kind := websocket.TextMessage
	if !utf8.Valid(frame) {
		kind = websocket.BinaryMessage
	}
	return c.ws.WriteMessage(kind, frame)
}

// enter adds a connection; false when the server is closing.
func (s *Server) enter(c *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.sockets[c] = true
	return true
}

// leave removes a connection and its subscriptions.
func (s *Server) leave(c *socket) {
	c.mu.Lock()
	c.failed = true
	c.mu.Unlock()
	c.subscribe()
	_ = c.ws.Close() // perhaps for the second time
	s.mu.Lock()
	delete(s.sockets, c)
	s.mu.Unlock()
}

// opening is the snapshot with which a topic begins.
type opening struct {
	topic string
	frame []byte
}

// subscribe changes a connection's subscriptions from have to names. openings are
// the snapshots of topics that began before the client came.
func (s *Server) subscribe(c *socket, have []*topic, names []string) (topics []*topic, openings []opening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := make([]*topic, 0, len(names))
	for _, n := range names {
		want = append(want, c.site.topic(n))
	}
	for _, t := range have {
		if !slices.Contains(want, t) {
			t.sockets = slices.DeleteFunc(slices.Clone(t.sockets), func(o *socket) bool { return o == c })
			s.subscriptions--
		}
	}
	for _, t := range want {
		if !slices.Contains(have, t) {
			t.sockets = append(slices.Clip(t.sockets), c)
			t.joined, t.asked = s.position, true
			s.subscriptions++
			c.site.rejoin(t)
			if frame := c.site.open(t); s.position > 0 && frame != nil {
				openings = append(openings, opening{t.name, frame})
			}
		}
	}
	s.poke()
	return want, openings
}

// open is the snapshot with which a topic would begin now; nil for none.
func (s *site) open(t *topic) []byte {
	opener, ok := s.replayer.(connectors.ReplayOpener)
	if !ok {
		return nil
	}
	native := opener.BookOf(t.name)
	if native == "" {
		return nil
	}
	for i, table := range s.tables {
		if inst, ok := table.Native([]byte(native)); ok {
			if b := bookOf(s.feeds[i].Stream(inst), snapshotLevels); b != nil {
				return opener.Open(nil, t.name, b)
			}
		}
	}
	return nil
}

// rejoin lets a snapshot be given again to one who has just subscribed.
func (s *site) rejoin(t *topic) {
	for _, sh := range s.shelves {
		if sh.call.Topic == t.name {
			sh.given = 0
		}
	}
}
