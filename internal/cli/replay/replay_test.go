package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/cli/replay"
	"github.com/marketprism/marketprism/internal/market"
)

func TestFramesAsAsked(t *testing.T) {
	f := newFilm()
	f.open(t, "wss://stream.binance.com:9443/stream")
	f.in(t, `{"result":null,"id":1}`)
	d1 := f.in(t, wrap("btcusdt@depth@0ms", delta(5, 6, "59999.00")))
	t1 := f.in(t, wrap("btcusdt@trade", trade(1)))
	f.in(t, wrap("ethusdt@trade", trade(7)))
	bare := f.in(t, trade(2)) // recorded without an envelope
	d2 := f.in(t, wrap("btcusdt@depth@0ms", delta(7, 8, "59998.00")))
	cases := []struct {
		name, path, say string
		reply           string
		want            []string
	}{
		{"combined", "/stream?streams=btcusdt@depth@0ms/btcusdt@trade", "", "",
			[]string{d1, t1, wrap("btcusdt@trade", bare), d2}},
		{"bare", "/ws/btcusdt@trade", "", "", []string{trade(1), bare}},
		{"renamed", "/market/stream?streams=btcusdt@depth@100ms", "", "",
			[]string{wrap("btcusdt@depth@100ms", delta(5, 6, "59999.00")), wrap("btcusdt@depth@100ms", delta(7, 8, "59998.00"))}},
		{"renamed bare", "/public/ws/btcusdt@depth", "", "", []string{delta(5, 6, "59999.00"), delta(7, 8, "59998.00")}},
		{"asked on the connection", "/stream", `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":12}`, `{"result":null,"id":12}`,
			[]string{t1, wrap("btcusdt@trade", bare)}},
	}
	capture := f.capture(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, replay.Options{Captures: []replay.Capture{capture}})
			c := dial(t, s, tc.path)
			if tc.say != "" {
				c.say(t, tc.say)
				c.want(t, tc.reply)
			}
			c.want(t, tc.want...)
			done(t, s)
		})
	}
	t.Run("all at once", func(t *testing.T) {
		n := 0
		for _, tc := range cases {
			n += max(1, strings.Count(tc.path, "@trade")+strings.Count(tc.path, "@depth"))
		}
		s := serve(t, replay.Options{Captures: []replay.Capture{capture}, Expect: n})
		var clients []*client
		for _, tc := range cases {
			c := dial(t, s, tc.path)
			if tc.say != "" {
				c.say(t, tc.say)
			}
			clients = append(clients, c)
		}
		for i, tc := range cases {
			if tc.reply != "" {
				clients[i].want(t, tc.reply)
			}
			clients[i].want(t, tc.want...)
		}
		done(t, s)
		r := s.Report()
		if r.Frames != 6 || r.Control != 1 || r.Unasked != 1 || r.Sent != 4 || !slices.Equal(r.Silent, []string{"ethusdt@trade"}) {
			t.Errorf("report: %+v", r)
		}
	})
}

func TestRequestsOnTheConnection(t *testing.T) {
	f := newFilm()
	f.open(t, "wss://stream.binance.com:9443/ws")
	f.in(t, trade(1))
	s := serve(t, replay.Options{Captures: []replay.Capture{f.capture(t)}, Expect: 100})
	c := dial(t, s, "/ws/btcusdt@depth")
	for _, step := range []struct{ say, want string }{
		{`{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth"],"id":1}`, `{"result":null,"id":1}`},
		{`{"method":"LIST_SUBSCRIPTIONS","id":"two"}`, `{"result":["btcusdt@depth","btcusdt@trade"],"id":"two"}`},
		{`{"method":"UNSUBSCRIBE","params":["btcusdt@depth"],"id":3}`, `{"result":null,"id":3}`},
		{`{"method":"LIST_SUBSCRIPTIONS"}`, `{"result":["btcusdt@trade"],"id":null}`},
		{`{"method":"GET_PROPERTY","params":["combined"],"id":4}`, `{"result":false,"id":4}`},
		{`{"method":"SET_PROPERTY","params":["combined",true],"id":5}`, `{"result":null,"id":5}`},
		{`{"method":"NONE","id":6}`, `{"error":{"code":2,"msg":"Invalid request: unknown method \"NONE\""},"id":6}`},
		{`{`, `{"code":3,"msg":"Invalid JSON"}`},
	} {
		c.say(t, step.say)
		c.want(t, step.want)
	}
	s.Begin()
	c.want(t, wrap("btcusdt@trade", trade(1)))
	done(t, s)
}

