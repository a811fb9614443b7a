package connectors_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// stepped is the machine's clock, set to another time of day by step.
type stepped struct{ by atomic.Int64 }

func (c *stepped) step(d time.Duration) { c.by.Add(int64(d)) }
func (c *stepped) now() time.Time {
	return time.Now().Round(0).Add(time.Duration(c.by.Load()))
}

// TestSessionClockStep: a connection that talks outlives a step of the clock, and one
// that is dead is found as soon as ever.
func TestSessionClockStep(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, true)
			set := newSetup(t, srv)
			set.Venue.Channels[set.channel("trade")].Silence = time.Second
			clock := &stepped{}
			set.Now = clock.now
			session, _ := set.run(t)
			c := receive(t, "a connection", srv.conns)
			c.trade(t, 1)
			before := receive(t, "a trade", set.sink.trades).ReceiveTime
			clock.step(by)
			c.trade(t, 2)
			moved := time.Duration(receive(t, "a trade", set.sink.trades).ReceiveTime - before)
			if moved < by || moved > by+time.Minute {
				t.Errorf("receive times are %v apart, want %v: they are those of the clock", moved, by)
			}
			for id := range 10 { // twice the time that may pass in silence
				<-time.After(200 * time.Millisecond)
				c.trade(t, 3+id)
				if tr := receive(t, "a trade", set.sink.trades); tr.Conn != 1 {
					t.Fatalf("connection %d: the step has cost the first one", tr.Conn)
				}
			}
			if n := session.Stats().Silences; n != 0 {
				t.Errorf("%d silences", n)
			}
			begin := time.Now()
			var silence *connectors.SilenceError
			if e := set.sink.event(t, connectors.Disconnected); !errors.As(e.Cause, &silence) {
				t.Errorf("cause %v", e.Cause)
			}
			if waited := time.Since(begin); waited > 5*time.Second {
				t.Errorf("the dead connection was found after %v", waited)
			}
		})
	}
}

// TestClientClockStep: a step of the clock changes nothing in how long the exchange is
// left alone.
func TestClientClockStep(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := spotVenue(t)
				clock := &stepped{}
				calls := 0
				c := connectors.NewClient(connectors.ClientOptions{Venue: v, Now: clock.now, HTTP: &http.Client{Transport: answer(func(*http.Request) (int, http.Header, string) {
					if calls++; calls == 1 {
						return 429, http.Header{"Retry-After": {"7"}}, "{}"
					}
					return 200, nil, `{"lastUpdateId":7,"bids":[],"asks":[]}`
				})}})
				start := time.Now()
				if _, err := c.Do(t.Context(), snapshot(t, v)); err == nil {
					t.Fatal("429 is no error")
				}
				clock.step(by)
				if _, err := c.Do(t.Context(), snapshot(t, v)); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(start); waited != 7*time.Second {
					t.Errorf("called again after %v, want 7s", waited)
				}
			})
		})
	}
}
