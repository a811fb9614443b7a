package audit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/identity"
)

type world struct {
	*audit.Log
	metrics *prometheus.Registry
	said    *observer.ObservedLogs
	sys     *supervise.System
	stop    func()
}

// open runs a broker on dir, and a log on it. connect may be nil.
func open(t *testing.T, dir string, connect func(context.Context) (*nats.Conn, error)) *world {
	t.Helper()
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, dir
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if connect == nil {
		connect = func(ctx context.Context) (*nats.Conn, error) { return h.Connect(ctx, "audit") }
	}
	w := &world{metrics: prometheus.NewRegistry()}
	core, said := observer.New(zap.WarnLevel)
	w.said = said
	w.Log, err = audit.New(audit.Options{Config: audit.DefaultConfig(), Connect: connect, Node: "here", Queue: 32, Registerer: w.metrics, Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	if w.sys, err = supervise.NewSystem(t.Context(), supervise.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.sys.Start(ctx, h.Spec(w.Spec())); err != nil {
		t.Fatal(err)
	}
	stopped := false
	w.stop = func() {
		if !stopped {
			stopped = true
			if err := w.sys.Stop(context.Background()); err != nil {
				t.Errorf("stopping: %v", err)
			}
			w.Close()
		}
	}
	t.Cleanup(w.stop)
	return w
}

func TestRecordAndRecent(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alice := identity.Principal{Subject: "alice", Kind: identity.User, Role: identity.Operator}
	for i := range 7 {
		e := audit.By(alice, "actor.restart", fmt.Sprintf("root/collector/%d", i))
		if i%2 == 1 {
			e = e.Of(errors.New("it would not"))
		}
		w.Record(ctx, e)
	}
	w.Record(ctx, audit.Entry{Principal: "user:mallory", Action: "auth.login", Outcome: audit.Refused, Address: "192.0.2.1"})
	w.stop()

	w = open(t, dir, nil) // it outlives the program
	all, next, err := w.Recent(ctx, audit.Filter{})
	if err != nil || len(all) != 8 || next != 0 {
		t.Fatalf("%d entries, next %d, %v", len(all), next, err)
	}
	if e := all[0]; e.Action != "auth.login" || e.Outcome != audit.Refused || e.Sequence != 8 || e.Node != "here" || e.Time.IsZero() || e.Address != "192.0.2.1" {
		t.Errorf("the newest is %+v", e)
	}
	if e := all[1]; e.Principal != "user:alice" || e.Role != "operator" || e.Target != "root/collector/6" || e.Outcome != audit.Done {
		t.Errorf("before it came %+v", e)
	}
	for _, tc := range []struct {
		name string
		f    audit.Filter
		want int
	}{
		{"principal", audit.Filter{Principal: "user:mallory"}, 1},
		{"action", audit.Filter{Action: "actor.restart"}, 7},
		{"action's beginning", audit.Filter{Action: "actor"}, 7},
		{"no half word", audit.Filter{Action: "act"}, 0},
		{"outcome", audit.Filter{Outcome: audit.Failed}, 3},
		{"target", audit.Filter{Target: "root/collector/3"}, 1},
		{"future", audit.Filter{From: time.Now().Add(time.Hour)}, 0},
		{"past", audit.Filter{To: time.Now().Add(-time.Hour)}, 0},
	} {
		if got, _, err := w.Recent(ctx, tc.f); err != nil || len(got) != tc.want {
			t.Errorf("%s: %d entries, %v; want %d", tc.name, len(got), err, tc.want)
		}
	}
	var seen []uint64
	for f := (audit.Filter{Limit: 3}); ; {
		got, next, err := w.Recent(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			seen = append(seen, e.Sequence)
		}
		if f.Before = next; next == 0 {
			break
		}
	}
	if fmt.Sprint(seen) != "[8 7 6 5 4 3 2 1]" {
		t.Errorf("page by page: %v", seen)
	}
}

// TestBound: without a broker nobody waits longer than the bound, what does not fit is
// counted and in the program's log, and what waits is put down once there is one.
func TestBound(t *testing.T) {
	away := make(chan struct{})
	var h *world
	dir := t.TempDir()
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, dir+"/other"
	other, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h = open(t, dir+"/own", func(ctx context.Context) (*nats.Conn, error) {
		select {
		case <-away:
			return other.Connect(ctx, "audit")
		default:
			return nil, errors.New("away")
		}
	})
	begin := time.Now()
	h.Record(t.Context(), audit.Entry{Principal: "user:a", Action: "first"})
	if took := time.Since(begin); took < audit.Wait/2 || took > audit.Wait+2*time.Second {
		t.Errorf("waited %v, want about %v", took, audit.Wait)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		h.Record(gone, audit.Entry{Principal: "user:a", Action: "flood"})
	}
	if n := testutil.CollectAndCount(h.metrics, "mp_audit_entries_total"); n == 0 {
		t.Fatal("nothing is counted")
	}
	dropped := h.said.FilterMessage("an audit entry is in this log only").Len()
	if dropped < 66 || dropped > 70 {
		t.Errorf("%d entries are in the log, want those beyond the queue", dropped)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Start(ctx, other.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	close(away)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		got, _, err := h.Recent(ctx, audit.Filter{Limit: 1000})
		if err == nil && len(got) >= 32 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d entries, %v", len(got), err)
		}
	}
}

func TestAct(t *testing.T) {
	w := open(t, t.TempDir(), nil)
	ctx := identity.With(t.Context(), identity.Principal{Subject: "bob", Kind: identity.User, Role: identity.Admin})
	boom := errors.New("boom")
	if err := w.Act(ctx, audit.Entry{Action: "a.b", Target: "x"}, func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	if err := w.Act(t.Context(), audit.Entry{Action: "a.c"}, func() error { return nil }); err != nil {
		t.Error(err)
	}
	got, _, err := w.Recent(t.Context(), audit.Filter{})
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Principal != "anonymous:anonymous" || got[0].Outcome != audit.Done || got[1].Principal != "user:bob" || got[1].Outcome != audit.Failed || got[1].Detail != "boom" {
		t.Errorf("%+v", got)
	}
}

func TestConfig(t *testing.T) {
	if err := audit.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []audit.Config{{MaxAge: -1, MaxBytes: 1 << 20, Replicas: 1}, {MaxBytes: 1, Replicas: 1}, {MaxBytes: 1 << 20, Replicas: 2}} {
		if c.Validate() == nil {
			t.Errorf("%+v passed", c)
		}
	}
}
