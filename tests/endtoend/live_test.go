package endtoend

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestLiveReplay follows recorded traffic, and TestLiveSimulated simulated
// exchanges, over WebSocket and server-sent events: the books that the followers
// rebuild are the collector's, level by level, at every sequence number that is
// looked at; through reconnects of the followers and new snapshots of the
// collector.
func TestLiveReplay(t *testing.T) {
	for _, tc := range []struct{ capture, market string }{
		{"binance-usdm/btcusdt_20240808", "perpetual"},
		{"binance-spot/btcusdt_20240808", "spot"},
	} {
		t.Run(tc.market, func(t *testing.T) {
			x := harness.Replay(t, harness.Capture(t, tc.capture), "--speed", "15")
			n := harness.Start(t, t.TempDir(), x.Settings(tc.market, "BTC-USDT", "trade", "book_delta"))
			// A recording has no answer to a request that was not made.
			followBooks(t, n, "binance", tc.market, "BTC-USDT", 40, false)
			n.Stop()
		})
	}
}

func TestLiveSimulated(t *testing.T) {
	sim, s := simulated(t, 200)
	m := sim.Markets[0]
	n := harness.Start(t, t.TempDir(), s)
	followBooks(t, n, "binance", m.Market, m.Symbols[0], 60, true)
	n.Stop()
}

// simulated are settings that collect one instrument of a simulated Binance, which sends
// so many events a second.
func simulated(t *testing.T, rate int) (*harness.Simulator, harness.Settings) {
	t.Helper()
	sim := harness.Simulate(t, "--exchange", "binance/spot", "--seed", "5", "--rate", fmt.Sprint(rate), "--symbols", "1")
	m := sim.Markets[0]
	s := harness.Settings{harness.Collector + ".exchanges": []string{"binance"}}
	for _, name := range []string{"spot", "perpetual", "future"} {
		s["exchanges.binance.markets."+name+".enabled"] = name == m.Market
	}
	at := "exchanges.binance.markets." + m.Market + "."
	s[at+"ws_url"], s[at+"rest_url"], s[at+"symbols"] = m.WS, m.REST, m.Symbols
	s[at+"data_types"] = []string{"trade", "book_delta"}
	return sim, s
}

// followBooks compares books often enough; refresh asks the collector for new
// snapshots meanwhile.
func followBooks(t *testing.T, n *harness.Node, exchange, market, symbol string, compare int, refresh bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer stop()
	query := "?kinds=book_delta,trade&exchanges=" + exchange + "&markets=" + market + "&symbols=" + strings.ReplaceAll(symbol, "-", "_")
	base := n.URL(harness.Collector, "")
	followers := []*bookFollower{
		{name: "WebSocket", connect: func(ctx context.Context, f *bookFollower) error { return f.webSocket(ctx, base+"/ws/v1/stream"+query) }},
		{name: "server-sent events", connect: func(ctx context.Context, f *bookFollower) error { return f.events(ctx, base+"/api/v1/stream"+query) }},
	}
	for _, f := range followers {
		f.came = make(chan struct{}, 1)
		reading.Go(func() { f.run(ctx, t) })
	}
	path := exchange + "/" + strings.ReplaceAll(symbol, "-", "") + "?market=" + market
	compared, deadline := map[int64]bool{}, time.Now().Add(2*time.Minute)
	for len(compared) < compare {
		if time.Now().After(deadline) {
			t.Fatalf("%d books compared in time, want %d", len(compared), compare)
		}
		book := bookOf(t, n, path)
		if book.State != "live" || compared[book.Sequence] {
			pause(t, 20*time.Millisecond)
			continue
		}
		compared[book.Sequence] = true
		for _, f := range followers {
			f.compare(t, &book)
		}
		// Counted in books, not in rounds: a round that finds no new book is no occasion.
		if n := len(compared); n%10 == 0 {
			followers[n/10%2].leave()
		}
		if refresh && len(compared)%7 == 3 {
			a, err := harness.Post(t.Context(), n.URL(harness.Collector, "/api/v1/orderbook/"+strings.Replace(path, "?", "/refresh?", 1)), "", nil)
			if err != nil || a.Status != http.StatusOK {
				t.Fatal(err, a)
			}
		}
	}
	for _, f := range followers {
		f.mu.Lock()
		t.Logf("%s: %d records, %d snapshots, %d connections, %d resumed, %d books the same", f.name, f.records, f.snapshots, f.connections, f.resumed, f.same)
		if f.same < compare/2 || f.connections < 2 || f.snapshots < 1 || f.trades == 0 || f.name != "WebSocket" && f.resumed == 0 || refresh && f.snapshots < 3 {
			t.Errorf("%s: too little happened", f.name)
		}
		f.mu.Unlock()
	}
}

// pause waits for a server outside of this process.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

type servedBook struct {
	State    string      `json:"state"`
	Sequence int64       `json:"sequence"`
	Bids     [][2]string `json:"bids"`
	Asks     [][2]string `json:"asks"`
}

