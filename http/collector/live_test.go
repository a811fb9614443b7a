package collector_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/collector"
)

func state(h heard) bool { return h.Type == "state" }

func TestSocket(t *testing.T) {
	s := newStage(t, nil)
	l := s.dial("?kinds=book_deltas,trade&symbols=btc_usdt&exchanges=Binance&markets=spot")
	if ack := l.next(); ack.Type != "subscribed" || ack.Subscription != "s1" || ack.Streams != 1 || ack.Symbols[0] != "btc_usdt" || ack.ID != nil {
		t.Errorf("answered %+v", ack)
	}
	var book copied
	l.until("the book", func(h heard) bool { book.hear(t, h); return state(h) })
	s.changes(100)
	s.trades(3, 0)
	trades := 0
	l.until("all of it", func(h heard) bool {
		book.hear(t, h)
		if h.Data.Kind == "trade" {
			trades++
		}
		return book.seq == 200 && trades == 3
	})
	book.same(s)
	l.ask(`{"op":"ping","id":"p"}`)
	if pong := l.next(); pong.Type != "pong" || string(pong.ID) != `"p"` || pong.Time == 0 {
		t.Errorf("answered %+v", pong)
	}
	l.ask(`{"op":"subscribe","id":17,"kinds":["trade"],"symbols":["*-USDT"]}`)
	if ack := l.next(); ack.Type != "subscribed" || ack.Subscription != "s2" || string(ack.ID) != "17" {
		t.Errorf("answered %+v", ack)
	}
	l.ask(`{"op":"unsubscribe","id":18,"subscription":"s1"}`)
	if bye := l.next(); bye.Type != "unsubscribed" || string(bye.ID) != "18" || bye.Messages != uint64(book.n) {
		t.Errorf("answered %+v, after %d messages", bye, book.n)
	}
	s.trades(1, 0)
	if h := l.next(); h.Subscription != "s2" || h.N != 1 || h.Data.Kind != "trade" {
		t.Errorf("heard %+v", h)
	}
	if err := l.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "")); err != nil {
		t.Fatal(err)
	}
	if code, _ := l.closed(); code != 1000 {
		t.Errorf("closed with %d", code)
	}
}

