package collector_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/collector"
	"github.com/marketprism/marketprism/internal/market"
)

// patience bounds every wait for a signal; no test needs a fraction of it.
const patience = 20 * time.Second

// directory lists BTC-USDT on one exchange.
type directory struct{}

func (directory) ExchangeNames() []string { return []string{"binance"} }

func (directory) Lists(symbol string, allows func(string, market.Market) bool) bool {
	return market.FoldSymbol(symbol) == "BTCUSDT" && allows("binance", market.Spot)
}

// stage is a server with one stream that the test plays.
type stage struct {
	testing.TB
	hub    *live.Hub
	server *chassis.Server
	source *live.Source

	mu         sync.Mutex
	form       market.JSON
	seq, trade int64
	epoch      int64
	holds      bool             // it does not record yet, and has no book to show
	others     collector.Others // nil: it is alone
	book       map[int]int64    // bids, price -> amount
	wakes      sync.WaitGroup
}

func newStage(t testing.TB, change func(*live.Config, *chassis.Config)) *stage {
	t.Helper()
	s := newStageOf(t, nil, change)
	s.open()
	return s
}

// open begins the stream.
func (s *stage) open() {
	s.mu.Lock() // until the source is known
	defer s.mu.Unlock()
	s.source = s.hub.Open(btc, func() { s.wakes.Go(func() { s.step(func() {}) }) })
}

// newStageOf has no stream yet.
func newStageOf(t testing.TB, others collector.Others, change func(*live.Config, *chassis.Config)) *stage {
	t.Helper()
	limits, server := live.DefaultConfig(), chassis.DefaultConfig()
	limits.CloseGrace = 500 * time.Millisecond
	if change != nil {
		change(&limits, &server)
	}
	s := &stage{TB: t, others: others, seq: 100, book: map[int]int64{99: 1, 98: 2}}
	var err error
	if s.hub, err = live.New(live.Options{Config: limits, Directory: directory{}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var relay sync.WaitGroup
	relay.Go(func() { s.hub.Run(ctx) })
	if s.server, err = chassis.New(chassis.Options{Service: collector.Service, Listen: "127.0.0.1:0", Config: server}); err != nil {
		t.Fatal(err)
	}
	if err := collector.Register(s.server, collector.Options{Branch: &fixed{}, Live: s.hub, Others: others}); err != nil {
		t.Fatal(err)
	}
	if err := s.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.server.Ready()
	t.Cleanup(func() {
		s.stop()
		stop()
		relay.Wait()
		s.wakes.Wait()
	})
	return s
}

// stop stops the server; nothing of the connections is left.
func (s *stage) stop() {
	s.Helper()
	if err := s.server.Stop(context.Background()); err != nil {
		s.Error(err)
	}
	if left := s.hub.Stats(); left.Clients["websocket"]+left.Clients["sse"]+left.Subscriptions != 0 {
		s.Errorf("left behind: %+v", left)
	}
	if s.others != nil {
		return // the other nodes' goroutines are no sign of anything
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "http/collector.(*") {
			s.Errorf("a goroutine is left behind:\n%s", g)
		}
	}
}

// BookState implements live.Books.
func (s *stage) BookState() (string, int64, bool) {
	if s.holds {
		return "syncing", 0, true
	}
	return "live", s.seq, true
}

// WholeBook implements live.Books.
func (s *stage) WholeBook() *market.BookDelta {
	if s.holds {
		return nil
	}
	d := &market.BookDelta{Header: market.Header{Instrument: btc, Seq: market.Int(s.seq), ReceiveTime: 1, Epoch: s.epoch, Flags: market.FlagSnapshot}, IsSnapshot: true}
	for p, n := range s.book {
		d.Bids = append(d.Bids, level(p, n))
	}
	return d
}

func level(price int, amount int64) market.Level {
	return market.Level{Price: market.MustDecimal(strconv.Itoa(price)), Amount: market.MustDecimal(strconv.FormatInt(amount, 10))}
}

func (s *stage) step(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
	s.source.Stepped(s)
}

func (s *stage) publish(r market.Record) { s.source.Publish(r, s.form.Append(nil, r)) }

// changes makes n changes of the book.
func (s *stage) changes(n int) {
	for range n {
		s.step(func() {
			prev := s.seq
			s.seq++
			p := 90 + int(s.seq%10)
			s.book[p] = s.seq
			s.publish(&market.BookDelta{Header: market.Header{Instrument: btc, Seq: market.Int(s.seq), PrevSeq: market.Int(prev), ReceiveTime: time.Now().UnixNano()},
				Bids: []market.Level{level(p, s.seq)}})
		})
	}
}

// trades makes n trades whose records are so many bytes longer.
func (s *stage) trades(n, padding int) {
	longer := strings.Repeat("x", padding)
	for range n {
		s.step(func() {
			s.trade++
			s.publish(&market.Trade{Header: market.Header{Instrument: btc, Seq: market.Int(s.trade), ReceiveTime: time.Now().UnixNano()},
				ID: market.TextID(longer + strconv.FormatInt(s.trade, 10)), Price: market.MustDecimal("1.50"), Amount: market.MustDecimal("2"), Side: market.Buy})
		})
	}
}

func (s *stage) tick() {
	s.step(func() {
		s.publish(&market.Ticker{Header: market.Header{Instrument: btc, ReceiveTime: 1}, Last: market.MustDecimal("1")})
	})
}

// heard is a message as clients read it.
type heard struct {
	BegunAnew    []string        `json:"begun_anew"`
	Type         string          `json:"type"`
	ID           json.RawMessage `json:"id"`
	Code         any             `json:"code"`
	Field        string          `json:"field"`
	Message      string          `json:"message"`
	Reason       string          `json:"reason"`
	Subscription string          `json:"subscription"`
	N            uint64          `json:"n"`
	Messages     uint64          `json:"messages"`
	Streams      int             `json:"streams"`
	Symbols      []string        `json:"symbols"`
	Waiting      []string        `json:"waiting"`
	Time         int64           `json:"time_ns"`
	Data         struct {
		Kind       string      `json:"kind"`
		ID         string      `json:"id"`
		State      string      `json:"state"`
		Seq        int64       `json:"seq"`
		PrevSeq    int64       `json:"prev_seq"`
		IsSnapshot bool        `json:"is_snapshot"`
		Bids       [][2]string `json:"bids"`
	} `json:"data"`
	event, eventID string
}

// listener is a client of the WebSocket.
type listener struct {
	testing.TB
	ws *websocket.Conn
}

func (s *stage) dial(query string) *listener {
	s.Helper()
	ws, resp, err := websocket.DefaultDialer.DialContext(s.Context(), "ws"+strings.TrimPrefix(s.server.URL(), "http")+"/ws/v1/stream"+query, nil)
	if err != nil {
		s.Fatal(err, resp)
	}
	s.Cleanup(func() { ws.Close() })
	l := &listener{s, ws}
	if err := ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.Fatal(err)
	}
	return l
}

