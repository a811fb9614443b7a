package replay_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/cli/replay"
)

// film builds a capture of Binance spot, a millisecond a record.
type film struct {
	file bytes.Buffer
	w    *connectors.CaptureWriter
	time int64
}

func newFilm() *film {
	f := &film{time: 1_700_000_000_000_000_000}
	f.w = connectors.NewCaptureWriter(&f.file)
	return f
}

func (f *film) record(t *testing.T, r connectors.CaptureRecord) {
	t.Helper()
	f.time += int64(time.Millisecond)
	r.Time = f.time
	if err := f.w.Write(&r); err != nil {
		t.Fatal(err)
	}
}

func (f *film) open(t *testing.T, url string) {
	f.record(t, connectors.CaptureRecord{Conn: 1, Dir: connectors.CaptureOpen, URL: url})
}

func (f *film) in(t *testing.T, body string) string {
	f.record(t, connectors.CaptureRecord{Conn: 1, Dir: connectors.CaptureIn, Body: []byte(body)})
	return body
}

func (f *film) http(t *testing.T, url, body string) string {
	f.record(t, connectors.CaptureRecord{Dir: connectors.CaptureHTTP, URL: "https://api.binance.com" + url, Body: []byte(body)})
	return body
}

func (f *film) capture(t *testing.T) replay.Capture {
	t.Helper()
	if err := f.w.Close(); err != nil {
		t.Fatal(err)
	}
	return memory("film", f.file.Bytes())
}

func memory(name string, b []byte) replay.Capture {
	return replay.Capture{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func wrap(stream, data string) string { return `{"stream":"` + stream + `","data":` + data + `}` }

func trade(id int) string {
	return fmt.Sprintf(`{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"60000.10","q":"0.50","T":%d,"m":%v,"M":true}`,
		1700000000000+id, id, 1700000000000+id, id%2 == 0)
}

func delta(from, to int, bid string) string {
	return fmt.Sprintf(`{"e":"depthUpdate","E":%d,"s":"BTCUSDT","U":%d,"u":%d,"b":[["%s","1.5"]],"a":[]}`, 1700000000000+to, from, to, bid)
}

const listing = `{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[]}]}`

func serve(t *testing.T, o replay.Options) *replay.Server {
	t.Helper()
	o.Exchanges = all.Exchanges()
	if o.Settle == 0 {
		o.Settle = 10 * time.Millisecond
	}
	s, err := replay.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client is a WebSocket whose frames are collected.
type client struct {
	ws *websocket.Conn
}

func dial(t *testing.T, s *replay.Server, path string) *client {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.Endpoints()[0].WSURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { ws.Close() })
	return &client{ws}
}

func (c *client) say(t *testing.T, text string) {
	t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (c *client) next(t *testing.T) string {
	t.Helper()
	if err := c.ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, frame, err := c.ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

func (c *client) want(t *testing.T, frames ...string) {
	t.Helper()
	for i, want := range frames {
		if got := c.next(t); got != want {
			t.Fatalf("frame %d: got %s, want %s", i, got, want)
		}
	}
}

func get(t *testing.T, s *replay.Server, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoints()[0].RESTURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func done(t *testing.T, s *replay.Server) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the replay did not come to its end")
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

// clock moves only when it is told to.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []timer
	set    chan time.Duration // what each After asked for
}

type timer struct {
	at time.Time
	ch chan time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1000, 0), set: make(chan time.Duration, 1000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.timers = append(c.timers, timer{c.now.Add(d), ch})
	c.set <- d
	return ch
}

// advance waits until a timer of d is set, then moves the clock by it.
func (c *clock) advance(t *testing.T, d time.Duration) {
	t.Helper()
	c.await(t, d)
	c.move(d)
}

func (c *clock) await(t *testing.T, d time.Duration) {
	t.Helper()
	for {
		select {
		case have := <-c.set:
			if have != d {
				continue
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody waits for %v", d)
		}
		return
	}
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.timers = slices.DeleteFunc(c.timers, func(w timer) bool {
		if w.at.After(c.now) {
			return false
		}
		w.ch <- c.now
		return true
	})
}
