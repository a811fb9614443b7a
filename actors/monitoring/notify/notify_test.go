package notify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/event"
)

// world is the branch with destinations that note what they are told.
type world struct {
	t       *testing.T
	h       *notify.Handle
	sys     *supervise.System
	begun   time.Time
	metrics *prometheus.Registry

	mu     sync.Mutex
	fail   func(notify.Told) error
	told   []string
	events []string
}

// Publish implements event.Publisher.
func (w *world) Publish(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e.Topic+" "+e.Subject)
}

func config() notify.Config {
	c := notify.DefaultConfig()
	c.StartupGrace = 0
	c.Route.Receiver, c.Route.Routes = "hook", nil
	c.Receivers = []notify.ReceiverConfig{{Name: "hook", Webhooks: []notify.WebhookConfig{{HTTPConfig: notify.HTTPConfig{URL: "http://127.0.0.1/"}}}}}
	return c
}

func start(t *testing.T, c notify.Config, store bucket.Store, lease notify.Lease) *world {
	t.Helper()
	w := &world{t: t, begun: time.Now(), metrics: prometheus.NewRegistry()}
	h, err := notify.New(notify.Options{
		Config: c, Store: store, Lease: lease, Events: w, Source: event.Source{Node: "n1", Service: "monitoring-service"}, Registerer: w.metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.h = h
	h.Replace(func(_ context.Context, told notify.Told) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fail != nil {
			if err := w.fail(told); err != nil {
				return err
			}
		}
		w.told = append(w.told, fmt.Sprintf("%s %s %v", told.At.Sub(w.begun).Round(time.Second), told.Status, told.Alerts))
		return nil
	})
	if w.sys, err = supervise.NewSystem(context.Background(), supervise.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := w.sys.Start(context.Background(), h.Spec()); err != nil {
		t.Fatal(err)
	}
	return w
}

// failing sets what becomes of messages.
func (w *world) failing(fail func(notify.Told) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = fail
}

func (w *world) stop() {
	w.t.Helper()
	if err := w.sys.Stop(context.Background()); err != nil {
		w.t.Errorf("stopping: %v", err)
	}
}

// says is one evaluation at which these alerts fire, and those with a minus end.
func (w *world) says(names ...string) {
	w.t.Helper()
	var all []alert.Alert
	for _, name := range names {
		now := time.Now()
		a := alert.Alert{
			Rule: name, State: alert.Firing, ActiveAt: now, FiredAt: now, CheckedAt: now, Until: now.Add(time.Hour),
			Labels: alert.LabelsOf(map[string]string{"alertname": name, "severity": "warning", "service": "s"}),
		}
		if name[0] == '-' {
			a.Rule, a.State, a.ResolvedAt = name[1:], alert.Resolved, now
			a.Labels = alert.LabelsOf(map[string]string{"alertname": name[1:], "severity": "warning", "service": "s"})
		}
		all = append(all, a)
	}
	if err := w.h.Accept(context.Background(), all); err != nil {
		w.t.Errorf("not accepted: %v", err)
	}
	synctest.Wait()
}

func (w *world) want(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.told, want) {
		w.t.Errorf("told %q, want %q", w.told, want)
	}
}

func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

// TestTold: an alert is told once, its end once; events say the same; nothing is left.
func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		w := start(t, config(), store, nil)
		defer w.stop()
		for range 20 { // every evaluation says it again
			w.says("A")
			pass(15 * time.Second)
		}
		v, err := w.h.Alerts(t.Context())
		if err != nil || len(v.Active) != 1 || v.Active[0].Rule != "A" || len(v.Active[0].SilencedBy) != 0 || v.Active[0].Receivers[0] != "hook" {
			t.Fatalf("active %+v, %v", v, err)
		}
		w.says("-A")
		pass(6 * time.Minute)
		w.want("30s firing [A]", "5m30s resolved [-A]")
		if v, err = w.h.Alerts(t.Context()); err != nil || len(v.Active) != 0 || len(v.History) != 1 || v.History[0].Rule != "A" {
			t.Errorf("afterwards %+v, %v", v, err)
		}
		w.mu.Lock()
		if want := []string{"system.monitoring-service.alert.fired A", "system.monitoring-service.alert.resolved A"}; !slices.Equal(w.events, want) {
			t.Errorf("events %q", w.events)
		}
		w.mu.Unlock()
		documents, err := store.Load(t.Context(), "")
		if err != nil || len(documents) != 1 || documents[0].Key != "history" {
			t.Errorf("left in the bucket: %v, %v", documents, err)
		}
	})
}