// TestSnapshotAtItsPlace: neither does the response overtake the frames that were
// recorded before it, nor do those after it run away from the client.
func TestSnapshotAtItsPlace(t *testing.T) {
	f := newFilm()
	f.http(t, "/api/v3/exchangeInfo", listing)
	f.open(t, "wss://stream.binance.com:9443/stream")
	before := []string{f.in(t, wrap("btcusdt@depth", delta(1, 2, "1.00"))), f.in(t, wrap("btcusdt@depth", delta(3, 4, "1.00")))}
	snapshot := f.http(t, "/api/v3/depth?symbol=BTCUSDT&limit=1000", `{"lastUpdateId":3,"bids":[["1.00","1"]],"asks":[["2.00","1"]]}`)
	after := f.in(t, wrap("btcusdt@depth", delta(5, 6, "1.00")))
	capture := f.capture(t)

	t.Run("asked early", func(t *testing.T) {
		clk := newClock()
		s := serve(t, replay.Options{Captures: []replay.Capture{capture}, Speed: 1, Clock: clk})
		c := dial(t, s, "/stream?streams=btcusdt@depth")
		clk.advance(t, 10*time.Millisecond)
		answer := make(chan string, 1)
		go func() {
			_, body := get(t, s, "/api/v3/depth?symbol=BTCUSDT&limit=100")
			answer <- body
		}()
		c.want(t, before[0])
		clk.advance(t, time.Millisecond)
		c.want(t, before[1])
		select {
		case body := <-answer:
			t.Fatalf("answered before its place: %s", body)
		default:
		}
		clk.advance(t, time.Millisecond)
		if got := <-answer; got != snapshot {
			t.Errorf("got %s, want %s", got, snapshot)
		}
		clk.advance(t, time.Millisecond)
		c.want(t, after)
		done(t, s)
	})
	t.Run("asked late", func(t *testing.T) {
		clk := newClock()
		s := serve(t, replay.Options{Captures: []replay.Capture{capture}, Clock: clk})
		c := dial(t, s, "/stream?streams=btcusdt@depth")
		clk.advance(t, 10*time.Millisecond)
		c.want(t, before...)
		// The time line stands at the snapshot now; its patience is a timer that
		// never ends.
		if _, got := get(t, s, "/api/v3/depth?symbol=BTCUSDT"); got != snapshot {
			t.Errorf("got %s, want %s", got, snapshot)
		}
		c.want(t, after)
		done(t, s)
	})
	t.Run("asked again", func(t *testing.T) {
		clk := newClock()
		s := serve(t, replay.Options{Captures: []replay.Capture{capture}, Clock: clk})
		c := dial(t, s, "/stream?streams=btcusdt@depth")
		clk.advance(t, 10*time.Millisecond)
		c.want(t, before...)
		if _, got := get(t, s, "/api/v3/depth?symbol=BTCUSDT"); got != snapshot {
			t.Errorf("got %s, want %s", got, snapshot)
		}
		c.want(t, after)
		done(t, s)
		now := `{"lastUpdateId":6,"bids":[["1.00","1.5"]],"asks":[["2.00","1"]]}`
		if _, got := get(t, s, "/api/v3/depth?symbol=BTCUSDT"); got != now {
			t.Errorf("got %s, want the book as it stands, %s", got, now)
		}
	})
	t.Run("never asked", func(t *testing.T) {
		clk := newClock()
		s := serve(t, replay.Options{Captures: []replay.Capture{capture}, Clock: clk})
		c := dial(t, s, "/stream?streams=btcusdt@depth")
		clk.advance(t, 10*time.Millisecond)
		c.want(t, before...)
		clk.advance(t, time.Second)
		c.want(t, after)
		done(t, s)
	})
	t.Run("asked before any subscription", func(t *testing.T) {
		clk := newClock()
		s := serve(t, replay.Options{Captures: []replay.Capture{capture}, Clock: clk})
		answer := make(chan string, 1)
		go func() {
			_, body := get(t, s, "/api/v3/depth?symbol=BTCUSDT")
			answer <- body
		}()
		clk.advance(t, time.Second)
		if got := <-answer; got != snapshot {
			t.Errorf("got %s, want %s", got, snapshot)
		}
		if _, got := get(t, s, "/api/v3/exchangeInfo"); got != listing {
			t.Errorf("instruments before the start: got %s", got)
		}
	})
}

