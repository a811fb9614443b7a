package okx_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// sink hands on what a session tells.
type sink struct{ events chan connectors.Event }

func (sink) Deliver(*connectors.Delivery) bool { return false }

func (s sink) Report(e connectors.Event) {
	if e.Kind == connectors.SubscriptionRefused || e.Kind == connectors.StateChanged && e.State == connectors.Live {
		s.events <- e
	}
}

// TestOneRefusalAmongMany: OKX refuses a topic by the number of the request, in
// which there were others. The session finds out which it was, and keeps the rest.
func TestOneRefusalAmongMany(t *testing.T) {
	cfg := subject.Exchange.DefaultConfig().Markets[market.Spot.String()]
	_, cfg = connectorstest.Simulate(t, subject, market.Spot, cfg, simulator.Options{Seed: 1, Symbols: 4})
	v, err := subject.Exchange.Venue(market.Spot, cfg)
	if err != nil {
		t.Fatal(err)
	}
	known, err := connectors.NewClient(connectors.ClientOptions{Venue: v}).Instruments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := &market.Instrument{Exchange: "okx", Market: market.Spot, Symbol: "BTC-NOSUCH", Native: "BTC-NOSUCH", Base: "BTC", Quote: "NOSUCH"}
	table := market.NewInstruments(append(known, bad))
	var subs []connectors.Subscription
	for _, i := range table.All() {
		subs = append(subs, connectors.Subscription{Channel: v.ChannelIndex("books"), Instrument: i})
	}
	s := sink{events: make(chan connectors.Event, 64)}
	session, err := connectors.NewSession(connectors.SessionOptions{
		Venue: v, Connection: v.Wire.Plan(subs)[0], Instruments: table, Reconnect: cfg.Reconnect, Sink: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- session.Run(ctx) }()
	refused, live := 0, false
	for refused == 0 || !live {
		select {
		case e := <-s.events:
			if e.Kind == connectors.StateChanged {
				live = true
				continue
			}
			refused++
			var why *connectors.RefusedError
			if len(e.Subs) != 1 || e.Subs[0].Instrument != bad || !errors.As(e.Cause, &why) || why.Code != 60018 {
				t.Errorf("refused: %+v", e)
			}
		case <-ctx.Done():
			t.Fatalf("refused %d, live %v, %+v", refused, live, session.Stats())
		}
	}
	session.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if st := session.Stats(); refused != 1 || st.Connects != 1 || st.Unacknowledged != 0 {
		t.Errorf("%d refused, %+v", refused, st)
	}
}