// TestRestarted: another process on the same bucket neither repeats nor forgets, and
// keeps silences and history.
func TestRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		w := start(t, config(), store, nil)
		w.says("A", "B", "C")
		pass(time.Minute)
		w.says("-C")
		s, err := w.h.SetSilence(t.Context(), silence(t, "alertname", "D", time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.stop()
		w.want("30s firing [A]", "30s firing [B]", "30s firing [C]")

		w = start(t, config(), store, nil)
		defer w.stop()
		pass(time.Second)
		w.says("A", "D")
		pass(20 * time.Minute) // B ended while nobody watched: it lapses
		w.want("5m0s resolved [-B]")
		if got, err := w.h.Silence(s.ID); err != nil || got.Comment != s.Comment {
			t.Errorf("silence %+v, %v", got, err)
		}
		v, err := w.h.Alerts(t.Context())
		if err != nil || len(v.History) != 2 || len(v.Active) != 2 {
			t.Errorf("view %+v, %v", v, err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if want := []string{"system.monitoring-service.alert.fired D", "system.monitoring-service.alert.resolved B"}; !slices.Equal(w.events, want) {
			t.Errorf("events %q", w.events)
		}
	})
}

func silence(t *testing.T, name, value string, d time.Duration) notify.Silence {
	t.Helper()
	m, err := notify.NewMatcher(name, notify.Equal, value)
	if err != nil {
		t.Fatal(err)
	}
	return notify.Silence{Matchers: notify.Matchers{m}, EndsAt: time.Now().Add(d), CreatedBy: "ops", Comment: "maintenance"}
}

// TestSilences: made, changed, ended, refused, followed by another node, and swept.
func TestSilences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := buckettest.New(), config()
		c.MaxSilences = 2
		w, other := start(t, c, store, nil), start(t, c, store, nil)
		defer w.stop()
		defer other.stop()
		ctx := t.Context()
		made, err := w.h.SetSilence(ctx, silence(t, "alertname", "A", time.Hour))
		if err != nil || made.ID == "" || made.StartsAt.IsZero() {
			t.Fatalf("made %+v, %v", made, err)
		}
		pass(0)
		if got, err := other.h.Silence(made.ID); err != nil || got.CreatedBy != "ops" {
			t.Errorf("the other node has %+v, %v", got, err)
		}
		w.says("A")
		pass(time.Minute)
		w.want()
		if v, err := w.h.Alerts(ctx); err != nil || !slices.Equal(v.Active[0].SilencedBy, []string{made.ID}) {
			t.Errorf("silenced by %+v, %v", v, err)
		}
		longer := made
		longer.EndsAt = time.Now().Add(2 * time.Hour)
		if got, err := w.h.SetSilence(ctx, longer); err != nil || got.ID != made.ID || !got.StartsAt.Equal(made.StartsAt) {
			t.Errorf("made longer: %+v, %v", got, err)
		}
		elsewhere := silence(t, "alertname", "B", time.Hour)
		elsewhere.ID = made.ID
		moved, err := w.h.SetSilence(ctx, elsewhere)
		if err != nil || moved.ID == made.ID {
			t.Errorf("with other matchers: %+v, %v", moved, err)
		}
		if got, err := w.h.Silence(made.ID); err != nil || got.State(time.Now()) != notify.SilenceExpired {
			t.Errorf("the one before is %+v, %v", got, err)
		}
		if _, err := w.h.ExpireSilence(ctx, made.ID); !errors.Is(err, notify.ErrSilenceOver) {
			t.Errorf("ended again: %v", err)
		}
		if _, err := w.h.SetSilence(ctx, longer); !errors.Is(err, notify.ErrSilenceOver) {
			t.Errorf("changed after its end: %v", err)
		}
		if _, err := w.h.SetSilence(ctx, silence(t, "alertname", "C", time.Hour)); !errors.Is(err, notify.ErrTooManySilences) {
			t.Errorf("a third: %v", err)
		}
		if _, err := w.h.SetSilence(ctx, silence(t, "alertname", "", time.Hour)); !errors.Is(err, notify.ErrInvalidSilence) {
			t.Errorf("one that mutes everything: %v", err)
		}
		if _, err := w.h.ExpireSilence(ctx, "none"); !errors.Is(err, notify.ErrNoSilence) {
			t.Errorf("one that is not: %v", err)
		}
		pass(5 * time.Minute) // A is told at its group's next turn
		w.want("5m30s firing [A]")
		store.Break(errors.New("gone"))
		if _, err := w.h.ExpireSilence(ctx, moved.ID); err == nil {
			t.Error("ended without a bucket")
		}
		store.Break(nil)
		pass(6 * 24 * time.Hour)
		if left := w.h.Silences(); len(left) != 0 {
			t.Errorf("left after six days: %+v", left)
		}
	})
}

