package connectors_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

func TestSessionPacesItsFrames(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	set.Venue.Limits.Messages = connectors.Rate{N: 20, Per: time.Second}
	var subs []connectors.Subscription
	for c := range set.Venue.Channels {
		for _, i := range set.table.All() {
			subs = append(subs, connectors.Subscription{Channel: c, Instrument: i})
		}
	}
	set.Connection.Subs = subs // four frames
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	receive(t, "the first demand", c.got)
	first := time.Now()
	const more = 3
	for range more {
		receive(t, "a demand", c.got)
	}
	// The server may see the first late, but not all of it.
	if d := time.Since(first); d < more*50*time.Millisecond-40*time.Millisecond {
		t.Errorf("%d frames at 20 a second took %v", more, d)
	}
}

func TestSessionUnacknowledged(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	set.Reconnect.AckTimeout = 30 * time.Millisecond
	session, _ := set.run(t)
	c := receive(t, "a connection", srv.conns)
	for id := 1; id <= 2; id++ {
		if got := receive(t, "a demand", c.got); !strings.HasSuffix(got, `"id":`+strconv.Itoa(id)+`}`) {
			t.Errorf("demand %s, want number %d", got, id)
		}
	}
	if e := set.sink.event(t, connectors.Disconnected); !errors.Is(e.Cause, connectors.ErrUnacknowledged) {
		t.Errorf("cause %v", e.Cause)
	}
	if st := session.Stats(); st.Unacknowledged != 2 || st.State == connectors.Live {
		t.Errorf("stats %+v", st)
	}
}

func TestSessionFindsTheRefusedSubscription(t *testing.T) {
	srv := newServer(t, false)
	set := newSetup(t, srv)
	bad := set.sub(t, "trade", "SOL-USDT")
	set.Connection.Subs = []connectors.Subscription{
		set.sub(t, "trade", "BTC-USDT"), set.sub(t, "trade", "ETH-USDT"), set.sub(t, "trade", "BNB-USDT"), bad, set.sub(t, "trade", "XRP-USDT"),
	}
	set.run(t)
	c := receive(t, "a connection", srv.conns)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case got := <-c.got:
				if strings.Contains(got, "solusdt") {
					id := ackOf([]byte(got))
					id = id[strings.LastIndexByte(id, ':')+1 : len(id)-1]
					c.say(t, `{"error":{"code":2,"msg":"Invalid request"},"id":`+id+`}`)
				} else {
					c.say(t, ackOf([]byte(got)))
				}
			case <-c.gone:
				return
			}
		}
	}()
	e := set.sink.event(t, connectors.SubscriptionRefused)
	var no *connectors.RefusedError
	if len(e.Subs) != 1 || e.Subs[0] != bad || !errors.As(e.Cause, &no) || no.Code != 2 {
		t.Errorf("refused %+v", e)
	}
	set.sink.state(t, connectors.Live)
	c.Close()
	receive(t, "the server's end", done)
}