func TestPace(t *testing.T) {
	f := newFilm()
	f.open(t, "wss://stream.binance.com:9443/stream")
	var frames []string
	for i := range 4 {
		f.time += int64(99 * time.Millisecond)
		frames = append(frames, f.in(t, wrap("btcusdt@trade", trade(i))))
	}
	capture := f.capture(t)
	for _, tc := range []struct {
		speed float64
		step  time.Duration
	}{{1, 100 * time.Millisecond}, {4, 25 * time.Millisecond}, {0.5, 200 * time.Millisecond}} {
		t.Run(fmt.Sprint(tc.speed), func(t *testing.T) {
			clk := newClock()
			s := serve(t, replay.Options{Captures: []replay.Capture{capture}, Speed: tc.speed, Clock: clk, Settle: time.Hour})
			c := dial(t, s, "/stream?streams=btcusdt@trade")
			clk.advance(t, time.Hour)
			c.want(t, frames[0])
			for _, frame := range frames[1:] {
				clk.advance(t, tc.step)
				c.want(t, frame)
			}
			done(t, s)
		})
	}
}

// TestComposed: what was not recorded comes from what was.
func TestComposed(t *testing.T) {
	f := newFilm()
	f.open(t, "wss://stream.binance.com:9443/stream")
	f.in(t, wrap("btcusdt@depth", delta(10, 11, "59990.00")))
	f.http(t, "/api/v3/depth?symbol=BTCUSDT&limit=1000", `{"lastUpdateId":11,"bids":[["59980.00","2"]],"asks":[["60000.00","3"]]}`)
	f.in(t, wrap("btcusdt@depth", delta(12, 12, "59995.00")))
	for id := range 5 {
		f.in(t, wrap("btcusdt@trade", trade(100+id)))
	}
	f.time += int64(time.Second)
	end := f.in(t, wrap("btcusdt@depth", delta(13, 13, "59996.00")))
	clk := newClock()
	s := serve(t, replay.Options{Captures: []replay.Capture{f.capture(t)}, Speed: 1000, Clock: clk, Settle: time.Hour})

	status, body := get(t, s, "/api/v3/exchangeInfo")
	venue := spotVenue(t)
	list, err := venue.REST.Instruments([]byte(body))
	if status != http.StatusOK || err != nil {
		t.Fatalf("instruments: status %d, %v", status, err)
	}
	for _, i := range list {
		if i.Trading != (i.Native == "BTCUSDT") {
			t.Errorf("%s: trading %v; the capture holds BTCUSDT only", i.Native, i.Trading)
		}
	}

	first := dial(t, s, "/ws/btcusdt@depth")
	clk.advance(t, time.Hour)
	first.next(t)
	// A thousand times as fast, a record takes a microsecond: the snapshot, the
	// second change, five trades, then the pause of a second.
	clk.advance(t, time.Microsecond)
	get(t, s, "/api/v3/depth?symbol=BTCUSDT")
	clk.advance(t, time.Microsecond)
	first.next(t)
	for range 5 {
		clk.advance(t, time.Microsecond)
	}

	clk.await(t, time.Millisecond+time.Microsecond)
	second := dial(t, s, "/stream?streams=btcusdt@depth@100ms")
	second.say(t, `{"method":"LIST_SUBSCRIPTIONS","id":1}`)
	second.next(t) // the subscription stands
	cases := []struct{ path, want string }{
		{"/api/v3/depth?symbol=BTCUSDT&limit=5", `{"lastUpdateId":12,"bids":[["59995.00","1.5"],["59980.00","2"]],"asks":[["60000.00","3"]]}`},
		{"/api/v3/historicalTrades?symbol=BTCUSDT&fromId=102&limit=2",
			`[{"id":102,"price":"60000.10","qty":"0.50","time":1700000000102,"isBuyerMaker":true},{"id":103,"price":"60000.10","qty":"0.50","time":1700000000103,"isBuyerMaker":false}]`},
		{"/api/v3/trades?symbol=BTCUSDT&limit=1", `[{"id":104,"price":"60000.10","qty":"0.50","time":1700000000104,"isBuyerMaker":true}]`},
		{"/api/v3/trades?symbol=ETHUSDT", `[]`},
		{"/api/v3/ping", `{}`},
	}
	for _, tc := range cases {
		if status, got := get(t, s, tc.path); status != http.StatusOK || got != tc.want {
			t.Errorf("%s: got %d %s, want %s", tc.path, status, got, tc.want)
		}
	}
	if status, _ := get(t, s, "/api/v3/klines?symbol=BTCUSDT"); status != http.StatusNotFound {
		t.Errorf("what the capture does not hold: status %d", status)
	}
	clk.move(time.Millisecond + time.Microsecond)
	second.want(t, wrap("btcusdt@depth@100ms", end[len(`{"stream":"btcusdt@depth","data":`):len(end)-1]))
	done(t, s)
	r := s.Report()
	if len(r.Composed) != 6 || len(r.Unanswered) != 1 || r.Unanswered[0].Key != "/api/v3/klines?symbol=BTCUSDT" {
		t.Errorf("report: %+v", r)
	}
	var trades []json.RawMessage
	if _, body := get(t, s, "/api/v3/trades?symbol=BTCUSDT"); json.Unmarshal([]byte(body), &trades) != nil || len(trades) != 5 {
		t.Errorf("all trades: got %s", body)
	}
}