// TestSocketRefuses sends what cannot be taken: each is answered, none ends the
// connection.
func TestSocketRefuses(t *testing.T) {
	s := newStage(t, func(c *live.Config, _ *chassis.Config) { c.MaxRequestsPerSecond = 1000 })
	l := s.dial("")
	for _, tc := range []struct{ text, code, field string }{
		{`not json`, "malformed", ""},
		{`[1,2]`, "malformed", ""},
		{`"subscribe"`, "malformed", ""},
		{`null`, "required", "op"},
		{`{}`, "required", "op"},
		{`{"op":7}`, "invalid_field", "op"},
		{`{"op":"dance","id":1}`, "unknown_op", "op"},
		{`{"op":"subscribe","id":{"a":1}}`, "invalid_field", "id"},
		{`{"op":"subscribe","id":"` + strings.Repeat("i", 200) + `"}`, "invalid_field", "id"},
		{`{"op":"subscribe","id":2,"kinds":"trade"}`, "invalid_field", "kinds"},
		{`{"op":"subscribe","id":2,"kinds":[1]}`, "invalid_field", "kinds"},
		{`{"op":"subscribe","id":2,"kinds":[["trade"]]}`, "invalid_field", "kinds"},
		{`{"op":"subscribe","id":2,"kind":["trade"]}`, "unknown_field", "kind"},
		{`{"op":"subscribe","id":2}`, "required", "kinds"},
		{`{"op":"subscribe","id":2,"kinds":["trade","x"]}`, "unknown_kind", "kinds[1]"},
		{`{"op":"subscribe","id":2,"kinds":["trade"],"symbols":["DOGE-USDT"]}`, "unknown_symbol", "symbols[0]"},
		{`{"op":"subscribe","id":2,"kinds":["trade"],"exchanges":["nowhere"]}`, "unknown_exchange", "exchanges[0]"},
		{`{"op":"subscribe","id":2,"kinds":["trade"],"markets":["flea"]}`, "unknown_market", "markets[0]"},
		{`{"op":"unsubscribe","id":2,"subscription":"s9"}`, "unknown_subscription", "subscription"},
		{strings.Repeat(`[`, 20_000), "malformed", ""},
	} {
		l.ask(tc.text)
		got := l.next()
		if got.Type != "error" || got.Code != tc.code || got.Field != tc.field || got.Message == "" {
			t.Errorf("%.60s: answered %+v", tc.text, got)
		}
		if id := strings.Contains(tc.text, `"id":2`); id != (string(got.ID) == "2") && tc.code != "unknown_op" {
			t.Errorf("%.60s: answered under id %s", tc.text, got.ID)
		}
	}
	if err := l.ws.WriteMessage(websocket.BinaryMessage, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	if got := l.next(); got.Code != "not_text" {
		t.Errorf("a binary message is answered %+v", got)
	}
	l.ask(`{"op":"ping"}`)
	if got := l.next(); got.Type != "pong" {
		t.Errorf("after all that it answers %+v", got)
	}
}

// TestSocketHostile sends what ends a connection, and nothing else.
func TestSocketHostile(t *testing.T) {
	s := newStage(t, func(c *live.Config, _ *chassis.Config) { c.MaxMessageBytes, c.MaxSubscriptions = 4096, 5 })
	witness := s.dial("?kinds=trade")
	witness.next()
	for _, tc := range []struct {
		name string
		text []byte
		code int
	}{
		{"a huge message", make([]byte, 1<<20), websocket.CloseMessageTooBig},
		{"no UTF-8", []byte("{\"op\":\"\xff\xfe\"}"), websocket.CloseInvalidFramePayloadData},
	} {
		l := s.dial("")
		// What is refused may be so before all of it is sent.
		_ = l.ws.WriteMessage(websocket.TextMessage, tc.text)
		if code, _ := l.closed(); code != tc.code {
			t.Errorf("%s: closed with %d, want %d", tc.name, code, tc.code)
		}
	}
	flood := s.dial("")
	codes := map[any]int{}
	for range 300 {
		flood.ask(`{"op":"subscribe","kinds":["trade"]}`)
	}
	for range 300 {
		codes[flood.next().Code]++
	}
	if codes[nil] != 5 || codes["too_many_subscriptions"] < 1 || codes["too_many_requests"] < 1 {
		t.Errorf("a flood is answered %v", codes)
	}
	raw, err := net.Dial("tcp", s.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	handshake(t, raw, s.server.Addr(), "")
	// An unmasked frame with reserved bits: against the protocol.
	if _, err := raw.Write([]byte{0xff, 0x05, 'h', 'e', 'l', 'l', 'o'}); err != nil {
		t.Fatal(err)
	}
	if err := raw.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(raw); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
	s.trades(1, 0)
	if h := witness.next(); h.Data.Kind != "trade" {
		t.Errorf("another client hears %+v", h)
	}
}

// handshake makes a WebSocket of a connection.
func handshake(t *testing.T, conn net.Conn, host, query string) *bufio.Reader {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET /ws/v1/stream%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", query, host); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(err, resp)
	}
	return r
}

func TestHandshake(t *testing.T) {
	s := newStage(t, func(c *live.Config, h *chassis.Config) {
		c.MaxClients, h.TrustedOrigins = 2, []string{"https://desk.example"}
	})
	get := func(path string, header http.Header) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.server.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var p struct{ Code string }
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: %v, %s", path, err, resp.Header.Get("Content-Type"))
		}
		return resp.StatusCode, p.Code
	}
	upgrade := func(more ...string) http.Header {
		h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for _, tc := range []struct {
		name, path string
		header     http.Header
		status     int
		code       string
	}{
		{"plain", "/ws/v1/stream", nil, 426, "upgrade_required"},
		{"another version", "/ws/v1/stream", upgrade("Sec-WebSocket-Version", "8"), 400, "bad_handshake"},
		{"bad key", "/ws/v1/stream", upgrade("Sec-WebSocket-Key", "x"), 400, "bad_handshake"},
		{"a stranger's page", "/ws/v1/stream", upgrade("Origin", "https://evil.example"), 403, "cross_origin"},
		{"bad subscription", "/ws/v1/stream?kinds=gossip", upgrade(), 422, "unknown_kind"},
		{"no kind", "/ws/v1/stream?symbols=BTC-USDT", upgrade(), 422, "required"},
		{"events of nothing", "/api/v1/stream", nil, 422, "required"},
		{"events of an unknown symbol", "/api/v1/stream?kinds=trade&symbols=ABC", nil, 422, "unknown_symbol"},
		{"not text", "/api/v1/stream?kinds=tr%00de", nil, 422, "invalid_field"},
	} {
		if status, code := get(tc.path, tc.header); status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s, want %d %s", tc.name, status, code, tc.status, tc.code)
		}
	}
	for _, origin := range []string{"https://desk.example", s.server.URL()} {
		ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.server.URL(), "http")+"/ws/v1/stream", http.Header{"Origin": {origin}})
		if err != nil {
			t.Fatalf("%s: %v", origin, err)
		}
		t.Cleanup(func() { ws.Close() })
	}
	if status, code := get("/ws/v1/stream", upgrade()); status != 429 || code != "too_many_clients" {
		t.Errorf("a third client: %d %s", status, code)
	}
}

