package connectors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
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
	session, err := connectors.NewSession(s.SessionOptions)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Run(t.Context()) }()
	t.Cleanup(session.Stop)
	return session, ended
}

func TestSessionSubscribesAndDelivers(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	session, ended := set.run(t)
	c := receive(t, "a connection", srv.conns)
	if got, want := receive(t, "a demand", c.got), `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
	set.sink.state(t, connectors.Live)

	before := time.Now().UnixNano()
	c.trade(t, 1)
	c.say(t, `not JSON`)
	c.say(t, `{"stream":"btcusdt@nosuch","data":{"e":"nosuch"}}`)
	c.trade(t, 2)
	for id := int64(1); id <= 2; id++ {
		tr := receive(t, "a trade", set.sink.trades)
		if tr.Seq.V != id || tr.Conn != 1 || tr.ReceiveTime < before || tr.ReceiveTime > time.Now().UnixNano() {
			t.Errorf("trade %d: %+v", id, tr.Header)
		}
	}
	var bad *connectors.FrameError
	if e := set.sink.event(t, connectors.Malformed); !errors.As(e.Cause, &bad) || e.Conn != 1 {
		t.Errorf("malformed frame: %+v", e)
	}

	if err := c.WriteControl(websocket.PingMessage, []byte("1790000000"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "a pong", c.pong); got != "1790000000" {
		t.Errorf("pong %q", got)
	}

	session.Subscribe(set.sub(t, "trade", "BTC-USDT"), set.sub(t, "depth", "ETH-USDT"))
	if got, want := receive(t, "a demand", c.got), `{"method":"SUBSCRIBE","params":["ethusdt@depth@100ms"],"id":2}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
	session.Unsubscribe(set.sub(t, "trade", "BTC-USDT"))
	if got, want := receive(t, "a demand", c.got), `{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":3}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
	if got := session.Subscriptions(); len(got) != 1 || got[0] != set.sub(t, "depth", "ETH-USDT") {
		t.Errorf("subscriptions %v", got)
	}

	session.Stop()
	session.Stop()
	if err := receive(t, "the end", ended); err != nil {
		t.Errorf("Run = %v", err)
	}
	if e := set.sink.event(t, connectors.Disconnected); e.Cause != nil || e.Replaced {
		t.Errorf("disconnected %+v", e)
	}
	set.sink.state(t, connectors.Stopped)
	var closed *websocket.CloseError
	if err := receive(t, "a goodbye", c.gone); !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
		t.Errorf("the client left with %v", err)
	}
	st := session.Stats()
	if st.State != connectors.Stopped || st.Connects != 1 || st.Lost != 0 || st.Records != 2 || st.Malformed != 1 ||
		st.Notes[connectors.Ack] < 1 || st.Notes[connectors.UnknownChannel] != 1 || st.Pongs != 1 || st.LastFrame.IsZero() {
		t.Errorf("stats %+v", st)
	}
	if err := session.Run(t.Context()); !errors.Is(err, connectors.ErrSessionOver) {
		t.Errorf("a second Run = %v", err)
	}
}

func TestSessionCutInTheMiddleOfAFrame(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.trade(t, 1)
	receive(t, "a trade", set.sink.trades)
	// A text frame of 100 bytes of which three are sent.
	if _, err := c.NetConn().Write([]byte{0x81, 100, '{', '"', 'e'}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if e := set.sink.event(t, connectors.Disconnected); e.Conn != 1 || e.Cause == nil {
		t.Errorf("disconnected %+v", e)
	}
	if e := set.sink.state(t, connectors.Backoff); e.Wait != time.Millisecond {
		t.Errorf("waits %v", e.Wait)
	}
	c = receive(t, "another connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.trade(t, 9)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 2 || tr.Seq.V != 9 {
		t.Errorf("trade %+v", tr.Header)
	}
}

func TestSessionCleanCloseWaits(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.Reconnect.InitialWait, set.Reconnect.MaxWait = 50*time.Millisecond, 80*time.Millisecond
	set.run(t)
	for i, want := range []time.Duration{50 * time.Millisecond, 80 * time.Millisecond, 80 * time.Millisecond} {
		c := receive(t, "a connection", srv.conns)
		set.sink.state(t, connectors.Live)
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "see you")
		left := time.Now()
		if err := c.WriteControl(websocket.CloseMessage, bye, left.Add(patience)); err != nil {
			t.Fatal(err)
		}
		var closed *websocket.CloseError
		if e := set.sink.event(t, connectors.Disconnected); !errors.As(e.Cause, &closed) || closed.Text != "see you" {
			t.Errorf("cause %v", e.Cause)
		}
		if e := set.sink.state(t, connectors.Backoff); e.Wait != want {
			t.Errorf("close %d: waits %v, want %v", i, e.Wait, want)
		}
		set.sink.event(t, connectors.Connected)
		if d := time.Since(left); d < want {
			t.Errorf("close %d: back after %v", i, d)
		}
	}
}

func TestSessionHalfOpen(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.Venue.Channels[set.channel("trade")].Silence = 40 * time.Millisecond
	session, _ := set.run(t)
	receive(t, "a connection", srv.conns)
	if e := set.sink.event(t, connectors.Silent); len(e.Subs) != 1 || e.Conn != 1 {
		t.Errorf("silent %+v", e)
	}
	var silence *connectors.SilenceError
	if e := set.sink.event(t, connectors.Disconnected); !errors.As(e.Cause, &silence) || silence.For < 40*time.Millisecond {
		t.Errorf("cause %v", e.Cause)
	}
	c := receive(t, "another connection", srv.conns)
	c.trade(t, 1)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn < 2 {
		t.Errorf("trade %+v", tr.Header)
	}
	if session.Stats().Silences == 0 {
		t.Error("the silence is not counted")
	}
}

func TestSessionOneChannelSilent(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.Venue.Channels[set.channel("trade")].Silence = 60 * time.Millisecond
	quiet := set.sub(t, "trade", "ETH-USDT")
	set.Connection.Subs = append(set.Connection.Subs, quiet)
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	receive(t, "the demand", c.got)
	stop := make(chan struct{})
	talking := make(chan struct{})
	go func() { // BTC-USDT goes on
		defer close(talking)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-set.sink.trades:
			case <-tick.C:
				frame := `{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"2","T":1790000000100,"m":false,"M":true}}`
				if c.write(frame) != nil {
					return
				}
			}
		}
	}()
	defer func() { close(stop); <-talking }()
	if e := set.sink.event(t, connectors.Silent); len(e.Subs) != 1 || e.Subs[0] != quiet {
		t.Errorf("silent %+v", e)
	}
	if got, want := receive(t, "a reminder", c.got), `{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":2}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
}

