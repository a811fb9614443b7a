package scheduler_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/scheduler/ledger/ledgertest"
	"github.com/marketprism/marketprism/actors/supervise"
)

// world is a scheduler over a ledger, with messages as targets.
type world struct {
	t   testing.TB
	h   *scheduler.Handle
	sys *supervise.System
}

// options are those of a scheduler over a store, whose actor takes "do".
func options(store ledger.Store, do scheduler.Message) scheduler.Options {
	c := scheduler.DefaultConfig()
	c.FlushInterval = time.Millisecond
	return scheduler.Options{
		Config: c, Store: store, Registerer: prometheus.NewRegistry(),
		Services: []string{"target-service"},
		Resolve:  func(context.Context, string) ([]string, error) { return nil, nil },
		Messages: map[string]scheduler.Message{"do": do},
	}
}

func nothing(context.Context, json.RawMessage) (string, error) { return "done", nil }

func start(t testing.TB, o scheduler.Options) *world {
	t.Helper()
	h, err := scheduler.New(o)
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(context.Background(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, h, sys}
	if err := sys.Start(bounded(t), h.Spec()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) stop() {
	w.t.Helper()
	if err := w.sys.Stop(bounded(w.t)); err != nil {
		w.t.Errorf("stopping: %v", err)
	}
	w.h.Close()
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// task is one whose target is the actor.
func task(name, expression string) scheduler.Task {
	return scheduler.Task{Name: name, Cron: expression, TargetService: scheduler.TargetActor, TargetEndpoint: "do"}
}

func (w *world) create(t scheduler.Task) scheduler.Task {
	w.t.Helper()
	made, err := w.h.Create(bounded(w.t), t)
	if err != nil {
		w.t.Fatalf("%s: %v", t.Name, err)
	}
	return made
}

func memory() *ledgertest.Memory { return ledgertest.New() }
