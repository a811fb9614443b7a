package collector_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// exchange is an exchange that speaks Binance's spot protocol on loopback: the
// truth that the collector is measured by.
type exchange struct {
	*httptest.Server
	poke func() // something happened

	mu      sync.Mutex
	pairs   map[string]*pair // by native symbol
	order   []string
	clients map[*client]bool
	made    int  // connections
	broken  bool // REST answers 503
	noBooks bool // REST answers 503 when asked for a book
	deaf    bool // WebSocket handshakes are refused
	asked   []string
	inBand  bool // books come with their snapshots on the channel
	mute    bool // requests are not acknowledged
	ends    int  // streams that clients have ended
	begins  int  // streams that clients have asked for
}

// pair is one instrument's truth.
type pair struct {
	native, base, quote string
	update              int64
	bids, asks          map[int]int // price in cents -> amount in thousandths
	trades              []past
	quotes              int64
	turnover            float64
}

type past struct {
	ID     int64  `json:"id"`
	Price  string `json:"price"`
	Amount string `json:"qty"`
	Time   int64  `json:"time"`
	Maker  bool   `json:"isBuyerMaker"`
}

type client struct {
	ws      *websocket.Conn
	streams map[string]bool
}

func newExchange(t *testing.T, poke func()) *exchange {
	x := &exchange{pairs: map[string]*pair{}, clients: map[*client]bool{}, poke: poke}
	for n, base := range []string{"BTC", "ETH", "SOL"} {
		x.add(base, float64(100-n))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", x.serveStream)
	mux.HandleFunc("/api/v3/exchangeInfo", x.rest(x.info))
	mux.HandleFunc("/api/v3/ticker/24hr", x.rest(x.tickers))
	mux.HandleFunc("/api/v3/depth", x.rest(x.depth))
	mux.HandleFunc("/api/v3/trades", x.rest(x.recent))
	mux.HandleFunc("/api/v3/historicalTrades", x.rest(x.historical))
	x.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		x.kick()
		x.Close()
	})
	return x
}

// add lists a pair with USDT and a book of 30 levels a side.
func (x *exchange) add(base string, turnover float64) {
	p := &pair{native: base + "USDT", base: base, quote: "USDT", turnover: turnover, update: 1000, bids: map[int]int{}, asks: map[int]int{}}
	for i := range 30 {
		p.bids[9990-i], p.asks[10_010+i] = 1000+i, 2000+i
	}
	p.trades = append(p.trades, past{ID: 500, Price: "100.00", Amount: "1.000", Time: time.Now().UnixMilli()})
	x.pairs[p.native], x.order = p, append(x.order, p.native)
}