// TestFrozenSocket has one client among others that does not read its connection.
func TestFrozenSocket(t *testing.T) {
	s := newStage(t, func(c *live.Config, _ *chassis.Config) { c.QueueRecords, c.CloseGrace = 64, 200*time.Millisecond })
	s.tick()
	frozen, err := net.Dial("tcp", s.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	handshake(t, frozen, s.server.Addr(), "?kinds=trade,ticker")
	var quick []*listener
	for range 10 {
		l := s.dial("?kinds=trade,ticker")
		l.until("the last ticker", func(h heard) bool { return h.Data.Kind == "ticker" })
		quick = append(quick, l)
	}
	after := 3 // rounds more, once it is ended
	for seq := int64(1); after > 0; {
		s.trades(20, 8000) // more than the kernel's buffers, before long
		for range 20 {
			for _, l := range quick {
				if h := l.next(); h.Data.Seq != seq || h.N != uint64(seq+1) {
					t.Fatalf("heard %+v where trade %d is due", h, seq)
				}
			}
			seq++
		}
		if s.hub.Stats().SlowDisconnects == 1 {
			after--
		}
	}
	if err := frozen.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, frozen); n == 0 || isTimeout(err) {
		t.Errorf("after %d bytes the frozen connection is still open: %v", n, err)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // of io.Copy
	return ok && e.Timeout()
}

// TestSlowSocket has a client that comes back to reading in time to be told why it
// is ended.
func TestSlowSocket(t *testing.T) {
	s := newStage(t, func(c *live.Config, _ *chassis.Config) { c.QueueRecords, c.CloseGrace = 64, patience })
	s.tick()
	l := s.dial("?kinds=trade,ticker")
	l.until("the last ticker", func(h heard) bool { return h.Data.Kind == "ticker" })
	for s.hub.Stats().SlowDisconnects == 0 {
		s.trades(100, 5000)
	}
	if code, reason := l.closed(); code != live.CodeSlow || !strings.HasPrefix(reason, "slow consumer") {
		t.Errorf("closed with %d %q", code, reason)
	}
}

// TestDeadPeer ends a client that answers no ping.
func TestDeadPeer(t *testing.T) {
	s := newStage(t, func(c *live.Config, _ *chassis.Config) {
		c.PingEvery, c.DeadAfter = 20*time.Millisecond, 100*time.Millisecond
	})
	s.tick()
	alive := s.dial("?kinds=trade,ticker")
	var hears sync.WaitGroup
	hears.Go(func() { // a client answers pings while it reads
		for {
			var h heard
			if err := alive.ws.ReadJSON(&h); err != nil || h.Data.Kind == "trade" {
				if err != nil {
					t.Errorf("who answers pings: %v", err)
				}
				return
			}
		}
	})
	dead, err := net.Dial("tcp", s.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	r := handshake(t, dead, s.server.Addr(), "")
	if err := dead.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || !strings.Contains(string(text), "nothing was heard") {
		t.Errorf("%v after %q", err, text)
	}
	s.trades(1, 0)
	hears.Wait()
}

func TestEvents(t *testing.T) {
	s := newStage(t, func(c *live.Config, _ *chassis.Config) { c.Heartbeat = 20 * time.Millisecond })
	const query = "?kinds=book_delta,trade&symbols=BTCUSDT"
	r := s.events(query, "")
	if ack, _ := r.next(); ack.event != "subscribed" || ack.Streams != 1 || r.retry != "2000" {
		t.Errorf("began with %+v, retry %s", ack, r.retry)
	}
	var book copied
	r.until("the book", func(h heard) bool { book.hear(t, h); return h.event == "state" && h.Data.State == "live" })
	s.changes(10)
	r.until("changes", func(h heard) bool { book.hear(t, h); return book.seq == 110 })
	book.same(s)
	if r.lastID == "" {
		t.Fatal("no event has an id")
	}
	r.cancel()
	r.next()
	s.changes(5)
	s.trades(2, 0)
	again := s.events(query, r.lastID)
	book.n = 0
	trades := 0
	again.until("what was missed", func(h heard) bool {
		if h.event == "reset" {
			t.Errorf("begun anew: %s", h.Message)
		}
		book.hear(t, h)
		if h.Data.Kind == "trade" {
			trades++
		}
		return trades == 2
	})
	book.same(s)
	if book.snapshots != 1 {
		t.Errorf("%d snapshots", book.snapshots)
	}
	// An id that is not ours, in the parameter.
	other := s.events(query+"&last_event_id=abc-1", "")
	other.until("the reset", func(h heard) bool { return h.event == "reset" && h.Message != "" })
	book.n = 0
	other.until("the book", func(h heard) bool { book.hear(t, h); return book.snapshots == 2 })
	book.same(s)
	s.changes(1)
	for again.beats == 0 {
		s.changes(1) // beats are between events
		again.until("a change", func(h heard) bool { return h.Data.Kind == "book_delta" })
	}
}

// TestStopped tells clients of a stop, and waits for them.
func TestStopped(t *testing.T) {
	s := newStage(t, nil)
	l, r := s.dial("?kinds=trade"), s.events("?kinds=trade", "")
	l.next()
	r.next()
	var told sync.WaitGroup
	told.Go(func() {
		if code, reason := l.closed(); code != websocket.CloseGoingAway || !strings.Contains(reason, "going away") {
			t.Errorf("the WebSocket closed with %d %q", code, reason)
		}
	})
	told.Go(func() {
		if end, ok := r.next(); !ok || end.event != "end" || end.Code != float64(websocket.CloseGoingAway) {
			t.Errorf("the events ended with %+v", end)
		}
		if _, more := r.next(); more {
			t.Error("events after the end")
		}
	})
	s.stop()
	told.Wait()
}

// TestNoLive answers where nothing can be followed.
func TestNoLive(t *testing.T) {
	s := chassistest.Serve(t, collector.Service, func(s *chassis.Server) error {
		return collector.Register(s, collector.Options{Branch: &fixed{}})
	})
	if status, body, _ := call(t, s, http.MethodGet, "/api/v1/stream?kinds=trade", ""); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
}
