package connectors_test

import (
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// quiet fails the test when the client says something before it has answered a
// ping: whatever it meant to say by then, it has said.
func quiet(t *testing.T, c *serverConn) {
	t.Helper()
	c.mu.Lock()
	err := c.WriteControl(9, []byte("quiet"), time.Now().Add(patience))
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "a pong", c.pong)
	select {
	case got := <-c.got:
		t.Errorf("the client says %s", got)
	default:
	}
}

func expect(t *testing.T, c *serverConn, want string) {
	t.Helper()
	if got := receive(t, want, c.got); got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
}

func TestSessionGreets(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	set.rules.Greeting = [][]byte{[]byte(`{"hello":1}`), []byte(`{"hello":2}`)}
	set.run(t)
	for range 2 { // on every connection
		c := receive(t, "a connection", srv.conns)
		expect(t, c, `{"hello":1}`)
		expect(t, c, `{"hello":2}`)
		if got := receive(t, "a demand", c.got); !strings.Contains(got, "btcusdt@trade") {
			t.Errorf("then %s", got)
		}
		c.Close()
	}
}

func TestSessionResubscribes(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	book, trades := set.sub(t, "depth", "BTC-USDT"), set.sub(t, "trade", "BTC-USDT")
	set.Connection.Subs = []connectors.Subscription{book, trades}
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	expect(t, c, `{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@trade"],"id":1}`)
	session.Resubscribe(book) // it is to begin anyway
	quiet(t, c)
	c.say(t, `{"result":null,"id":1}`)
	set.sink.state(t, connectors.Live)

	session.Resubscribe(book, trades)
	expect(t, c, `{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@trade"],"id":2}`)
	session.Resubscribe(book, set.sub(t, "depth", "ETH-USDT"))
	quiet(t, c) // it is under way; the other is not subscribed
	session.Unsubscribe(trades)
	quiet(t, c)
	c.say(t, `{"result":null,"id":2}`)
	expect(t, c, `{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":3}`)
	session.Resubscribe(book)
	quiet(t, c)
	c.say(t, `{"result":null,"id":3}`)
	if session.State() != connectors.Live {
		t.Errorf("the session is %s", session.State())
	}

	// An end that the exchange refuses is one.
	again(t, session, c, `{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":4}`, book)
	c.say(t, `{"error":{"code":2,"msg":"no"},"id":4}`)
	expect(t, c, `{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":5}`)
}

// again asks for a new subscription until the session has heard that it has the
// old one.
func again(t *testing.T, session *connectors.Session, c *serverConn, want string, subs ...connectors.Subscription) {
	t.Helper()
	deadline := time.After(patience)
	for {
		session.Resubscribe(subs...)
		select {
		case got := <-c.got:
			if got != want {
				t.Errorf("demand %s, want %s", got, want)
			}
			return
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain for %s", want)
		}
	}
}

func TestSessionResubscribeUnacknowledged(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	set.Reconnect.AckTimeout = 30 * time.Millisecond
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	receive(t, "a demand", c.got)
	c.say(t, `{"result":null,"id":1}`)
	set.sink.state(t, connectors.Live)
	session.Resubscribe(set.Connection.Subs...)
	expect(t, c, `{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":2}`)
	expect(t, c, `{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":3}`)
	next := receive(t, "another connection", srv.conns)
	if got := receive(t, "a demand", next.got); !strings.Contains(got, `"SUBSCRIBE"`) {
		t.Errorf("demand %s", got)
	}
}

// oneForAll is a wire on which all instruments share one topic of a channel.
type oneForAll struct{ connectors.Wire }

func (oneForAll) Topic(s connectors.Subscription) string { return string(rune('a' + s.Channel)) }

func TestSessionSharedTopics(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	btc, eth := set.sub(t, "trade", "BTC-USDT"), set.sub(t, "trade", "ETH-USDT")
	set.Connection.Subs = []connectors.Subscription{btc, eth}
	set.wrap = func(w connectors.Wire) connectors.Wire { return oneForAll{w} }
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	expect(t, c, `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`)
	c.say(t, `{"result":null,"id":1}`)
	set.sink.state(t, connectors.Live)
	session.Resubscribe(eth, btc)
	expect(t, c, `{"method":"UNSUBSCRIBE","params":["ethusdt@trade"],"id":2}`)
	session.Unsubscribe(eth)
	quiet(t, c) // another keeps the topic
	c.say(t, `{"result":null,"id":2}`)
	expect(t, c, `{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":3}`)
	c.say(t, `{"result":null,"id":3}`)
	session.Subscribe(eth)
	quiet(t, c)
	session.Unsubscribe(btc)
	quiet(t, c)
	session.Unsubscribe(eth)
	expect(t, c, `{"method":"UNSUBSCRIBE","params":["ethusdt@trade"],"id":4}`)
	session.Subscribe(btc, eth)
	expect(t, c, `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":5}`)
	c.say(t, `{"error":{"code":2,"msg":"no"},"id":5}`)
	if e := set.sink.event(t, connectors.SubscriptionRefused); len(e.Subs) != 2 {
		t.Errorf("refused %v, want both", e.Subs)
	}
}

func TestSessionDemandsWait(t *testing.T) {
	const window = 400 * time.Millisecond
	srv := newServer(t, false)
	set := newSetup(t, srv)
	set.Venue.Limits.Demands = connectors.Rate{N: 3, Per: window}
	set.Reconnect.AckTimeout = 100 * time.Millisecond // how often it looks
	var subs []connectors.Subscription
	for _, symbol := range []string{"BTC-USDT", "ETH-USDT", "BNB-USDT"} {
		subs = append(subs, set.sub(t, "trade", symbol))
	}
	set.Connection.Subs = subs
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	began := time.Now()
	expect(t, c, `{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@trade","bnbusdt@trade"],"id":1}`)
	c.say(t, `{"result":null,"id":1}`)
	set.sink.state(t, connectors.Live)
	session.Resubscribe(subs[0])
	expect(t, c, `{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":2}`)
	c.say(t, `{"result":null,"id":2}`)
	expect(t, c, `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":3}`)
	c.say(t, `{"result":null,"id":3}`)
	session.Resubscribe(subs[1])
	quiet(t, c)
	session.Resubscribe(subs[2])
	expect(t, c, `{"method":"UNSUBSCRIBE","params":["ethusdt@trade","bnbusdt@trade"],"id":4}`)
	if d := time.Since(began); d < window-50*time.Millisecond {
		t.Errorf("four demands in %v, where three are allowed", d)
	}
}