func (x *exchange) rest(answer func(*http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x.mu.Lock()
		defer x.mu.Unlock()
		defer x.poke()
		x.asked = append(x.asked, r.URL.Path)
		if x.broken || x.noBooks && r.URL.Path == "/api/v3/depth" {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if err := json.NewEncoder(w).Encode(answer(r)); err != nil {
			panic(err)
		}
	}
}

func (x *exchange) info(*http.Request) any {
	var symbols []map[string]any
	for _, native := range x.order {
		p := x.pairs[native]
		symbols = append(symbols, map[string]any{"symbol": native, "status": "TRADING", "baseAsset": p.base, "quoteAsset": p.quote, "filters": []any{}})
	}
	return map[string]any{"symbols": symbols}
}

func (x *exchange) tickers(*http.Request) any {
	out := []map[string]any{}
	for _, native := range x.order {
		out = append(out, map[string]any{"symbol": native, "quoteVolume": fmt.Sprint(x.pairs[native].turnover)})
	}
	return out
}

func (x *exchange) depth(r *http.Request) any {
	p := x.pairs[r.URL.Query().Get("symbol")]
	return map[string]any{"lastUpdateId": p.update, "bids": p.side(p.bids, true), "asks": p.side(p.asks, false)}
}

func (x *exchange) recent(r *http.Request) any {
	all := x.pairs[r.URL.Query().Get("symbol")].trades
	return all[max(0, len(all)-1000):]
}

func (x *exchange) historical(r *http.Request) any {
	q := r.URL.Query()
	from, err := strconv.ParseInt(q.Get("fromId"), 10, 64)
	if err != nil {
		panic(err)
	}
	out := []past{}
	for _, t := range x.pairs[q.Get("symbol")].trades {
		if t.ID >= from && len(out) < 7 { // pages are small, so that there are several
			out = append(out, t)
		}
	}
	return out
}

// side lists a side, best first.
func (p *pair) side(levels map[int]int, descending bool) [][2]string {
	prices := make([]int, 0, len(levels))
	for price := range levels {
		prices = append(prices, price)
	}
	slices.Sort(prices)
	if descending {
		slices.Reverse(prices)
	}
	out := [][2]string{}
	for _, price := range prices {
		out = append(out, level(price, levels[price]))
	}
	return out
}

func level(price, amount int) [2]string {
	return [2]string{fmt.Sprintf("%d.%02d", price/100, price%100), fmt.Sprintf("%d.%03d", amount/1000, amount%1000)}
}

func (x *exchange) serveStream(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	deaf := x.deaf
	x.mu.Unlock()
	if deaf {
		http.Error(w, "closed for now", http.StatusServiceUnavailable)
		return
	}
	up := websocket.Upgrader{}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &client{ws: ws, streams: map[string]bool{}}
	x.mu.Lock()
	x.clients[c] = true
	x.made++
	x.mu.Unlock()
	x.poke()
	for {
		var m struct {
			Method string   `json:"method"`
			Params []string `json:"params"`
			ID     int64    `json:"id"`
		}
		if err := ws.ReadJSON(&m); err != nil {
			break
		}
		x.mu.Lock()
		for _, s := range m.Params {
			if m.Method == "SUBSCRIBE" {
				x.begins++
				c.streams[s] = true
			} else {
				delete(c.streams, s)
				x.ends++
			}
		}
		if !x.mute {
			x.write(c, fmt.Sprintf(`{"result":null,"id":%d}`, m.ID))
		}
		for _, s := range m.Params {
			if native, book := strings.CutSuffix(s, "@depth@100ms"); book && x.inBand && m.Method == "SUBSCRIBE" {
				p := x.pairs[strings.ToUpper(native)]
				x.write(c, inBandFrame(p, -1, p.side(p.bids, true), p.side(p.asks, false)))
			}
		}
		x.mu.Unlock()
		x.poke()
	}
	x.mu.Lock()
	delete(x.clients, c)
	x.mu.Unlock()
	ws.Close()
	x.poke()
}

// write needs the lock. A client that has gone notices by itself.
func (x *exchange) write(c *client, text string) {
	_ = c.ws.WriteMessage(websocket.TextMessage, []byte(text))
}

// send needs the lock.
func (x *exchange) send(stream, data string) {
	for c := range x.clients {
		if c.streams[stream] {
			x.write(c, `{"stream":"`+stream+`","data":`+data+`}`)
		}
	}
}

// trade makes one, and sends it unless missed.
func (x *exchange) trade(native string, missed bool) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pairs[native]
	t := past{ID: p.trades[len(p.trades)-1].ID + 1, Price: level(10_000+rand.IntN(9), 0)[0], Amount: level(0, 1+rand.IntN(5000))[1], Time: time.Now().UnixMilli()}
	p.trades = append(p.trades, t)
	if !missed {
		x.send(strings.ToLower(native)+"@trade", fmt.Sprintf(`{"e":"trade","E":%d,"s":%q,"t":%d,"p":%q,"q":%q,"T":%d,"m":false,"M":true}`,
			t.Time, native, t.ID, t.Price, t.Amount, t.Time))
	}
	return t.ID
}

// change makes a change of the book, and sends it unless missed.
func (x *exchange) change(native string, missed bool) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pairs[native]
	first := p.update + 1
	p.update += 1 + rand.Int64N(3)
	bids, asks := [][2]string{}, [][2]string{}
	for range 1 + rand.IntN(3) {
		price, amount := 9990-rand.IntN(40), rand.IntN(3)*rand.IntN(5000)
		set(p.bids, price, amount)
		bids = append(bids, level(price, amount))
		price, amount = 10_010+rand.IntN(40), rand.IntN(3)*rand.IntN(5000)
		set(p.asks, price, amount)
		asks = append(asks, level(price, amount))
	}
	if x.inBand {
		for c := range x.clients {
			if !missed && c.streams[strings.ToLower(native)+"@depth@100ms"] {
				x.write(c, inBandFrame(p, first-1, bids, asks))
			}
		}
		return p.update
	}
	if !missed {
		x.send(strings.ToLower(native)+"@depth@100ms", fmt.Sprintf(`{"e":"depthUpdate","E":%d,"s":%q,"U":%d,"u":%d,"b":%s,"a":%s}`,
			time.Now().UnixMilli(), native, first, p.update, text(bids), text(asks)))
	}
	return p.update
}

// quote sends a best bid and ask.
func (x *exchange) quote(native string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pairs[native]
	p.quotes++
	x.send(strings.ToLower(native)+"@bookTicker", fmt.Sprintf(`{"u":%d,"s":%q,"b":"99.90","B":"1.000","a":"100.10","A":"1.000"}`, p.quotes, native))
}

func set(side map[int]int, price, amount int) {
	if amount == 0 {
		delete(side, price)
		return
	}
	side[price] = amount
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// truth is the book with its sequence number.
func (x *exchange) truth(native string) (update int64, bids, asks [][2]string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pairs[native]
	return p.update, p.side(p.bids, true), p.side(p.asks, false)
}

// kick ends every connection.
func (x *exchange) kick() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.clients {
		c.ws.Close()
	}
}

func (x *exchange) set(change func(*exchange)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change(x)
}

func (x *exchange) connections() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.made
}

func (x *exchange) begun() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.begins
}

func (x *exchange) clientCount() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.clients)
}

// subscribed reports whether some client has all of these streams.
func (x *exchange) subscribed(streams ...string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.clients {
		if !slices.ContainsFunc(streams, func(s string) bool { return !c.streams[s] }) {
			return true
		}
	}
	return false
}
