package simulator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// simulate starts Binance's spot market.
func simulate(t testing.TB, o simulator.Options) (*simulator.Server, simulator.Endpoint) {
	t.Helper()
	o.Exchanges = []connectors.Exchange{binance.New()}
	if o.Markets == nil {
		o.Markets = map[string][]market.Market{binance.Name: {market.Spot}}
	}
	if o.Rate == 0 {
		o.Rate = 10_000
	}
	s, err := simulator.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, s.Endpoints()[0]
}

func faults(t testing.TB, text string) simulator.Faults {
	t.Helper()
	f, err := simulator.ParseFaults(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// client is a bare WebSocket client.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	n    int
}

func dial(t testing.TB, e simulator.Endpoint, streams ...string) *client {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), e.WSURL+"/stream?streams="+strings.Join(streams, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, conn: conn}
}

// read gives the next frame, or an error. A connection that never ends fails the
// test.
func (c *client) read() ([]byte, error) {
	if c.n++; c.n > 100_000 {
		c.t.Fatal("the connection goes on and on")
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	_, frame, err := c.conn.ReadMessage()
	return frame, err
}

// event is the part of a frame that these tests look at.
type event struct {
	Stream string `json:"stream"`
	Data   struct {
		Event string      `json:"e"`
		Sent  int64       `json:"E"`
		ID    int64       `json:"t"`
		Time  int64       `json:"T"`
		First int64       `json:"U"`
		Last  int64       `json:"u"`
		Bids  [][2]string `json:"b"`
		Asks  [][2]string `json:"a"`
	} `json:"data"`
}

// events gives the next n frames, decoded.
func (c *client) events(n int) (list []event) {
	c.t.Helper()
	for range n {
		frame, err := c.read()
		if err != nil {
			c.t.Fatalf("after %d frames: %v", len(list), err)
		}
		var e event
		if err := json.Unmarshal(frame, &e); err != nil {
			c.t.Fatalf("%s: %v", frame, err)
		}
		list = append(list, e)
	}
	return list
}

// noon is the beginning of a window of every limit.
var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// setClock goes on from a time that is not now.
type setClock struct{ at, since time.Time }

func from(at time.Time) setClock { return setClock{at, time.Now()} }

func (c setClock) Now() time.Time                       { return c.at.Add(time.Since(c.since)) }
func (setClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// key is the number of a frame's content: that of a trade, or of a quote.
func key(t *testing.T, frame []byte) string {
	t.Helper()
	var e struct {
		Data struct {
			Event string          `json:"e"`
			Sent  int64           `json:"E"`
			ID    int64           `json:"t"`
			Time  int64           `json:"T"`
			Last  int64           `json:"u"`
			Bid   json.RawMessage `json:"b"`
		} `json:"data"`
	}
	if err := json.Unmarshal(frame, &e); err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	return fmt.Sprint(e.Data.ID, e.Data.Last)
}

// Two simulators with the same seed and beginning send the same frames.
func TestSameSeedSameFrames(t *testing.T) {
	record := func(seed uint64, stream string) map[string]string {
		_, e := simulate(t, simulator.Options{Seed: seed, Clock: from(noon)})
		c := dial(t, e, stream)
		frames := map[string]string{}
		for range 2000 {
			frame, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			frames[key(t, frame)] = string(frame)
		}
		return frames
	}
	for _, stream := range []string{"btcusdt@trade", "btcusdt@bookTicker"} {
		one, two, other := record(3, stream), record(3, stream), record(4, stream)
		common, differ := 0, 0
		for key, frame := range one {
			if again, ok := two[key]; ok {
				common++
				if again != frame {
					t.Fatalf("the same seed sent %s and %s", frame, again)
				}
			}
			if other[key] != frame {
				differ++
			}
		}
		if common < 50 {
			t.Errorf("%s: only %d frames in common", stream, common)
		}
		if differ < len(one)*9/10 {
			t.Errorf("%s: another seed sent %d of %d frames alike", stream, len(one)-differ, len(one))
		}
	}
}

// Two connections get the same book in different pieces, and both chains are
// whole.
func TestConnectionsHaveTheirOwnBoundaries(t *testing.T) {
	_, e := simulate(t, simulator.Options{Seed: 1})
	one, two := dial(t, e, "btcusdt@depth@100ms"), dial(t, e, "btcusdt@depth@100ms")
	a, b := one.events(15), two.events(15)
	ends := map[int64]bool{}
	for _, list := range [][]event{a, b} {
		for i := 1; i < len(list); i++ {
			if list[i].Data.First != list[i-1].Data.Last+1 {
				t.Errorf("U %d follows u %d", list[i].Data.First, list[i-1].Data.Last)
			}
		}
	}
	for _, ev := range a {
		ends[ev.Data.Last] = true
	}
	for _, ev := range b {
		if ends[ev.Data.Last] {
			t.Errorf("both connections have a change that ends at %d", ev.Data.Last)
		}
	}
}

// gaps counts holes, repeats and steps back of trade ids.
func gaps(list []event) (missing, twice, back int) {
	for i := 1; i < len(list); i++ {
		switch d := list[i].Data.ID - list[i-1].Data.ID; {
		case d == 0:
			twice++
		case d < 0:
			back++
		case d > 1:
			missing += int(d) - 1
		}
	}
	return missing, twice, back
}

// Every lost, repeated or moved frame is seen by the client, and told of in the
// truth with its bounds.
func TestFaultsOfOrder(t *testing.T) {
	for _, fault := range []string{"drop", "dup", "reorder", "gap"} {
		t.Run(fault, func(t *testing.T) {
			s, e := simulate(t, simulator.Options{Seed: 5, Faults: faults(t, fault+"=0.02")})
			list := dial(t, e, "btcusdt@trade").events(1500)
			missing, twice, back := gaps(list)
			first, last := list[0].Data.ID, list[len(list)-1].Data.ID
			told, lost := 0, 0
			for _, f := range s.Faults(simulator.FaultQuery{Channel: "trade"}) {
				if f.FirstSeq > first && f.LastSeq < last {
					told++
					lost += int(f.LastSeq - f.FirstSeq + 1)
				}
			}
			if told < 5 {
				t.Fatalf("only %d faults told of", told)
			}
			switch fault {
			case "drop", "gap":
				if missing != lost || twice+back != 0 {
					t.Errorf("%d trades missing, %d twice, %d back; the truth says %d lost", missing, twice, back, lost)
				}
			case "dup":
				if twice != told || missing+back != 0 {
					t.Errorf("%d trades twice, %d missing, %d back; the truth says %d", twice, missing, back, told)
				}
			case "reorder":
				// One that is moved by one place makes a jump forward and a step back.
				if back != told || twice != 0 {
					t.Errorf("%d steps back, %d twice; the truth says %d", back, twice, told)
				}
			}
		})
	}
}

func TestCrossed(t *testing.T) {
	s, e := simulate(t, simulator.Options{Seed: 5, Faults: faults(t, "crossed=0.2")})
	crossed := map[int64]bool{}
	for _, ev := range dial(t, e, "btcusdt@depth@100ms").events(30) {
		id := market.StreamID{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT"}
		_, asks, err := s.BookAt(id, ev.Data.Last)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range ev.Data.Bids {
			price := market.MustDecimal(b[0])
			if !market.MustDecimal(b[1]).IsZero() && price.Cmp(asks[0].Price) >= 0 {
				crossed[ev.Data.Last] = true
			}
		}
	}
	told := s.Faults(simulator.FaultQuery{Fault: "crossed"})
	if len(told) == 0 {
		t.Fatal("no fault told of")
	}
	for _, f := range told {
		if !crossed[f.LastSeq] && f.LastSeq < slices.Max(keys(crossed)) {
			t.Errorf("the change that ends at %d is not crossed", f.LastSeq)
		}
		if f.Must != simulator.MustResync {
			t.Errorf("the collector must %s", f.Must)
		}
	}
}

func keys(m map[int64]bool) []int64 {
	list := []int64{0}
	for k := range m {
		list = append(list, k)
	}
	return list
}

func TestMalformed(t *testing.T) {
	s, e := simulate(t, simulator.Options{Seed: 5, Faults: faults(t, "malformed=0.02")})
	c := dial(t, e, "btcusdt@trade")
	broken := 0
	for range 1000 {
		frame, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(frame) {
			broken++
		}
	}
	if told := len(s.Faults(simulator.FaultQuery{Fault: "malformed"})); broken == 0 || told < broken || told > broken+5 {
		t.Errorf("%d frames are broken, %d told of", broken, told)
	}
}

// A connection ends without a goodbye, at times in the middle of a frame.
func TestDisconnect(t *testing.T) {
	s, e := simulate(t, simulator.Options{Seed: 5, Faults: faults(t, "disconnect=0.02"), NoLimits: true})
	for range 10 {
		c := dial(t, e, "btcusdt@trade")
		var err error
		for err == nil {
			_, err = c.read()
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("the connection did not end")
		}
		if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway) {
			t.Errorf("the connection ended with a goodbye: %v", err)
		}
	}
	if n := len(s.Faults(simulator.FaultQuery{Fault: "disconnect"})); n < 10 {
		t.Errorf("%d told of", n)
	}
}

func TestHalfOpen(t *testing.T) {
	_, e := simulate(t, simulator.Options{Seed: 5, Faults: faults(t, "half-open=0.01")})
	c := dial(t, e, "btcusdt@trade")
	var err error
	for err == nil {
		if err = c.conn.SetReadDeadline(time.Now().Add(700 * time.Millisecond)); err == nil {
			_, _, err = c.conn.ReadMessage()
		}
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("the connection ended: %v", err)
	}
	// It takes what is written, and answers nothing.
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)); err != nil {
		t.Errorf("writing to it: %v", err)
	}
}

