package rules_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
	"github.com/marketprism/marketprism/actors/supervise"
)

// inbox is a sink that keeps the last word on each alert.
type inbox struct {
	mu   sync.Mutex
	last map[string]alert.State
}

func (i *inbox) Accept(_ context.Context, alerts []alert.Alert) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.last == nil {
		i.last = map[string]alert.State{}
	}
	for _, a := range alerts {
		i.last[a.Rule] = a.State
	}
	return nil
}

func (i *inbox) state(rule string) alert.State {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last[rule]
}

// engine is a rule engine over a bench, with a directory of rule files.
type engine struct {
	*bench
	handle *rules.Handle
	inbox  *inbox
	dir    string
	stop   func()
}

func startEngine(t *testing.T, b *bench, dir string, memory rules.Memory) *engine {
	t.Helper()
	e := &engine{bench: b, inbox: &inbox{}, dir: dir}
	c := rules.DefaultConfig()
	c.Files, c.Interval, c.Reload = []string{filepath.Join(dir, "*.yaml")}, 100*time.Millisecond, 100*time.Millisecond
	var err error
	if e.handle, err = rules.New(rules.Options{Config: c, Engine: b.engine, Store: b.store, Sink: e.inbox, Memory: memory}); err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Start(t.Context(), e.handle.Spec()); err != nil {
		t.Fatal(err)
	}
	e.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := sys.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(e.stop)
	return e
}

func (e *engine) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// TestReload: files that change are taken up, with the state of the rules that stay;
// one with a fault changes nothing and says so.
func TestReload(t *testing.T) {
	b := newBench(t)
	e := startEngine(t, b, t.TempDir(), nil)
	e.write("a.yaml", "groups: [{name: a, rules: [{alert: Always, expr: vector(1)}, {record: one, expr: vector(1)}]}]")
	actorstest.Eventually(t, "the first file", func() bool { return e.inbox.state("Always") == alert.Firing })
	since := e.handle.Groups()[0].Rules[0].Alerts[0].ActiveAt

	e.write("b.yaml", "groups: [{name: b, rules: [{alert: Broken, expr: 'sum('}]}]")
	actorstest.Eventually(t, "the fault", func() bool { return e.handle.Fault() != nil })
	if err := e.handle.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "b.yaml: 1:") {
		t.Errorf("reloading: %v; want the file, the line and the column", err)
	}
	if groups := e.handle.Groups(); len(groups) != 1 || groups[0].Name != "a" {
		t.Errorf("with a fault there are %d groups", len(groups))
	}

	e.write("b.yaml", "groups: [{name: b, rules: [{alert: Second, expr: vector(2)}]}]")
	e.write("a.yaml", "groups: [{name: a, rules: [{alert: Always, expr: vector(3)}]}]")
	if err := e.handle.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "the second file", func() bool { return e.inbox.state("Second") == alert.Firing })
	if e.handle.Fault() != nil {
		t.Errorf("the fault is still %v", e.handle.Fault())
	}
	rule := e.handle.Groups()[0].Rules[0]
	if rule.Expr != "vector(3)" || len(rule.Alerts) != 1 || !rule.Alerts[0].ActiveAt.Equal(since) {
		t.Errorf("the changed rule is %+v, want it active since %v", rule, since)
	}
	actorstest.Eventually(t, "the end of the rule that is gone", func() bool {
		b.now = time.Now()
		return b.ask("one") == ""
	})

	if err := os.Remove(filepath.Join(e.dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "the end of the file", func() bool { return e.inbox.state("Second") == alert.Resolved })
	if e.inbox.state("Always") != alert.Firing {
		t.Error("the other group's alert has ended, too")
	}
}

// TestRestart: an alert fires on after a restart, without having to be held again, and
// the store of it may fail for a while.
func TestRestart(t *testing.T) {
	b, dir, store := newBench(t), t.TempDir(), buckettest.New()
	text := "groups: [{name: a, rules: [{alert: Slow, expr: 'vector(1)', for: 400ms}, {alert: Kept, expr: 'heat > 1'}]}]"
	store.Break(errors.New("not yet"))
	e := startEngine(t, b, dir, rules.NewBucket(store))
	e.write("a.yaml", text)
	store.Break(nil)
	b.now = time.Now()
	b.set(5, "__name__", "heat")
	actorstest.Eventually(t, "the alerts", func() bool { return e.inbox.state("Slow") == alert.Firing && e.inbox.state("Kept") == alert.Firing })
	actorstest.Eventually(t, "the state to be kept", func() bool {
		kept, err := rules.NewBucket(store).Load(t.Context())
		return err == nil && len(kept) == 1 && len(kept[0].Alerts) == 2 &&
			!slices.ContainsFunc(kept[0].Alerts, func(a rules.RememberedAlert) bool { return a.State != alert.Firing })
	})
	e.stop()
	if err := e.handle.Reload(t.Context()); err == nil {
		t.Error("a stopped engine reloads")
	}

	again := startEngine(t, newBench(t), dir, rules.NewBucket(store)) // nothing was scraped yet
	actorstest.Eventually(t, "the alerts of before", func() bool {
		return again.inbox.state("Slow") != alert.Inactive && again.inbox.state("Kept") != alert.Inactive
	})
	if again.inbox.state("Slow") != alert.Firing || again.inbox.state("Kept") != alert.Firing {
		t.Errorf("after the restart Slow is %v and Kept %v", again.inbox.state("Slow"), again.inbox.state("Kept"))
	}
}
