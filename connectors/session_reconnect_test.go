package connectors_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
)

func TestSessionCutInTheMiddleOfAFrame(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.trade(t, 1)
	receive(t, "a trade", set.sink.trades)
	// A text frame of 100 bytes of which three are sent.
	if _, err := c.NetConn().Write([]byte{0x81, 100, '{', '"', 'e'}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if e := set.sink.event(t, connectors.Disconnected); e.Conn != 1 || e.Cause == nil {
		t.Errorf("disconnected %+v", e)
	}
	if e := set.sink.state(t, connectors.Backoff); e.Wait != time.Millisecond {
		t.Errorf("waits %v", e.Wait)
	}
	c = receive(t, "another connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.trade(t, 9)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 2 || tr.Seq.V != 9 {
		t.Errorf("trade %+v", tr.Header)
	}
}

func TestSessionCleanCloseWaits(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.Reconnect.InitialWait, set.Reconnect.MaxWait = 50*time.Millisecond, 80*time.Millisecond
	set.run(t)
	for i, want := range []time.Duration{50 * time.Millisecond, 80 * time.Millisecond, 80 * time.Millisecond} {
		c := receive(t, "a connection", srv.conns)
		set.sink.state(t, connectors.Live)
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "see you")
		left := time.Now()
		if err := c.WriteControl(websocket.CloseMessage, bye, left.Add(patience)); err != nil {
			t.Fatal(err)
		}
		var closed *websocket.CloseError
		if e := set.sink.event(t, connectors.Disconnected); !errors.As(e.Cause, &closed) || closed.Text != "see you" {
			t.Errorf("cause %v", e.Cause)
		}
		if e := set.sink.state(t, connectors.Backoff); e.Wait != want {
			t.Errorf("close %d: waits %v, want %v", i, e.Wait, want)
		}
		set.sink.event(t, connectors.Connected)
		if d := time.Since(left); d < want {
			t.Errorf("close %d: back after %v", i, d)
		}
	}
}

func TestSessionHonoursRetryAfter(t *testing.T) {
	srv := newServer(t, true)
	srv.refuse.Store(&http.Header{"Retry-After": {"1"}})
	set := newSetup(t, srv)
	session, _ := set.run(t)
	e := set.sink.state(t, connectors.Backoff)
	var h *connectors.HandshakeError
	if !errors.As(e.Cause, &h) || h.Status != http.StatusTooManyRequests || h.RetryAfter != time.Second {
		t.Errorf("cause %#v", e.Cause)
	}
	if e.Wait != time.Second+time.Millisecond {
		t.Errorf("waits %v, want what the exchange asks for and the jitter", e.Wait)
	}
	refused := time.Now()
	srv.refuse.Store(nil)
	receive(t, "a connection", srv.conns)
	if d := time.Since(refused); d < 900*time.Millisecond {
		t.Errorf("back after %v", d)
	}
	if st := session.Stats(); st.Failed != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestSessionThrottledWithoutRetryAfter(t *testing.T) {
	srv := newServer(t, true)
	srv.refuse.Store(&http.Header{})
	set := newSetup(t, srv)
	session, _ := set.run(t)
	if e := set.sink.state(t, connectors.Backoff); e.Wait < time.Minute {
		t.Errorf("waits %v after a 429", e.Wait)
	}
	stopped := make(chan struct{})
	go func() { session.Stop(); close(stopped) }()
	receive(t, "Stop during a wait", stopped)
}