// An instrument is silent for a while, on all of its streams; the other goes on.
func TestStale(t *testing.T) {
	s, e := simulate(t, simulator.Options{Seed: 5, StaleFor: 500 * time.Millisecond})
	c := dial(t, e, "btcusdt@trade", "ethusdt@trade", "btcusdt@depth@100ms", "ethusdt@depth@100ms")
	c.events(10)
	if err := s.SetFaults(faults(t, "stale=0.005")); err != nil {
		t.Fatal(err)
	}
	for len(s.Faults(simulator.FaultQuery{})) == 0 {
		c.events(10)
	}
	if err := s.SetFaults(simulator.Faults{}); err != nil {
		t.Fatal(err)
	}
	var list []event
	for len(list) < 2000 {
		list = append(list, c.events(100)...)
	}
	told := s.Faults(simulator.FaultQuery{})
	if len(told)%2 != 0 {
		t.Errorf("%d streams are silent, of two for each instrument", len(told))
	}
	for _, f := range told {
		if f.Channel != "trade" {
			continue
		}
		if f.Frames < 20 || f.LastSeq-f.FirstSeq+1 != f.Frames {
			t.Errorf("%s lost %d frames, trades %d to %d", f.Symbol, f.Frames, f.FirstSeq, f.LastSeq)
		}
		for _, ev := range list {
			if ev.Stream == f.Topic && ev.Data.ID >= f.FirstSeq && ev.Data.ID <= f.LastSeq {
				t.Fatalf("trade %d came all the same", ev.Data.ID)
			}
		}
	}
}

