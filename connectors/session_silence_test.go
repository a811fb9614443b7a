package connectors_test

import (
	"errors"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

func TestSessionHalfOpen(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.Venue.Channels[set.channel("trade")].Silence = 40 * time.Millisecond
	session, _ := set.run(t)
	receive(t, "a connection", srv.conns)
	if e := set.sink.event(t, connectors.Silent); len(e.Subs) != 1 || e.Conn != 1 {
		t.Errorf("silent %+v", e)
	}
	var silence *connectors.SilenceError
	if e := set.sink.event(t, connectors.Disconnected); !errors.As(e.Cause, &silence) || silence.For < 40*time.Millisecond {
		t.Errorf("cause %v", e.Cause)
	}
	c := receive(t, "another connection", srv.conns)
	c.trade(t, 1)
	if tr := receive(t, "a trade", set.sink.trades); tr.Conn < 2 {
		t.Errorf("trade %+v", tr.Header)
	}
	if session.Stats().Silences == 0 {
		t.Error("the silence is not counted")
	}
}

func TestSessionOneChannelSilent(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.Venue.Channels[set.channel("trade")].Silence = 60 * time.Millisecond
	quiet := set.sub(t, "trade", "ETH-USDT")
	set.Connection.Subs = append(set.Connection.Subs, quiet)
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	receive(t, "the demand", c.got)
	stop := make(chan struct{})
	talking := make(chan struct{})
	go func() { // BTC-USDT goes on
		defer close(talking)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-set.sink.trades:
			case <-tick.C:
				frame := `{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"2","T":1790000000100,"m":false,"M":true}}`
				if c.write(frame) != nil {
					return
				}
			}
		}
	}()
	defer func() { close(stop); <-talking }()
	if e := set.sink.event(t, connectors.Silent); len(e.Subs) != 1 || e.Subs[0] != quiet {
		t.Errorf("silent %+v", e)
	}
	if got, want := receive(t, "a reminder", c.got), `{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":2}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
}

func TestSessionDeadAfterThreePings(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.rules.ServerPingEvery = 20 * time.Millisecond
	set.run(t)
	receive(t, "a connection", srv.conns)
	var silence *connectors.SilenceError
	if e := set.sink.event(t, connectors.Disconnected); !errors.As(e.Cause, &silence) || silence.For < 60*time.Millisecond {
		t.Errorf("cause %v", e.Cause)
	}
}