func bookOf(t *testing.T, n *harness.Node, path string) (b servedBook) {
	t.Helper()
	a, err := harness.Get(t.Context(), n.URL(harness.Collector, "/api/v1/orderbook/"+path+"&depth=5000&format=simple"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusOK {
		return b // not yet
	}
	if err := json.Unmarshal(a.Body, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// bookFollower keeps what it is given until the book that it makes is compared.
type bookFollower struct {
	name    string
	connect func(context.Context, *bookFollower) error
	came    chan struct{} // holds a token when something came

	mu                                                  sync.Mutex
	cancel                                              context.CancelFunc
	log                                                 []liveChange
	records, snapshots, trades, connections, resumed, n int
	lastID                                              string
	fault                                               error

	// The test's.
	seq        int64
	bids, asks map[string]string
	same       int // books that were compared
}

type liveChange struct {
	change
	Kind string `json:"kind"`
	Prev *int64 `json:"prev_seq"`
}

type liveMessage struct {
	Type string     `json:"type"`
	N    int        `json:"n"`
	Data liveChange `json:"data"`
}

// run connects, and connects again whenever it has left.
func (f *bookFollower) run(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		one, cancel := context.WithCancel(ctx)
		f.mu.Lock()
		f.cancel, f.n = cancel, 0
		f.connections++
		f.mu.Unlock()
		err := f.connect(one, f)
		if left := one.Err() != nil; !left || f.fault != nil {
			t.Errorf("%s: %v, %v", f.name, err, f.fault)
			cancel()
			return
		}
		cancel()
	}
}

// leave ends the connection; run makes another.
func (f *bookFollower) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel()
}

func (f *bookFollower) webSocket(ctx context.Context, url string) error {
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, strings.Replace(url, "http", "ws", 1), nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	defer context.AfterFunc(ctx, func() { ws.Close() })()
	for {
		_, text, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if err := f.take(text); err != nil {
			return err
		}
	}
}

func (f *bookFollower) events(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if f.lastID != "" {
		req.Header.Set("Last-Event-ID", f.lastID)
	}
	f.mu.Unlock()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines, id := bufio.NewReaderSize(resp.Body, 1<<20), ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		switch field, value, _ := strings.Cut(line, ": "); field {
		case "id":
			id = value
		case "data":
			if err := f.take([]byte(value)); err != nil {
				return err
			}
			f.mu.Lock()
			if id != "" {
				f.lastID = id
			}
			f.mu.Unlock()
		}
	}
}

// take notes one message, and that none is missing before it.
func (f *bookFollower) take(text []byte) error {
	var m liveMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%w in %.200s", err, text)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m.Type {
	case "subscribed":
		if f.lastID != "" {
			f.resumed++
		}
		return nil
	case "reset":
		f.fault = fmt.Errorf("begun anew: %s", text)
		return f.fault
	}
	if f.n++; m.N != f.n {
		f.fault = fmt.Errorf("message %d where %d is due", m.N, f.n)
		return f.fault
	}
	switch m.Data.Kind {
	case "trade":
		f.trades++
	case "book_delta":
		f.records++
		if m.Data.Snapshot {
			f.snapshots++
		}
		f.log = append(f.log, m.Data)
	}
	select {
	case f.came <- struct{}{}:
	default:
	}
	return nil
}

// compare makes the book at the served one's sequence number, and compares all of
// it.
func (f *bookFollower) compare(t *testing.T, want *servedBook) {
	t.Helper()
	deadline := time.After(time.Minute)
	for f.seq < want.Sequence {
		f.mu.Lock()
		log := f.log
		f.log = nil
		f.mu.Unlock()
		for i := range log {
			if f.seq >= want.Sequence {
				f.mu.Lock()
				f.log = append(log[i:], f.log...)
				f.mu.Unlock()
				break
			}
			f.apply(t, &log[i])
		}
		if f.seq >= want.Sequence {
			break
		}
		select {
		case <-f.came:
		case <-deadline:
			t.Fatalf("%s: waited in vain for sequence %d, is at %d", f.name, want.Sequence, f.seq)
		}
	}
	if f.seq != want.Sequence {
		return // it came back later than that: its snapshot is newer
	}
	f.same++
	if !maps.Equal(f.bids, asSide(want.Bids)) || !maps.Equal(f.asks, asSide(want.Asks)) {
		t.Fatalf("%s: at %d %d bids and %d asks, the collector has %d and %d, or others", f.name, f.seq, len(f.bids), len(f.asks), len(want.Bids), len(want.Asks))
	}
}

func (f *bookFollower) apply(t *testing.T, c *liveChange) {
	t.Helper()
	if c.Snapshot {
		f.bids, f.asks = map[string]string{}, map[string]string{}
	} else if c.Prev != nil && *c.Prev > f.seq {
		t.Fatalf("%s: a change after %d on a book at %d", f.name, *c.Prev, f.seq)
	}
	f.seq = c.Seq
	put(t, f.bids, c.Bids, "", false)
	put(t, f.asks, c.Asks, "", true)
}

func asSide(levels [][2]string) map[string]string {
	out := map[string]string{}
	for _, l := range levels {
		out[l[0]] = l[1]
	}
	return out
}