// TestRetries: what fails is tried again with growing pauses, what is refused for good
// is not, and both are told at the group's next turn.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, config(), buckettest.New(), nil)
		defer w.stop()
		attempts := 0
		w.failing(func(notify.Told) error {
			if attempts++; attempts < 4 {
				return errors.New("not now")
			}
			return nil
		})
		w.says("A")
		pass(time.Minute)
		w.want("37s firing [A]") // 30 + 1 + 2 + 4
		w.failing(nil)
		attempts = 0
		w.failing(func(notify.Told) error {
			attempts++
			return notify.Permanent(errors.New("gone"))
		})
		w.says("-A")
		pass(5 * time.Minute)
		if attempts != 1 {
			t.Errorf("%d attempts at what is refused for good", attempts)
		}
		if s := w.h.Standing(); s.Failing["hook.webhook.0"] == nil || s.Phase != "telling" || s.Accepted.IsZero() {
			t.Errorf("standing %+v", s)
		}
		w.failing(nil)
		pass(5 * time.Minute)
		w.want("37s firing [A]", "10m30s resolved [-A]")
		if s := w.h.Standing(); len(s.Failing) != 0 {
			t.Errorf("still failing: %v", s.Failing)
		}
		for outcome, want := range map[string]float64{"sent": 2, "failed": 1, "retried": 3} {
			if got := counter(t, w.metrics, "webhook", outcome); got != want {
				t.Errorf("%s: %v, want %v", outcome, got, want)
			}
		}
	})
}

func counter(t *testing.T, reg *prometheus.Registry, kind, outcome string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "mp_notifications_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == kind && m.GetLabel()[1].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no counter of %s %s", kind, outcome)
	return 0
}

// TestWithoutBucket: a repeat is better than silence; and what was told is written down
// once the bucket is there.
func TestWithoutBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		store.Break(errors.New("no broker"))
		w := start(t, config(), store, nil)
		w.says("A")
		pass(2 * time.Minute)
		w.want("30s firing [A]") // its patience is over
		store.Break(nil)
		pass(5 * time.Second)
		w.stop()
		w = start(t, config(), store, nil)
		defer w.stop()
		pass(time.Second)
		w.says("A")
		pass(10 * time.Minute)
		w.want()
	})
}

// turns is a lease that goes from one to the other.
type turns struct{ free chan struct{} }

func (l *turns) Acquire(ctx context.Context) (<-chan struct{}, func(), error) {
	select {
	case <-l.free:
		return make(chan struct{}), func() { l.free <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// TestOneTells: of two nodes that see the same one tells, and when it goes the other
// goes on where it was.
func TestOneTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, lease := buckettest.New(), &turns{make(chan struct{}, 1)}
		lease.free <- struct{}{}
		first := start(t, config(), store, lease)
		pass(time.Second)
		second := start(t, config(), store, lease)
		defer second.stop()
		first.says("A")
		second.says("A")
		pass(time.Minute)
		first.want("31s firing [A]")
		second.want()
		first.stop()
		pass(time.Second)
		second.says("-A")
		pass(10 * time.Minute)
		second.want("5m30s resolved [-A]")
	})
}

// TestSlowDestination: one that fails all the time holds up no other.
func TestSlowDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.Receivers[0].Webhooks = append(c.Receivers[0].Webhooks, c.Receivers[0].Webhooks[0])
		w := start(t, c, buckettest.New(), nil)
		defer w.stop()
		var other int
		w.failing(func(told notify.Told) error {
			if told.To == "hook.webhook.0" {
				return errors.New("down")
			}
			other++
			return nil
		})
		w.says("A")
		pass(11 * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		if other != 1 {
			t.Errorf("the other was told %d times", other)
		}
	})
}

// TestRestartedActor: the dispatcher's failure is no end: it goes on from the bucket.
func TestRestartedActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, config(), buckettest.New(), nil)
		defer w.stop()
		w.says("A")
		pass(time.Minute)
		branch, ok := w.sys.Lookup("root/notify")
		if !ok {
			t.Fatal("no branch")
		}
		if _, err := supervise.Ask[supervise.ChildReply](t.Context(), w.sys, branch, supervise.CycleChild{Name: "dispatcher"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		w.says("-A")
		pass(10 * time.Minute)
		w.want("30s firing [A]", "6m0s resolved [-A]")
	})
}

// TestNotStarted: before the start nothing is taken, and it is said.
func TestNotStarted(t *testing.T) {
	h, err := notify.New(notify.Options{Config: config(), Store: buckettest.New(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Accept(t.Context(), []alert.Alert{{}}); !errors.Is(err, supervise.ErrStopped) {
		t.Errorf("accepted: %v", err)
	}
	if _, err := h.Alerts(t.Context()); !errors.Is(err, supervise.ErrStopped) {
		t.Errorf("shown: %v", err)
	}
}

// TestMetrics: they are those of the catalogue.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, config(), buckettest.New(), nil)
		defer w.stop()
		w.says("A")
		problems, err := testutil.GatherAndLint(w.metrics)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
	})
}
