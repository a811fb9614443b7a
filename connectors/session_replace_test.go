package connectors_test

import (
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// replaced follows a planned replacement from the moment that it has begun.
func replaced(t *testing.T, srv *server, set *setup, old *serverConn) {
	t.Helper()
	next := receive(t, "the replacement", srv.conns)
	receive(t, "its demand", next.got)
	if e := set.sink.event(t, connectors.Connected); e.Conn != 2 {
		t.Errorf("connected %+v", e)
	}
	old.trade(t, 10)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 1 || tr.Seq.V != 10 {
		t.Errorf("the old connection no longer delivers: %+v", tr.Header)
	}
	select {
	case err := <-old.gone:
		t.Fatalf("the old connection was closed before the new one delivered: %v", err)
	default:
	}
	next.trade(t, 11)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 2 || tr.Seq.V != 11 {
		t.Errorf("trade %+v", tr.Header)
	}
	receive(t, "the old connection's end", old.gone)
	e := set.sink.until(t, "disconnected", func(e connectors.Event) bool {
		if e.Kind == connectors.StateChanged {
			t.Errorf("state %s during a replacement", e.State)
		}
		return e.Kind == connectors.Disconnected
	})
	if e.Conn != 1 || !e.Replaced || e.Cause != nil {
		t.Errorf("disconnected %+v", e)
	}
}

func TestSessionShutdownNoticeReplaces(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.say(t, `{"e":"serverShutdown","E":1790000000500}`)
	replaced(t, srv, set, c)
	if st := session.Stats(); st.Replaced != 1 || st.Lost != 0 || st.Conn != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestSessionReplacesBeforeEndOfLife(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.rules.Lifetime = 400 * time.Millisecond
	set.Reconnect.ReplaceBefore = 200 * time.Millisecond
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	replaced(t, srv, set, c)
}

func TestSessionOldDiesWhileReplacementIsMade(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	set.sink.state(t, connectors.Live)
	c.say(t, `{"e":"serverShutdown","E":1790000000500}`)
	next := receive(t, "the replacement", srv.conns)
	set.sink.until(t, "connected", func(e connectors.Event) bool { return e.Kind == connectors.Connected && e.Conn == 2 })
	c.Close()
	if e := set.sink.event(t, connectors.Disconnected); e.Conn != 1 {
		t.Errorf("disconnected %+v", e)
	}
	next.trade(t, 5)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 2 {
		t.Errorf("trade %+v", tr.Header)
	}
	select {
	case <-srv.conns:
		t.Error("a third connection was made")
	default:
	}
}
