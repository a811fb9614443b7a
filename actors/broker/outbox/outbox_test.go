package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/outbox"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/event"
)

func start(t *testing.T, dir string) (*broker.Handle, *outbox.Outbox, *supervise.System) {
	t.Helper()
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, dir
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := outbox.New(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	if err := sys.Start(ctx, h.Spec(o.Spec())); err != nil {
		t.Fatal(err)
	}
	return h, o, sys
}

var source = event.Source{Node: "n", Service: "message-broker-service"}

func started(n int) event.Event {
	return source.New(event.ServiceStarted, "", event.Service{Service: fmt.Sprint(n)})
}

// stored are the services of the events that the stream has, in order.
func stored(t *testing.T, h *broker.Handle) (all []string) {
	t.Helper()
	nc, err := h.ConnectClients(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "SYSTEM_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Data struct{ Service string }
		}
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		if m.Subject != "system.message-broker-service.service.started" || m.Header.Get("Content-Type") != event.MediaType {
			t.Errorf("message %d is %s, %v", seq, m.Subject, m.Header)
		}
		all = append(all, e.Data.Service)
	}
	return all
}

// Events come in order, over a restart of the server, each once; and a stop publishes
// what waits.
func TestEventsArePublished(t *testing.T) {
	dir := t.TempDir()
	h, o, sys := start(t, dir)
	for n := range 20 {
		o.Publish(started(n))
		if n == 10 {
			if err := sys.RestartChild(t.Context(), "root/broker", "server"); err != nil {
				t.Fatal(err)
			}
		}
	}
	actorstest.Eventually(t, "twenty events", func() bool { return len(stored(t, h)) >= 20 })
	for n := range 200 {
		o.Publish(started(20 + n))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := sys.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	h, _, sys = start(t, dir)
	got := stored(t, h)
	for n, service := range got {
		if service != fmt.Sprint(n) {
			t.Fatalf("event %d is %s", n, service)
		}
	}
	if len(got) != 220 {
		t.Errorf("%d events are stored, want 220", len(got))
	}
	if err := sys.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// Publishing never waits, whether the actor runs or not.
func TestTooManyEventsAreDropped(t *testing.T) {
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, t.TempDir()
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := outbox.New(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5000 {
		o.Publish(started(n))
	}
}
