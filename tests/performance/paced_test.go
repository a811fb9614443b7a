package performance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/tests/harness"
)

// paced is an exchange that sends trades at an even rate, in Binance's form, to
// whoever subscribes. It knows no REST call, so that the built-in instruments
// serve. What is due goes out once a millisecond in one write, so that the
// exchange takes little of the machine that it shares with what is measured.
type paced struct {
	*httptest.Server
	rate, total int // trades a second; trades in all

	// begin is closed when somebody listens.
	begin chan struct{}
	// sent is when the trade of a number was written, Unix ns; due the millisecond
	// in which it should have been.
	sent []atomic.Int64
	due  []int64
}

func newPaced(b testing.TB, rate, total int) *paced {
	p := &paced{rate: rate, total: total, begin: make(chan struct{}), sent: make([]atomic.Int64, total+1), due: make([]int64, total+1)}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	b.Cleanup(p.Close)
	return p
}

func (p *paced) address() string { return strings.Replace(p.URL, "http", "ws", 1) }

func (p *paced) settings() harness.Settings {
	at := "exchanges.binance.markets."
	return harness.Settings{
		"market-data-collector.exchanges": []string{"binance"},
		at + "spot.enabled":               false,
		at + "future.enabled":             false,
		at + "perpetual.enabled":          true,
		at + "perpetual.ws_url":           p.address(),
		at + "perpetual.rest_url":         p.URL,
		at + "perpetual.symbols":          []string{"BTC-USDT"},
		at + "perpetual.data_types":       []string{"trade"},
	}
}

func (p *paced) serve(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		http.NotFound(w, r)
		return
	}
	up := websocket.Upgrader{}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // the client has been told
	}
	defer ws.Close()
	_, body, err := ws.ReadMessage()
	if err != nil {
		return
	}
	var ask struct{ ID int64 }
	if json.Unmarshal(body, &ask) != nil || ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"result":null,"id":%d}`, ask.ID)) != nil {
		return
	}
	select {
	case <-p.begin:
	case <-r.Context().Done():
		return
	}
	p.send(ws)
	// Pings and the closing of the client come to the reader.
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
}

func (p *paced) send(ws *websocket.Conn) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var frames, body []byte
	begin, sent := time.Now(), 0
	for sent < p.total {
		<-tick.C
		now := time.Now()
		frames = frames[:0]
		for due := min(p.total, int(now.Sub(begin)*time.Duration(p.rate)/time.Second)); sent < due; {
			sent++
			body = appendTrade(body[:0], now.UnixMilli(), sent)
			frames = appendFrame(frames, body)
			at := time.Duration(sent) * time.Second / time.Duration(p.rate)
			p.due[sent] = begin.Add((at + time.Millisecond - 1).Truncate(time.Millisecond)).UnixNano()
			p.sent[sent].Store(now.UnixNano())
		}
		if _, err := ws.NetConn().Write(frames); err != nil {
			return
		}
	}
}

func appendTrade(b []byte, ms int64, number int) []byte {
	b = append(b, `{"stream":"btcusdt@trade","data":{"e":"trade","E":`...)
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, `,"T":`...)
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, `,"s":"BTCUSDT","t":`...)
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, `,"p":"61800.`...)
	b = strconv.AppendInt(b, int64(10+number%90), 10)
	b = append(b, `","q":"0.`...)
	b = strconv.AppendInt(b, int64(100+number%900), 10)
	b = append(b, `","X":"MARKET","m":`...)
	b = strconv.AppendBool(b, number%2 == 0)
	return append(b, "}}"...)
}

// appendFrame adds a text frame of a server: RFC 6455, section 5.2, not masked.
func appendFrame(b, body []byte) []byte {
	b = append(b, 0x81)
	if len(body) < 126 {
		b = append(b, byte(len(body)))
	} else {
		b = append(b, 126, byte(len(body)>>8), byte(len(body)))
	}
	return append(b, body...)
}
