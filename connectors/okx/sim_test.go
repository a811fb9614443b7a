package okx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

func TestSimulated(t *testing.T) { connectorstest.Simulated(t, subject) }

// client is a plain client of a simulated market.
type client struct {
	t     *testing.T
	ws    *websocket.Conn
	venue *connectors.Venue
	table *market.Instruments
}

func dial(t *testing.T, m market.Market, o simulator.Options) *client {
	t.Helper()
	_, cfg := connectorstest.Simulate(t, subject, m, subject.Exchange.DefaultConfig().Markets[m.String()], o)
	v, err := subject.Exchange.Venue(m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	known, err := connectors.NewClient(connectors.ClientOptions{Venue: v}).Instruments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), cfg.WSURL+"/ws/v5/public", http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { ws.Close() })
	if err := ws.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, ws: ws, venue: v, table: market.NewInstruments(known)}
}

func (c *client) say(op string, channel string, i *market.Instrument) {
	c.t.Helper()
	text := fmt.Sprintf(`{"op":%q,"args":[{"channel":%q,"instId":%q}]}`, op, channel, i.Native)
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hear() []byte {
	c.t.Helper()
	_, frame, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	return frame
}

// follow runs books through the streams until so many checksums were taken,
// subscribing anew when a stream asks for it.
func (c *client) follow(checksums int64) stream.ChannelStats {
	c.t.Helper()
	f := feed.New(c.venue, c.table, feed.Options{})
	for _, i := range c.table.All() {
		c.say("subscribe", "books", i)
	}
	var out stream.Output
	for at := int64(1); ; at++ {
		out.Reset()
		received, note, err := f.Frame(c.hear(), connectors.Receipt{Time: at, Conn: 1}, &out)
		if err != nil || note.Reason == connectors.Refused {
			c.t.Fatalf("%+v, %v", note, err)
		}
		for _, r := range out.Requests {
			if r.Kind == stream.RequestResubscribe {
				i := received.At(0).Head().Instrument
				c.say("unsubscribe", "books", i)
				c.say("subscribe", "books", i)
			}
		}
		if st, _ := books([]*feed.Feed{f}); st.ChecksumOK >= checksums {
			return st
		}
	}
}

// TestLegacySimulation: books without ids follow by their checksums, in base and in
// contracts, linear and inverse.
func TestLegacySimulation(t *testing.T) {
	o := simulator.Options{Seed: 5, Rate: 100, Symbols: 16, Profiles: map[string]string{"okx": "legacy"}}
	for _, m := range []market.Market{market.Spot, market.Perpetual, market.Future, market.Option} {
		t.Run(m.String(), func(t *testing.T) {
			st := dial(t, m, o).follow(200)
			if st.ChecksumWrong+st.Gaps+st.Suspect != 0 {
				t.Errorf("findings in a market without faults: %+v", st)
			}
		})
	}
	t.Run("faults", func(t *testing.T) {
		o.Faults[simulator.BadChecksum], o.Faults[simulator.Drop] = 0.02, 0.02
		st := dial(t, market.Perpetual, o).follow(300)
		if st.ChecksumWrong == 0 || st.Gaps < st.ChecksumWrong || st.Gaps > st.ChecksumWrong+st.Crossed || st.Suspect != st.Gaps {
			t.Errorf("%+v", st)
		}
	})
}

// messageOf tells messages apart: "answer", "tickers", "books update".
func messageOf(t *testing.T, frame []byte) string {
	t.Helper()
	var f struct {
		Event, Action string
		Arg           struct{ Channel string }
	}
	if err := json.Unmarshal(frame, &f); err != nil {
		t.Fatal(err)
	}
	if f.Event != "" {
		return "answer"
	}
	return strings.TrimSpace(f.Arg.Channel + " " + f.Action)
}

// TestSimulationLooksReal compares what the legacy simulation says with what the
// exchange said then: the same keys, with values of the same types.
func TestSimulationLooksReal(t *testing.T) {
	real, listed := connectorstest.Shapes{}, connectorstest.Shapes{}
	for _, rec := range connectorstest.Traffic(t, connectorstest.Path(t, "okx/part1")) {
		switch {
		case rec.Dir == connectors.CaptureIn:
			real.Add(t, messageOf(t, rec.Body), rec.Body)
		case rec.Dir == connectors.CaptureHTTP && strings.Contains(rec.URL, "=SWAP"):
			listed.Add(t, "instruments", rec.Body)
		}
	}
	o := simulator.Options{Seed: 3, Rate: 100, Symbols: 40, Profiles: map[string]string{"okx": "legacy"}}
	c := dial(t, market.Perpetual, o)
	made, said := connectorstest.Shapes{}, map[string]int{}
	for _, i := range c.table.All()[:2] {
		for _, channel := range []string{"books", "trades", "tickers"} {
			c.say("subscribe", channel, i)
		}
	}
	for said["answer"] < 6 || said["books snapshot"] < 2 || said["books update"] < 20 || said["trades"] < 20 || said["tickers"] < 4 {
		frame := c.hear()
		kind := messageOf(t, frame)
		said[kind]++
		made.Add(t, kind, frame)
	}
	connectorstest.CompareShapes(t, real, made, []string{"answer.connId"})
	resp, err := http.Get(instrumentsURL(t, c.venue)) //nolint:noctx // loopback, at once
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	list := connectorstest.Shapes{}
	list.Add(t, "instruments", body.Bytes())
	connectorstest.CompareShapes(t, listed, list, []string{"instruments.msg", "instruments.data[0].instFamily"})
}

func instrumentsURL(t *testing.T, v *connectors.Venue) string {
	t.Helper()
	req, err := v.REST.Request(connectors.Need{Kind: connectors.NeedInstruments})
	if err != nil {
		t.Fatal(err)
	}
	return req.URL
}
