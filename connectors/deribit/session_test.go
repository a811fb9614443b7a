package deribit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// patience bounds every wait for a signal; no test needs a fraction of it.
const patience = 20 * time.Second

// said is a frame of the client.
type said struct {
	ID     int64  `json:"id"`
	Method string `json:"method"`
	Params struct {
		Interval int      `json:"interval"`
		Channels []string `json:"channels"`
	} `json:"params"`
}

// counterpart is the exchange, played by a test.
type counterpart struct {
	t    *testing.T
	ws   *websocket.Conn
	url  string
	came chan *websocket.Conn
}

func newCounterpart(t *testing.T) *counterpart {
	c := &counterpart{t: t, came: make(chan *websocket.Conn, 4)}
	up := websocket.Upgrader{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws/api/v2" {
			t.Errorf("dialled %s", r.URL)
		}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		c.came <- ws
	}))
	t.Cleanup(s.Close)
	c.url = "ws" + strings.TrimPrefix(s.URL, "http")
	return c
}

func (c *counterpart) accept() {
	c.t.Helper()
	select {
	case c.ws = <-c.came:
	case <-time.After(patience):
		c.t.Fatal("nobody came")
	}
	if err := c.ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *counterpart) hear() (s said) {
	c.t.Helper()
	if err := c.ws.ReadJSON(&s); err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *counterpart) say(frame string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *counterpart) grant(id int64, channels []string) {
	c.t.Helper()
	list, err := json.Marshal(channels)
	if err != nil {
		c.t.Fatal(err)
	}
	c.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, id, list))
}

// listener keeps what a session reports.
type listener struct {
	events  chan connectors.Event
	records chan market.Kind
}

func (l *listener) Deliver(d *connectors.Delivery) bool {
	l.records <- d.Batch.At(0).Kind()
	d.Release()
	return true
}

func (l *listener) Report(e connectors.Event) { l.events <- e }

func (l *listener) until(t *testing.T, what string, is func(connectors.Event) bool) connectors.Event {
	t.Helper()
	for {
		select {
		case e := <-l.events:
			if is(e) {
				return e
			}
		case <-time.After(patience):
			t.Fatalf("no %s", what)
		}
	}
}

// TestConversation: the heartbeat is asked for first and kept up, a channel that
// the answer does not list is given up alone, and a book that is asked for anew is
// ended first.
func TestConversation(t *testing.T) {
	c := newCounterpart(t)
	cfg := subject.Exchange.DefaultConfig().Markets["perpetual"]
	cfg.WSURL = c.url
	v, err := subject.Exchange.Venue(market.Perpetual, cfg)
	if err != nil {
		t.Fatal(err)
	}
	table := v.Builtin()
	btc, err := table.Resolve("BTC-USD")
	if err != nil {
		t.Fatal(err)
	}
	var subs []connectors.Subscription
	for _, name := range []string{"trade", "book", "quote"} {
		subs = append(subs, connectors.Subscription{Channel: v.ChannelIndex(name), Instrument: btc})
	}
	l := &listener{events: make(chan connectors.Event, 64), records: make(chan market.Kind, 64)}
	s, err := connectors.NewSession(connectors.SessionOptions{
		Venue: v, Connection: v.Wire.Plan(subs)[0], Instruments: table, Reconnect: cfg.Reconnect, Sink: l,
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	defer func() {
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	c.accept()
	if got := c.hear(); got.Method != "public/set_heartbeat" || got.ID != 0 || got.Params.Interval < 10 {
		t.Fatalf("the first words were %+v", got)
	}
	c.say(`{"jsonrpc":"2.0","id":0,"result":"ok"}`)
	const trade, book, quote = "trades.BTC-PERPETUAL.100ms", "book.BTC-PERPETUAL.100ms", "quote.BTC-PERPETUAL"
	ask := c.hear()
	if ask.Method != "public/subscribe" || !slices.Equal(ask.Params.Channels, []string{trade, book, quote}) {
		t.Fatalf("asked for %+v", ask)
	}
	c.grant(ask.ID, []string{book, trade})
	refused := l.until(t, "refusal", func(e connectors.Event) bool { return e.Kind == connectors.SubscriptionRefused })
	var no *connectors.RefusedError
	if len(refused.Subs) != 1 || refused.Subs[0] != subs[2] || !errors.As(refused.Cause, &no) {
		t.Errorf("refused %+v", refused)
	}
	l.until(t, "life", func(e connectors.Event) bool { return e.Kind == connectors.StateChanged && e.State == connectors.Live })

	c.say(`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}`)
	if got := c.hear(); got.Method != "public/test" {
		t.Errorf("a test request was answered with %+v", got)
	}
	c.say(`{"jsonrpc":"2.0","id":0,"result":{"version":"1.2.26"}}`)
	c.say(`{"jsonrpc":"2.0","method":"subscription","params":{"channel":"` + book + `","data":{"type":"snapshot","timestamp":1795000000050,"change_id":7,"bids":[],"asks":[]}}}`)
	select {
	case k := <-l.records:
		if k != market.KindBookDelta {
			t.Errorf("a record of %s", k)
		}
	case <-time.After(patience):
		t.Fatal("no record")
	}

	s.Resubscribe(subs[1])
	if got := c.hear(); got.Method != "public/unsubscribe" || !slices.Equal(got.Params.Channels, []string{book}) {
		t.Fatalf("a book asked for anew: %+v", got)
	} else {
		c.grant(got.ID, []string{book})
	}
	if got := c.hear(); got.Method != "public/subscribe" || !slices.Equal(got.Params.Channels, []string{book}) {
		t.Fatalf("a book asked for anew: %+v", got)
	} else {
		c.grant(got.ID, []string{book})
	}
}

// roundTrip is an HTTP server without sockets.
type roundTrip func(*http.Request) (status int, body string)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := f(r)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// TestTooManyRequests: the exchange's refusal is known by its words, and nothing
// is asked for a while.
func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := subject.Venue(t, market.Perpetual)
		answers := []struct {
			status int
			body   string
		}{
			{400, `{"jsonrpc":"2.0","error":{"message":"too_many_requests","code":10028},"testnet":false}`},
			{400, `{"jsonrpc":"2.0","error":{"message":"Invalid params","code":-32602}}`},
			{200, `{"jsonrpc":"2.0","result":{"trades":[],"has_more":false}}`},
		}
		n := 0
		client := connectors.NewClient(connectors.ClientOptions{Venue: v, HTTP: &http.Client{
			Transport: roundTrip(func(*http.Request) (int, string) { n++; return answers[n-1].status, answers[n-1].body }),
		}})
		req, err := v.REST.Request(connectors.Need{Kind: connectors.NeedRecentTrades, Instrument: v.Builtin().All()[0]})
		if err != nil {
			t.Fatal(err)
		}
		var batch market.Batch
		var status *connectors.StatusError
		if err := client.Fetch(t.Context(), req, &batch); !errors.As(err, &status) || !status.Throttled() {
			t.Errorf("too many requests: %v", err)
		}
		begin := time.Now()
		if err := client.Fetch(t.Context(), req, &batch); !errors.As(err, &status) || status.Throttled() || status.Temporary() {
			t.Errorf("invalid params: %v", err)
		}
		if waited := time.Since(begin); waited < 10*time.Second {
			t.Errorf("asked again after %v", waited)
		}
		if err := client.Fetch(t.Context(), req, &batch); err != nil {
			t.Error(err)
		}
	})
}