// What is ordered is done.
func TestControl(t *testing.T) {
	s, e := simulate(t, simulator.Options{Seed: 5})
	truth := s.TruthURL()
	c := dial(t, e, "btcusdt@trade")
	c.events(5)

	post(t, truth+"/control/leave?exchange=binance")
	var err error
	announced := false
	for err == nil {
		var frame []byte
		if frame, err = c.read(); bytes.Contains(frame, []byte("serverShutdown")) {
			announced = true
		}
	}
	if !announced || !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the end of life: announced %v, then %v", announced, err)
	}

	c = dial(t, e, "btcusdt@trade")
	post(t, truth+"/control/pause?exchange=binance&market=spot&for=1h")
	for err = nil; err == nil; {
		_, err = c.read()
	}
	if resp, err := http.Get(e.RESTURL + "/api/v3/ping"); err == nil {
		resp.Body.Close()
		t.Error("a host that is down answers")
	}
	post(t, truth+"/control/resume")
	if status, _, _ := get(t, e.RESTURL+"/api/v3/ping"); status != http.StatusOK {
		t.Errorf("after it is back: %d", status)
	}

	c = dial(t, e, "btcusdt@trade")
	c.events(3)
	post(t, truth+"/control/cut?mid_frame=true")
	for err = nil; err == nil; {
		_, err = c.read()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) {
		t.Errorf("a cut in a frame gives %v", err)
	}

	post(t, truth+"/control/throttle?for=1s")
	if status, header, _ := get(t, e.RESTURL+"/api/v3/ping"); status != http.StatusTooManyRequests || header.Get("Retry-After") != "1" {
		t.Errorf("throttled: %d, Retry-After %q", status, header.Get("Retry-After"))
	}
	post(t, truth+"/control/ban?for=30s")
	if status, header, body := get(t, e.RESTURL+"/api/v3/ping"); status != http.StatusTeapot || header.Get("Retry-After") != "30" {
		t.Errorf("banned: %d, Retry-After %q, %s", status, header.Get("Retry-After"), body)
	}
	if got := string(post(t, truth+"/control/faults?rates=drop=0.5")); !strings.Contains(got, "drop=0.5") {
		t.Errorf("rates: %s", got)
	}
	if status, _, body := get(t, truth+"/truth/book?exchange=binance&market=spot&symbol=NO-SUCH"); status != http.StatusNotFound {
		t.Errorf("an unknown book: %d %s", status, body)
	}
	if status, _, body := get(t, truth+"/truth/trades?exchange=binance&market=spot&symbol=BTC-USDT&from_id=10&to_id=12"); status != http.StatusOK ||
		bytes.Count(body, []byte(`"kind":"trade"`)) != 3 {
		t.Errorf("trades: %d %s", status, body)
	}
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]simulator.Options{
		"rate":    {Exchanges: []connectors.Exchange{binance.New()}, Rate: -1},
		"symbols": {Exchanges: []connectors.Exchange{binance.New()}, Symbols: 1 << 20},
		"none":    {},
		"listen":  {Exchanges: []connectors.Exchange{binance.New()}, Listen: "nowhere"},
		"faults":  {Exchanges: []connectors.Exchange{binance.New()}, Faults: simulator.Faults{simulator.Drop: 0.7, simulator.Dup: 0.7}},
	} {
		if s, err := simulator.Start(t.Context(), o); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
	for _, text := range []string{"drop", "drop=x", "drop=2", "lie=0.1", "drop=NaN"} {
		if _, err := simulator.ParseFaults(text); err == nil {
			t.Errorf("ParseFaults(%q): no error", text)
		}
	}
}

// Thousands of instruments are listed, and any of them trades.
func TestManySymbols(t *testing.T) {
	_, e := simulate(t, simulator.Options{Seed: 5, Symbols: 3000, Rate: 50})
	if len(e.Symbols) != 3000 {
		t.Fatalf("%d symbols", len(e.Symbols))
	}
	seen := map[string]bool{}
	for _, s := range e.Symbols {
		if seen[s] {
			t.Errorf("%s twice", s)
		}
		seen[s] = true
	}
	last := strings.ToLower(strings.ReplaceAll(e.Symbols[2999], "-", ""))
	dial(t, e, last+"@trade").events(5)
}
