package deribit_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

func TestSimulated(t *testing.T) { connectorstest.Simulated(t, subject) }

// messageOf tells messages apart: "answer", "ticker", "book change".
func messageOf(frame []byte) string {
	f := readFrame(frame)
	name, _, _ := strings.Cut(f.Params.Channel, ".")
	if name == "" {
		return "answer"
	}
	return strings.TrimSpace(name + " " + f.Params.Data.Type)
}

// TestSimulationLooksReal compares what the simulation says of options with what
// the exchange said: the same keys, with values of the same types.
func TestSimulationLooksReal(t *testing.T) {
	real, listed := connectorstest.Shapes{}, connectorstest.Shapes{}
	for _, rec := range connectorstest.Traffic(t, connectorstest.Path(t, "deribit/part1")) {
		switch {
		case rec.Dir == connectors.CaptureIn:
			real.Add(t, messageOf(rec.Body), rec.Body)
		case rec.Dir == connectors.CaptureHTTP && strings.Contains(rec.URL, "=BTC"):
			listed.Add(t, "instruments", options(t, rec.Body))
		}
	}
	made, list := connectorstest.Shapes{}, connectorstest.Shapes{}
	cfg := subject.Exchange.DefaultConfig().Markets[market.Option.String()]
	_, cfg = connectorstest.Simulate(t, subject, market.Option, cfg, simulator.Options{Seed: 3, Rate: 100})
	offered := options(t, get(t, cfg.RESTURL+"/api/v2/public/get_instruments?currency=any&kind=option"))
	list.Add(t, "instruments", offered)
	for _, frame := range converse(t, cfg.WSURL+"/ws/api/v2", offered) {
		made.Add(t, messageOf(frame), frame)
	}
	// What the exchange has added since.
	since := []string{"ticker.params.data.stats.volume_usd"}
	connectorstest.CompareShapes(t, real, made, since)
	connectorstest.CompareShapes(t, listed, list, []string{
		"instruments[0].counter_currency", "instruments[0].settlement_currency", "instruments[0].price_index", "instruments[0].instrument_type",
	})
}

// options are the options of a list of instruments.
func options(t *testing.T, body []byte) []byte {
	t.Helper()
	var list struct {
		Result []map[string]json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	only := slices.DeleteFunc(list.Result, func(i map[string]json.RawMessage) bool { return string(i["kind"]) != `"option"` })
	if len(only) < 4 {
		t.Fatalf("%d options", len(only))
	}
	text, err := json.Marshal(only)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return body
}

// converse asks for books and tickers of the instruments of a list and returns what
// is said, until every kind of message has come often enough to show all that can
// be in it.
func converse(t *testing.T, url string, list []byte) [][]byte {
	t.Helper()
	var offered []struct {
		Name string `json:"instrument_name"`
	}
	if err := json.Unmarshal(list, &offered); err != nil {
		t.Fatal(err)
	}
	var channels []string
	for _, i := range offered {
		channels = append(channels, "book."+i.Name+".100ms", "ticker."+i.Name+".100ms")
	}
	ask, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 7, "method": "public/subscribe", "params": map[string]any{"channels": channels},
	})
	if err != nil {
		t.Fatal(err)
	}
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	defer ws.Close()
	if err := ws.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteMessage(websocket.TextMessage, ask); err != nil {
		t.Fatal(err)
	}
	said := map[string]int{}
	var frames [][]byte
	for said["answer"] < 1 || said["book snapshot"] < 2 || said["book change"] < 20 || said["ticker"] < 4 {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%v after %v", err, said)
		}
		frames = append(frames, frame)
		said[messageOf(frame)]++
	}
	return frames
}
