package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/internal/app"
)

// Times of the built-in rules in this test.
const (
	alertFor      = time.Second
	alertInterval = time.Second
	// alertSlack and alertPatience are for a machine that is busy with other tests.
	alertSlack    = 15 * time.Second
	alertPatience = 3 * time.Minute
)

// page is one alert that a webhook was told.
type page struct {
	Status   string            `json:"status"`
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
}

// pager keeps what a webhook is told.
type pager struct {
	url string

	mu   sync.Mutex
	told []page
}

func newPager(t *testing.T) *pager {
	p := &pager{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct {
			Alerts []page `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("a message that is none: %v", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told = append(p.told, m.Alerts...)
	}))
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// of are the pages of a status about a kind of actor.
func (p *pager) of(status, kind string) (all []page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.told {
		if each.Status == status && each.Labels["kind"] == kind {
			all = append(all, each)
		}
	}
	return all
}

// alarmed makes the rules of actors faster, and has p told of them.
func alarmed(t *testing.T, p *pager) func(*config.Config) {
	text, err := fs.ReadFile(config.Rules(), "actors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fast := regexp.MustCompile(`(?m)^(\s+for:).*$`).ReplaceAllString(string(text), "$1 "+alertFor.String())
	fast = regexp.MustCompile(`\[\d+m\]`).ReplaceAllString(fast, "[8s]")
	file := filepath.Join(t.TempDir(), "actors.yaml")
	if err := os.WriteFile(file, []byte(fast), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *config.Config) {
		m := &c.Monitoring.Monitoring
		m.Prometheus.Scrape.Interval, m.Prometheus.Scrape.Timeout = alertInterval, alertInterval
		m.Prometheus.Rules.Interval, m.Prometheus.Rules.Files, m.Prometheus.Rules.Grace = alertInterval, []string{file}, 0
		m.Notify.StartupGrace = 0
		m.Notify.Route = notify.RootRoute{
			Receiver: "pager", GroupBy: []string{"alertname", "kind"},
			Timing: notify.Timing{GroupWait: 100 * time.Millisecond, GroupInterval: time.Second, RepeatInterval: time.Hour},
		}
		hook := notify.WebhookConfig{}
		hook.URL = p.url
		m.Notify.Receivers = []notify.ReceiverConfig{{Name: "pager", Webhooks: []notify.WebhookConfig{hook}}}
	}
}

// stuck is an actor that handles its first message until free is closed.
func stuck(free <-chan struct{}) supervise.Spec {
	return supervise.Spec{
		Name: "stuck", Kind: "stuck", Mailbox: supervise.Mailbox{Capacity: 8},
		New: func() supervise.Actor {
			return supervise.ActorFunc(func(c *supervise.Context) {
				if _, ok := c.Message().(string); ok {
					<-free
				}
			})
		},
	}
}

// flood sends until ctx ends, and says on full when the mailbox has refused.
func flood(ctx context.Context, t *testing.T, s *supervise.System, to *actor.PID, full chan<- time.Time) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	told := false
	for {
		switch err := s.Tell(to, "work"); {
		case errors.Is(err, supervise.ErrMailboxFull) && !told:
			full <- time.Now()
			told = true
		case err != nil && !errors.Is(err, supervise.ErrMailboxFull):
			t.Errorf("telling: %v", err)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// TestAlertOfAMailboxThatIsFull: an actor in the tree hangs, and its mailbox refuses
// what is sent to it. MailboxBacklog fires for its kind in time and is told once; its end
// is told once the actor goes on.
func TestAlertOfAMailboxThatIsFull(t *testing.T) {
	p := newPager(t)
	a := running(t, alarmed(t, p))
	free := make(chan struct{})
	release := sync.OnceFunc(func() { close(free) })
	t.Cleanup(release) // before the program is stopped
	pid, err := a.System().StartChild(t.Context(), supervise.RootID, stuck(free))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	full := make(chan time.Time, 1)
	var sender sync.WaitGroup
	sender.Go(func() { flood(ctx, t, a.System(), pid, full) })
	t.Cleanup(sender.Wait)
	t.Cleanup(cancel)
	var fault time.Time
	select {
	case fault = <-full:
	case <-time.After(alertPatience):
		t.Fatal("the mailbox refuses nothing")
	}

	within(t, alertPatience, "the alert", func() bool { return len(p.of("firing", "stuck")) > 0 })
	fired := p.of("firing", "stuck")[0]
	if fired.Labels["alertname"] != "MailboxBacklog" {
		t.Errorf("told of %v", fired.Labels)
	}
	waited := fired.StartsAt.Sub(activeSince(t, a, "MailboxBacklog", "stuck"))
	t.Logf("fired %v after the mailbox was full, %v after that was seen", fired.StartsAt.Sub(fault).Round(time.Millisecond), waited)
	if waited < alertFor || waited > alertFor+alertInterval+alertSlack {
		t.Errorf("fired %v after its condition, want %v and at most one interval more", waited, alertFor)
	}
	// The rate needs two scrapes.
	if took := fired.StartsAt.Sub(fault); took > 2*alertInterval+alertFor+alertInterval+2*alertSlack {
		t.Errorf("fired %v after the mailbox was full", took)
	}
	cancel()
	sender.Wait()
	release()
	within(t, alertPatience, "its end", func() bool { return len(p.of("resolved", "stuck")) > 0 })
	for _, status := range []string{"firing", "resolved"} {
		if got := p.of(status, "stuck"); len(got) != 1 {
			t.Errorf("%s was told %d times: %+v", status, len(got), got)
		}
	}
}

// within polls until ok, and fails the test when that takes longer than d.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, d)
		}
	}
}

// activeSince is since when the rule engine has seen an alert's condition.
func activeSince(t *testing.T, a *app.App, name, kind string) time.Time {
	t.Helper()
	r, err := http.Get(a.URL(cluster.Monitoring) + "/prometheus/api/v1/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels   map[string]string `json:"labels"`
				ActiveAt time.Time         `json:"activeAt"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, each := range answer.Data.Alerts {
		if each.Labels["alertname"] == name && each.Labels["kind"] == kind {
			return each.ActiveAt
		}
	}
	t.Fatalf("%s of %s is not active: %+v", name, kind, answer.Data.Alerts)
	return time.Time{}
}