func TestSessionDeadAfterThreePings(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.rules.ServerPingEvery = 20 * time.Millisecond
	set.run(t)
	receive(t, "a connection", srv.conns)
	var silence *connectors.SilenceError
	if e := set.sink.event(t, connectors.Disconnected); !errors.As(e.Cause, &silence) || silence.For < 60*time.Millisecond {
		t.Errorf("cause %v", e.Cause)
	}
}

// replaced follows a planned replacement from the moment that it has begun.
func replaced(t *testing.T, srv *server, set *setup, old *serverConn) {
	t.Helper()
	next := receive(t, "the replacement", srv.conns)
	receive(t, "its demand", next.got)
	if e := set.sink.event(t, connectors.Connected); e.Conn != 2 {
		t.Errorf("connected %+v", e)
	}
	old.trade(t, 10)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 1 || tr.Seq.V != 10 {
		t.Errorf("the old connection no longer delivers: %+v", tr.Header)
	}
	select {
	case err := <-old.gone:
		t.Fatalf("the old connection was closed before the new one delivered: %v", err)
	default:
	}
	next.trade(t, 11)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 2 || tr.Seq.V != 11 {
		t.Errorf("trade %+v", tr.Header)
	}
	receive(t, "the old connection's end", old.gone)
	e := set.sink.until(t, "disconnected", func(e connectors.Event) bool {
		if e.Kind == connectors.StateChanged {
			t.Errorf("state %s during a replacement", e.State)
		}
		return e.Kind == connectors.Disconnected
	})
	if e.Conn != 1 || !e.Replaced || e.Cause != nil {
		t.Errorf("disconnected %+v", e)
	}
}

