package performance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/tests/harness"
)

// paced is an exchange that sends trades at an even rate, in Binance's form, to
// whoever subscribes. It knows no REST call, so that the built-in instruments
// serve.
type paced struct {
	*httptest.Server
	// perMillisecond trades are sent each millisecond, total in all.
	perMillisecond, total int
	// begin is closed when somebody listens.
	begin chan struct{}
}

func newPaced(b *testing.B, perMillisecond, total int) *paced {
	p := &paced{perMillisecond: perMillisecond, total: total, begin: make(chan struct{})}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	b.Cleanup(p.Close)
	return p
}

func (p *paced) settings() harness.Settings {
	at := "exchanges.binance.markets."
	return harness.Settings{
		"market-data-collector.exchanges": []string{"binance"},
		at + "spot.enabled":               false,
		at + "future.enabled":             false,
		at + "perpetual.enabled":          true,
		at + "perpetual.ws_url":           strings.Replace(p.URL, "http", "ws", 1),
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
	for sent := 0; sent < p.total; {
		<-tick.C
		for range p.perMillisecond {
			sent++
			now := time.Now().UnixMilli()
			frame := fmt.Sprintf(`{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"T":%d,"s":"BTCUSDT","t":%d,"p":"61800.%02d","q":"0.%03d","X":"MARKET","m":%t}}`,
				now, now, sent, sent%100, 1+sent%999, sent%2 == 0)
			if ws.WriteMessage(websocket.TextMessage, []byte(frame)) != nil {
				return
			}
		}
	}
}
