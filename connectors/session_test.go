package connectors_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
)

func TestSessionSubscribesAndDelivers(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	session, ended := set.run(t)
	c := receive(t, "a connection", srv.conns)
	if got, want := receive(t, "a demand", c.got), `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
	set.sink.state(t, connectors.Live)

	before := time.Now().UnixNano()
	c.trade(t, 1)
	c.say(t, `not JSON`)
	c.say(t, `{"stream":"btcusdt@nosuch","data":{"e":"nosuch"}}`)
	c.trade(t, 2)
	for id := int64(1); id <= 2; id++ {
		tr := receive(t, "a trade", set.sink.trades)
		if tr.Seq.V != id || tr.Conn != 1 || tr.ReceiveTime < before || tr.ReceiveTime > time.Now().UnixNano() {
			t.Errorf("trade %d: %+v", id, tr.Header)
		}
	}
	var bad *connectors.FrameError
	if e := set.sink.event(t, connectors.Malformed); !errors.As(e.Cause, &bad) || e.Conn != 1 {
		t.Errorf("malformed frame: %+v", e)
	}

	if err := c.WriteControl(websocket.PingMessage, []byte("1790000000"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "a pong", c.pong); got != "1790000000" {
		t.Errorf("pong %q", got)
	}

	session.Subscribe(set.sub(t, "trade", "BTC-USDT"), set.sub(t, "depth", "ETH-USDT"))
	if got, want := receive(t, "a demand", c.got), `{"method":"SUBSCRIBE","params":["ethusdt@depth@100ms"],"id":2}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
	session.Unsubscribe(set.sub(t, "trade", "BTC-USDT"))
	if got, want := receive(t, "a demand", c.got), `{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":3}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
	if got := session.Subscriptions(); len(got) != 1 || got[0] != set.sub(t, "depth", "ETH-USDT") {
		t.Errorf("subscriptions %v", got)
	}

	session.Stop()
	session.Stop()
	if err := receive(t, "the end", ended); err != nil {
		t.Errorf("Run = %v", err)
	}
	if e := set.sink.event(t, connectors.Disconnected); e.Cause != nil || e.Replaced {
		t.Errorf("disconnected %+v", e)
	}
	set.sink.state(t, connectors.Stopped)
	var closed *websocket.CloseError
	if err := receive(t, "a goodbye", c.gone); !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
		t.Errorf("the client left with %v", err)
	}
	st := session.Stats()
	if st.State != connectors.Stopped || st.Connects != 1 || st.Lost != 0 || st.Records != 2 || st.Malformed != 1 ||
		st.Notes[connectors.Ack] < 1 || st.Notes[connectors.UnknownChannel] != 1 || st.Pongs != 1 || st.LastFrame.IsZero() {
		t.Errorf("stats %+v", st)
	}
	if err := session.Run(t.Context()); !errors.Is(err, connectors.ErrSessionOver) {
		t.Errorf("a second Run = %v", err)
	}
}

func TestSessionSinkRefuses(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	set.sink.refuse.Store(true)
	c.trade(t, 1)
	c.say(t, "end of the refused")
	set.sink.event(t, connectors.Malformed)
	if st := session.Stats(); st.Refused != 1 || st.Records != 1 {
		t.Errorf("stats %+v", st)
	}
	set.sink.refuse.Store(false)
	c.trade(t, 2)
	if tr := receive(t, "a trade", set.sink.trades); tr.Seq.V != 2 {
		t.Errorf("trade %+v", tr)
	}
}

func TestSessionPanicIsReturned(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.sink.panics.Store(true)
	_, ended := set.run(t)
	c := receive(t, "a connection", srv.conns)
	c.trade(t, 1)
	var p *connectors.PanicError
	if err := receive(t, "the end", ended); !errors.As(err, &p) || p.Value != "the sink is broken" || !bytes.Contains(p.Stack, []byte("Deliver")) {
		t.Fatalf("Run = %v", err)
	}
	receive(t, "the connection's end", c.gone)
	set.sink.state(t, connectors.Stopped)
}

func TestSessionStopAtAnyTime(t *testing.T) {
	srv := newServer(t, true)
	for i := range 40 {
		set := newSetup(t, srv)
		set.Venue.Wire = rules{set.Venue.Wire, set.rules}
		session, err := connectors.NewSession(set.SessionOptions)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		ended := make(chan error, 1)
		go func() { ended <- session.Run(ctx) }()
		if i%2 == 0 {
			<-ctx.Done()
		} else {
			go session.Stop()
			session.Stop()
		}
		if err := receive(t, "the end", ended); err != nil && !errors.Is(err, connectors.ErrSessionOver) {
			t.Fatalf("run %d: %v", i, err)
		}
		session.Stop()
		cancel()
		connected := 0
		for len(set.sink.events) > 0 {
			switch e := <-set.sink.events; e.Kind {
			case connectors.Connected:
				connected++
			case connectors.Disconnected:
				connected--
			}
		}
		if connected != 0 {
			t.Fatalf("run %d: %d connections without an end", i, connected)
		}
	}
}