func TestSessionShutdownNoticeReplaces(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.say(t, `{"e":"serverShutdown","E":1790000000500}`)
	replaced(t, srv, set, c)
	if st := session.Stats(); st.Replaced != 1 || st.Lost != 0 || st.Conn != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestSessionReplacesBeforeEndOfLife(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.rules.Lifetime = 400 * time.Millisecond
	set.Reconnect.ReplaceBefore = 200 * time.Millisecond
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	replaced(t, srv, set, c)
}

func TestSessionOldDiesWhileReplacementIsMade(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.say(t, `{"e":"serverShutdown","E":1790000000500}`)
	next := receive(t, "the replacement", srv.conns)
	set.sink.until(t, "connected", func(e connectors.Event) bool { return e.Kind == connectors.Connected && e.Conn == 2 })
	c.Close()
	if e := set.sink.event(t, connectors.Disconnected); e.Conn != 1 {
		t.Errorf("disconnected %+v", e)
	}
	next.trade(t, 5)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 2 {
		t.Errorf("trade %+v", tr.Header)
	}
	select {
	case <-srv.conns:
		t.Error("a third connection was made")
	default:
	}
}

func TestSessionPacesItsFrames(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	set.Venue.Limits.Messages = connectors.Rate{N: 20, Per: time.Second}
	var subs []connectors.Subscription
	for c := range set.Venue.Channels {
		for _, i := range set.table.All() {
			subs = append(subs, connectors.Subscription{Channel: c, Instrument: i})
		}
	}
	set.Connection.Subs = subs // four frames
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	receive(t, "the first demand", c.got)
	first := time.Now()
	const more = 3
	for range more {
		receive(t, "a demand", c.got)
	}
	// The server may see the first late, but not all of it.
	if d := time.Since(first); d < more*50*time.Millisecond-40*time.Millisecond {
		t.Errorf("%d frames at 20 a second took %v", more, d)
	}
}

func TestSessionHonoursRetryAfter(t *testing.T) {
	srv := newServer(t, true)
	srv.refuse.Store(&http.Header{"Retry-After": {"1"}})
	set := newSetup(t, srv)
	session, _ := set.run(t)
	e := set.sink.state(t, connectors.Backoff)
	var h *connectors.HandshakeError
	if !errors.As(e.Cause, &h) || h.Status != http.StatusTooManyRequests || h.RetryAfter != time.Second {
		t.Errorf("cause %#v", e.Cause)
	}
	if e.Wait != time.Second+time.Millisecond {
		t.Errorf("waits %v, want what the exchange asks for and the jitter", e.Wait)
	}
	refused := time.Now()
	srv.refuse.Store(nil)
	receive(t, "a connection", srv.conns)
	if d := time.Since(refused); d < 900*time.Millisecond {
		t.Errorf("back after %v", d)
	}
	if st := session.Stats(); st.Failed != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestSessionThrottledWithoutRetryAfter(t *testing.T) {
	srv := newServer(t, true)
	srv.refuse.Store(&http.Header{})
	set := newSetup(t, srv)
	session, _ := set.run(t)
	if e := set.sink.state(t, connectors.Backoff); e.Wait < time.Minute {
		t.Errorf("waits %v after a 429", e.Wait)
	}
	stopped := make(chan struct{})
	go func() { session.Stop(); close(stopped) }()
	receive(t, "Stop during a wait", stopped)
}

func TestSessionUnacknowledged(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	set.Reconnect.AckTimeout = 30 * time.Millisecond
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	for id := 1; id <= 2; id++ {
		if got := receive(t, "a demand", c.got); !strings.HasSuffix(got, `"id":`+strconv.Itoa(id)+`}`) {
			t.Errorf("demand %s, want number %d", got, id)
		}
	}
	if e := set.sink.event(t, connectors.Disconnected); !errors.Is(e.Cause, connectors.ErrUnacknowledged) {
		t.Errorf("cause %v", e.Cause)
	}
	if st := session.Stats(); st.Unacknowledged != 2 || st.State == connectors.Live {
		t.Errorf("stats %+v", st)
	}
}

func TestSessionFindsTheRefusedSubscription(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	bad := set.sub(t, "trade", "SOL-USDT")
	set.Connection.Subs = []connectors.Subscription{
		set.sub(t, "trade", "BTC-USDT"), set.sub(t, "trade", "ETH-USDT"), set.sub(t, "trade", "BNB-USDT"), bad, set.sub(t, "trade", "XRP-USDT"),
	}
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case got := <-c.got:
				if strings.Contains(got, "solusdt") {
					id := ackOf([]byte(got))
					id = id[strings.LastIndexByte(id, ':')+1 : len(id)-1]
					c.say(t, `{"error":{"code":2,"msg":"Invalid request"},"id":`+id+`}`)
				} else {
					c.say(t, ackOf([]byte(got)))
				}
			case <-c.gone:
				return
			}
		}
	}()
	e := set.sink.event(t, connectors.SubscriptionRefused)
	var no *connectors.RefusedError
	if len(e.Subs) != 1 || e.Subs[0] != bad || !errors.As(e.Cause, &no) || no.Code != 2 {
		t.Errorf("refused %+v", e)
	}
	set.sink.state(t, connectors.Live)
	c.Close()
	receive(t, "the server's end", done)
}