func (l *listener) next() heard {
	l.Helper()
	var h heard
	_, text, err := l.ws.ReadMessage()
	if err != nil {
		l.Fatal(err)
	}
	if err := json.Unmarshal(text, &h); err != nil {
		l.Fatalf("%v in %s", err, text)
	}
	return h
}

// until reads on until a message is as wanted.
func (l *listener) until(what string, ok func(heard) bool) heard {
	l.Helper()
	for range 100_000 {
		if h := l.next(); ok(h) {
			return h
		}
	}
	l.Fatalf("waited in vain for %s", what)
	return heard{}
}

func (l *listener) ask(text string) {
	l.Helper()
	if err := l.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		l.Fatal(err)
	}
}

// closed reads to the end and returns its code and reason.
func (l *listener) closed() (int, string) {
	l.Helper()
	for {
		_, _, err := l.ws.ReadMessage()
		if end, ok := err.(*websocket.CloseError); ok { //nolint:errorlint // as the library documents it
			return end.Code, end.Text
		}
		if err != nil {
			l.Fatal(err)
		}
	}
}

// reader is a client of server-sent events.
type reader struct {
	testing.TB
	cancel context.CancelFunc
	resp   *http.Response
	lines  *bufio.Reader
	lastID string
	placed string // id of the trade that was heard last
	beats  int
	retry  string
}

func (s *stage) events(query, lastID string) *reader {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	s.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL()+"/api/v1/stream"+query, nil)
	if err != nil {
		s.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != chassis.MediaEvents {
		s.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return &reader{TB: s, cancel: cancel, resp: resp, lines: bufio.NewReader(resp.Body)}
}

// next reads one event; ok is false at the end of the answer.
func (r *reader) next() (h heard, ok bool) {
	r.Helper()
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return h, false
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			h.eventID, r.lastID = value, value
		case "event":
			h.event = value
		case "retry":
			r.retry = value
		case "data":
			if err := json.Unmarshal([]byte(value), &h); err != nil {
				r.Fatalf("%v in %s", err, value)
			}
		case "":
			switch {
			case value == "beat":
				r.beats++
			case h.Type != "":
				return h, true
			}
		default:
			r.Fatalf("a line %q", line)
		}
	}
}

func (r *reader) until(what string, ok func(heard) bool) heard {
	r.Helper()
	for {
		h, more := r.next()
		if !more {
			r.Fatalf("the events ended before %s", what)
		}
		if ok(h) {
			return h
		}
	}
}

// copied is a book that a client rebuilds from what it hears.
type copied struct {
	n, snapshots int
	seq          int64
	bids         map[string]string
}

func (c *copied) hear(t testing.TB, h heard) {
	t.Helper()
	if h.Type != "record" && h.Type != "state" {
		return
	}
	if c.n++; uint64(c.n) != h.N {
		t.Fatalf("message %d where %d is due", h.N, c.n)
	}
	switch {
	case h.Data.Kind != "book_delta":
		return
	case h.Data.IsSnapshot:
		c.bids = map[string]string{}
		c.snapshots++
	case h.Data.PrevSeq != c.seq:
		t.Fatalf("a change after %d on a book at %d", h.Data.PrevSeq, c.seq)
	}
	c.seq = h.Data.Seq
	for _, l := range h.Data.Bids {
		c.bids[l[0]] = l[1]
	}
}

// same compares the copy with the book, which stands still.
func (c *copied) same(s *stage) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := map[string]string{}
	for p, n := range s.book {
		want[strconv.Itoa(p)] = strconv.FormatInt(n, 10)
	}
	if c.seq != s.seq || fmt.Sprint(c.bids) != fmt.Sprint(want) {
		s.Errorf("rebuilt at %d:\n got %v\nwant %v at %d", c.seq, c.bids, want, s.seq)
	}
}
