package connectors_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// talker makes BTC-USDT trade on connections until it is stopped, and takes what comes
// of it.
type talker struct {
	mu    sync.Mutex
	conns []*serverConn
	heard []string // symbols other than BTC-USDT
	stop  chan struct{}
	done  chan struct{}
}

func talk(t *testing.T, s *sink) *talker {
	k := &talker{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(k.done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-k.stop:
				return
			case trade := <-s.trades:
				if symbol := trade.Instrument.Symbol; symbol != "BTC-USDT" {
					k.mu.Lock()
					k.heard = append(k.heard, symbol)
					k.mu.Unlock()
				}
			case <-tick.C:
				for _, c := range k.all() {
					_ = c.write(tradeOf("btcusdt")) // one that was replaced is gone
				}
			}
		}
	}()
	t.Cleanup(func() { close(k.stop); <-k.done })
	return k
}

func (k *talker) on(c *serverConn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = append(k.conns, c)
}

func (k *talker) all() []*serverConn {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*serverConn(nil), k.conns...)
}

func tradeOf(native string) string {
	return fmt.Sprintf(`{"stream":"%s@trade","data":{"e":"trade","E":1,"s":"%s","t":1,"p":"1","q":"2","T":1790000000100,"m":false,"M":true}}`,
		native, map[string]string{"btcusdt": "BTCUSDT", "ethusdt": "ETHUSDT"}[native])
}

// One silent instrument on a busy socket is asked for again, then anew, then by
// another socket, which costs the others nothing; when it speaks, that is told.
func TestSessionSilenceEscalates(t *testing.T) {
	srv := newServer(t, true)
	set := newSetup(t, srv)
	set.Venue.Channels[set.channel("trade")].Silence = 500 * time.Millisecond
	set.Reconnect.AckTimeout = time.Minute
	quiet := set.sub(t, "trade", "ETH-USDT")
	set.Connection.Subs = append(set.Connection.Subs, quiet)
	session, _ := set.run(t)
	first := receive(t, "a connection", srv.conns)
	receive(t, "the demand", first.got)
	k := talk(t, set.sink)
	k.on(first)
	if e := set.sink.event(t, connectors.Silent); len(e.Subs) != 1 || e.Subs[0] != quiet {
		t.Errorf("silent %+v", e)
	}
	for n, want := range []string{"SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"} {
		if got, want := receive(t, "demand "+want, first.got), fmt.Sprintf(`{"method":"%s","params":["ethusdt@trade"],"id":%d}`, want, n+2); got != want {
			t.Errorf("demand %s, want %s", got, want)
		}
		if n == 1 {
			if list := session.Silent(); len(list) != 1 || list[0] != quiet {
				t.Errorf("silent, and not helped: %v", list)
			}
		}
	}
	second := receive(t, "another connection", srv.conns)
	k.on(second)
	if got, want := receive(t, "its demand", second.got), `{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@trade"],"id":7}`; got != want {
		t.Errorf("demand %s, want %s", got, want)
	}
	if e := set.sink.event(t, connectors.Disconnected); !e.Replaced || e.Conn != 1 {
		t.Errorf("%+v", e)
	}
	if err := second.write(tradeOf("ethusdt")); err != nil {
		t.Fatal(err)
	}
	if e := set.sink.event(t, connectors.Heard); len(e.Subs) != 1 || e.Subs[0] != quiet || e.Conn != 2 {
		t.Errorf("heard %+v", e)
	}
	st := session.Stats()
	if st.Silences != 1 || st.Lost != 0 || st.Replaced != 1 || st.Remedies != [connectors.NumRemedies]uint64{1, 2, 1} {
		t.Errorf("%+v", st)
	}
	if list := session.Silent(); len(list) != 0 {
		t.Errorf("silent after it spoke: %v", list)
	}
}