func TestSessionSinkRefuses(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	set.sink.refuse.Store(true)
	c.trade(t, 1)
	c.say(t, "end of the refused")
	set.sink.event(t, connectors.Malformed)
	if st := session.Stats(); st.Refused != 1 || st.Records != 1 {
		t.Errorf("stats %+v", st)
	}
	set.sink.refuse.Store(false)
	c.trade(t, 2)
	if tr := receive(t, "a trade", set.sink.trades); tr.Seq.V != 2 {
		t.Errorf("trade %+v", tr)
	}
}

func TestSessionPanicIsReturned(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.sink.panics.Store(true)
	_, ended := set.run(t)
	c := receive(t, "a connection", srv.conns)
	c.trade(t, 1)
	var p *connectors.PanicError
	if err := receive(t, "the end", ended); !errors.As(err, &p) || p.Value != "the sink is broken" || !bytes.Contains(p.Stack, []byte("Deliver")) {
		t.Fatalf("Run = %v", err)
	}
	receive(t, "the connection's end", c.gone)
	set.sink.state(t, connectors.Stopped)
}

func TestSessionStopAtAnyTime(t *testing.T) {
	srv := newServer(t, true)
	for i := range 40 {
		set := newSetup(t, srv)
		set.Venue.Wire = rules{set.Venue.Wire, set.rules}
		session, err := connectors.NewSession(set.SessionOptions)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		ended := make(chan error, 1)
		go func() { ended <- session.Run(ctx) }()
		if i%2 == 0 {
			<-ctx.Done()
		} else {
			go session.Stop()
			session.Stop()
		}
		if err := receive(t, "the end", ended); err != nil && !errors.Is(err, connectors.ErrSessionOver) {
			t.Fatalf("run %d: %v", i, err)
		}
		session.Stop()
		cancel()
		connected := 0
		for len(set.sink.events) > 0 {
			switch e := <-set.sink.events; e.Kind {
			case connectors.Connected:
				connected++
			case connectors.Disconnected:
				connected--
			}
		}
		if connected != 0 {
			t.Fatalf("run %d: %d connections without an end", i, connected)
		}
	}
}
