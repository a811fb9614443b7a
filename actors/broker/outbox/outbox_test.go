package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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

// events is JetStream, and the stream of events.
func events(t *testing.T, h *broker.Handle) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	nc, err := h.ConnectClients(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "SYSTEM_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	return js, s
}

// stored are the services of the events that the stream has, in order.
func stored(t *testing.T, h *broker.Handle) (all []string) {
	t.Helper()
	_, s := events(t, h)
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

// Many events at once are few batches, in order; a batch with an event that the stream
// has already, and one for a stream that takes no batches, come one by one.
func TestEventsComeInBatches(t *testing.T) {
	h, o, sys := start(t, t.TempDir())
	const many = 200
	for n := range many {
		o.Publish(started(n))
	}
	last := func() uint64 {
		_, s := events(t, h)
		return s.CachedInfo().State.LastSeq
	}
	actorstest.Eventually(t, "all events", func() bool { return last() >= many })
	js, s := events(t, h)
	batches := map[string]int{}
	for seq := uint64(1); seq <= many; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		batches[m.Header.Get("Nats-Batch-Id")]++
	}
	if len(batches) > 4 {
		t.Errorf("%d events are %d batches", many, len(batches))
	}
	again := started(many)
	for range 50 {
		o.Publish(again)
	}
	o.Publish(started(many + 1))
	actorstest.Eventually(t, "the one that is new", func() bool { return last() >= many+2 })

	for n := range 60 { // more than a server lets begin
		m := nats.NewMsg("system.somebody.begins")
		m.Header.Set("Nats-Batch-Id", fmt.Sprint("begun", n))
		m.Header.Set("Nats-Batch-Sequence", "1")
		if _, err := js.Conn().RequestMsg(m, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 20 {
		o.Publish(started(many + 2 + n))
	}
	actorstest.Eventually(t, "those that come although others have begun too many batches", func() bool { return last() >= many+22 })

	cfg := s.CachedInfo().Config
	cfg.AllowAtomicPublish = false
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		o.Publish(started(many + 22 + n))
	}
	actorstest.Eventually(t, "those that come one by one", func() bool { return last() >= many+42 })
	got := stored(t, h)
	for n, service := range got {
		if service != fmt.Sprint(n) {
			t.Fatalf("event %d is %s", n, service)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := sys.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// Publishing never waits, whether the actor runs or not; what there is no room for is
// counted.
func TestTooManyEventsAreDropped(t *testing.T) {
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, t.TempDir()
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	o, err := outbox.New(h, reg)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10_000 {
		o.Publish(started(n))
	}
	want := fmt.Sprintf(`
# HELP mp_broker_events_total Events about the program's own life: published, or dropped because too many waited.
# TYPE mp_broker_events_total counter
mp_broker_events_total{outcome="dropped"} %d
`, 10_000-8192)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "mp_broker_events_total"); err != nil {
		t.Error(err)
	}
}