func spotVenue(t *testing.T) *connectors.Venue {
	t.Helper()
	x := binance.New()
	v, err := x.Venue(market.Spot, x.DefaultConfig().Markets["spot"])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSeveralCaptures: one time line, and a port for each host.
func TestSeveralCaptures(t *testing.T) {
	a, b := newFilm(), newFilm()
	a.open(t, "wss://stream.binance.com:9443/stream")
	b.open(t, "wss://stream.binance.com:9443/stream")
	a1 := a.in(t, wrap("btcusdt@trade", trade(1)))
	b.time += 1
	b1 := b.in(t, wrap("btcusdt@trade", trade(2)))
	a2 := a.in(t, wrap("btcusdt@trade", trade(3)))
	future := newFilm()
	future.open(t, "wss://fstream.binance.com/stream")
	f1 := future.in(t, wrap("btcusdt@markPrice@1s", `{"e":"markPriceUpdate","s":"BTCUSDT"}`))
	s := serve(t, replay.Options{
		Captures: []replay.Capture{b.capture(t), a.capture(t), future.capture(t)}, Expect: 2,
	})
	var derivatives replay.Endpoint
	for _, e := range s.Endpoints() {
		if e.Market == "perpetual" {
			derivatives = e
		}
	}
	c := dial(t, s, "/stream?streams=btcusdt@trade")
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), derivatives.WSURL+"/market/stream?streams=btcusdt@markPrice@1s", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	defer ws.Close()
	c.want(t, a1, b1, a2)
	(&client{ws}).want(t, f1)
	done(t, s)
}

