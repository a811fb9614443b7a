package connectors_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/internal/market"
)

// patience bounds every wait for a signal; no test needs a fraction of it.
const patience = 20 * time.Second

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// server is an exchange's WebSocket host on loopback.
type server struct {
	*httptest.Server
	conns  chan *serverConn
	refuse atomic.Pointer[http.Header] // headers of a 429, while set
}

// serverConn is one client of the server.
type serverConn struct {
	*websocket.Conn
	mu   sync.Mutex  // of WriteMessage
	got  chan string // what the client says
	pong chan string
	gone chan error // why the client left
}

// newServer acknowledges every request when ack is set.
func newServer(t *testing.T, ack bool) *server {
	s := &server{conns: make(chan *serverConn, 16)}
	up := websocket.Upgrader{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.refuse.Load(); h != nil {
			for k, v := range *h {
				w.Header()[k] = v
			}
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		c := &serverConn{Conn: ws, got: make(chan string, 64), pong: make(chan string, 4), gone: make(chan error, 1)}
		ws.SetPongHandler(func(p string) error { c.pong <- p; return nil })
		s.conns <- c
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				c.gone <- err
				return
			}
			c.got <- string(frame)
			if ack {
				_ = c.write(ackOf(frame)) // the client may be gone
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func ackOf(frame []byte) string {
	id := frame[bytes.LastIndexByte(frame, ':')+1 : len(frame)-1]
	return fmt.Sprintf(`{"result":null,"id":%s}`, id)
}

func (c *serverConn) say(t *testing.T, frame string) {
	t.Helper()
	if err := c.write(frame); err != nil {
		t.Logf("the client is gone: %v", err)
	}
}

func (c *serverConn) write(frame string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.WriteMessage(websocket.TextMessage, []byte(frame))
}

func (c *serverConn) trade(t *testing.T, id int) {
	t.Helper()
	c.say(t, fmt.Sprintf(`{"stream":"btcusdt@trade","data":{"e":"trade","E":1790000000101,"s":"BTCUSDT","t":%d,"p":"1.0","q":"2.0","T":1790000000100,"m":false,"M":true}}`, id))
}

// sink keeps what it is given.
type sink struct {
	trades chan market.Trade
	events chan connectors.Event
	refuse atomic.Bool
	panics atomic.Bool
}

func newSink() *sink {
	return &sink{trades: make(chan market.Trade, 256), events: make(chan connectors.Event, 1024)}
}

func (s *sink) Deliver(d *connectors.Delivery) bool {
	if s.panics.Load() {
		panic("the sink is broken")
	}
	if s.refuse.Load() {
		return false
	}
	for r := range market.Rows[market.Trade](&d.Batch) {
		s.trades <- *r
	}
	d.Release()
	return true
}

func (s *sink) Report(e connectors.Event) { s.events <- e }

// until waits for an event and returns it; what comes before is logged.
func (s *sink) until(t *testing.T, what string, is func(connectors.Event) bool) connectors.Event {
	t.Helper()
	for {
		e := receive(t, what, s.events)
		t.Logf("event %s %s conn=%d replaced=%v wait=%v cause=%v", e.Kind, e.State, e.Conn, e.Replaced, e.Wait, e.Cause)
		if is(e) {
			return e
		}
	}
}

func (s *sink) state(t *testing.T, want connectors.State) connectors.Event {
	t.Helper()
	return s.until(t, want.String(), func(e connectors.Event) bool {
		return e.Kind == connectors.StateChanged && e.State == want
	})
}

func (s *sink) event(t *testing.T, want connectors.EventKind) connectors.Event {
	t.Helper()
	return s.until(t, want.String(), func(e connectors.Event) bool { return e.Kind == want })
}

// rules is Binance's wire with other rules.
type rules struct {
	connectors.Wire
	set connectors.WireRules
}

func (r rules) Rules() connectors.WireRules { return r.set }

// setup is a session to the server, and what a test may change before it runs.
type setup struct {
	connectors.SessionOptions
	sink  *sink
	table *market.Instruments
	rules connectors.WireRules
	wrap  func(connectors.Wire) connectors.Wire // the wire; nil for as it is
}

// newSetup asks for the trades of BTC-USDT and has no deadline that a test could
// meet by accident.
func newSetup(t *testing.T, s *server) *setup {
	t.Helper()
	cfg := binance.New().DefaultConfig().Markets["spot"]
	cfg.WSURL = "ws" + strings.TrimPrefix(s.URL, "http")
	v, err := binance.New().Venue(market.Spot, cfg)
	if err != nil {
		t.Fatal(err)
	}
	v.Limits.Messages = connectors.Rate{N: 1000, Per: time.Second}
	for i := range v.Channels {
		v.Channels[i].Silence = 0
	}
	table := v.Builtin()
	set := &setup{sink: newSink(), table: table}
	set.rules = connectors.WireRules{ServerPingEvery: time.Hour, ReadLimit: 1 << 20}
	set.SessionOptions = connectors.SessionOptions{
		Venue: v, Instruments: table, Sink: set.sink,
		Connection: v.Wire.Plan([]connectors.Subscription{set.sub(t, "trade", "BTC-USDT")})[0],
		Reconnect: connectors.ReconnectConfig{
			InitialWait: time.Millisecond, MaxWait: 4 * time.Millisecond, DialTimeout: 10 * time.Second,
			AckTimeout: 10 * time.Second, ReplaceBefore: time.Minute, HealthyAfter: time.Hour,
		},
		Jitter: func(bound time.Duration) time.Duration { return bound },
	}
	return set
}

func (s *setup) sub(t *testing.T, channel, symbol string) connectors.Subscription {
	t.Helper()
	i, err := s.table.Resolve(symbol)
	if err != nil {
		t.Fatal(err)
	}
	return connectors.Subscription{Channel: s.channel(channel), Instrument: i}
}

func (s *setup) channel(name string) int {
	if s.Venue == nil {
		v, _ := binance.New().Venue(market.Spot, binance.New().DefaultConfig().Markets["spot"])
		return v.ChannelIndex(name)
	}
	return s.Venue.ChannelIndex(name)
}

// run starts the session; it is stopped, and has ended, when the test ends.
func (s *setup) run(t *testing.T) (*connectors.Session, <-chan error) {
	t.Helper()
	s.Venue.Wire = rules{s.Venue.Wire, s.rules}
	if s.wrap != nil {
		s.Venue.Wire = s.wrap(s.Venue.Wire)
	}
	session, err := connectors.NewSession(s.SessionOptions)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Run(t.Context()) }()
	t.Cleanup(session.Stop)
	return session, ended
}