func TestNotACapture(t *testing.T) {
	start := func(o replay.Options) error {
		o.Exchanges = all.Exchanges()
		s, err := replay.Start(t.Context(), o)
		if err == nil {
			s.Close()
		}
		return err
	}
	unknown := newFilm()
	unknown.in(t, trade(1))
	capture := unknown.capture(t)
	if err := start(replay.Options{Captures: []replay.Capture{capture}}); !errors.Is(err, replay.ErrVenue) {
		t.Errorf("no URL: got %v, want ErrVenue", err)
	}
	if err := start(replay.Options{Captures: []replay.Capture{capture}, Exchange: "binance", Market: "spot"}); err != nil {
		t.Errorf("no URL, but told: %v", err)
	}
	var bad *connectors.CaptureError
	if err := start(replay.Options{Captures: []replay.Capture{memory("x", []byte("{}\n"))}}); !errors.As(err, &bad) || bad.Line != 1 {
		t.Errorf("no capture: got %v", err)
	}
	if err := start(replay.Options{Captures: []replay.Capture{capture}, Exchange: "none"}); err == nil {
		t.Error("an exchange that is not known was served")
	}
}

// TestCloseWhileClientReadsNothing: Close ends everything, whatever the clients
// do, and may be called again.
func TestCloseWhileClientReadsNothing(t *testing.T) {
	f := newFilm()
	f.open(t, "wss://stream.binance.com:9443/stream")
	pad := strings.Repeat("x", 128<<10)
	for range 120 {
		f.in(t, wrap("btcusdt@trade", `{"e":"trade","pad":"`+pad+`"}`))
	}
	f.http(t, "/api/v3/depth?symbol=BTCUSDT", `{}`)
	s := serve(t, replay.Options{Captures: []replay.Capture{f.capture(t)}, Grace: 50 * time.Millisecond})
	c := dial(t, s, "/stream?streams=btcusdt@trade")
	c.next(t)
	// A client that reads no frames until it has its answer gets the answer.
	if _, body := get(t, s, "/api/v3/depth?symbol=BTCUSDT"); body != `{}` {
		t.Errorf("got %s", body)
	}
	s.Close()
	s.Close()
	if err := s.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a replay that did not come to its end", err)
	}
}

// TestRealCaptures plays captures of several symbols; the recording of a replay
// (package capture) compares the long ones.
func TestRealCaptures(t *testing.T) {
	for _, name := range []string{"binance-spot/part1", "binance-usdm/part1"} {
		t.Run(name, func(t *testing.T) {
			path := connectorstest.Path(t, name)
			open := func() (io.ReadCloser, error) { return os.Open(path) }
			streams, frames := contents(t, open)
			s := serve(t, replay.Options{Captures: []replay.Capture{{Name: name, Open: open}}, Expect: len(streams), Grace: time.Millisecond})
			c := dial(t, s, "/stream")
			params, err := json.Marshal(streams)
			if err != nil {
				t.Fatal(err)
			}
			c.say(t, `{"method":"SUBSCRIBE","params":`+string(params)+`,"id":1}`)
			c.want(t, `{"result":null,"id":1}`)
			c.want(t, frames...)
			done(t, s)
			if r := s.Report(); r.Sent != int64(len(frames)) {
				t.Errorf("sent %d of %d", r.Sent, len(frames))
			}
		})
	}
}

func contents(t *testing.T, open func() (io.ReadCloser, error)) (streams, frames []string) {
	t.Helper()
	f, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return streams, frames
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Dir != connectors.CaptureIn {
			continue
		}
		var head struct {
			Stream string `json:"stream"`
		}
		if err := json.Unmarshal(rec.Body, &head); err != nil || head.Stream == "" {
			t.Fatalf("line %d: %v", rec.Line, err)
		}
		frames = append(frames, string(rec.Body))
		if !slices.Contains(streams, head.Stream) {
			streams = append(streams, head.Stream)
		}
	}
}
