package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/tests/harness"
)

// Times of the built-in rules in these tests.
const (
	alertFor      = 2 * time.Second
	alertKeep     = 8 * time.Second // keep_firing_for: while a service starts
	alertWindow   = 10 * time.Second
	alertInterval = time.Second
	// slack is for a machine that is busy with other tests.
	slack = 10 * time.Second
)

// pager keeps what a webhook is told.
type pager struct {
	t   *testing.T
	url string

	mu   sync.Mutex
	told []page
}

// page is one alert of one message.
type page struct {
	Status   string            `json:"status"`
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
	EndsAt   time.Time         `json:"endsAt"`
}

func newPager(t *testing.T) *pager {
	p := &pager{t: t}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		var m struct {
			Version string `json:"version"`
			Alerts  []page `json:"alerts"`
		}
		if err != nil || json.Unmarshal(text, &m) != nil || m.Version != "4" {
			t.Errorf("a message that is none: %s, %v", text, err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told = append(p.told, m.Alerts...)
	}))
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// of are the pages of an alert.
func (p *pager) of(name, status string) (all []page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.told {
		if each.Labels["alertname"] == name && each.Status == status {
			all = append(all, each)
		}
	}
	return all
}

// await waits for a page and wants it to be the only one.
func (p *pager) await(name, status string) page {
	p.t.Helper()
	harness.Await(p.t, time.Minute, name+" "+status, func() bool { return len(p.of(name, status)) > 0 })
	return p.of(name, status)[0]
}

// once wants exactly one page of an alert and one of its end, and none of others.
func (p *pager) once(name string, never ...string) {
	p.t.Helper()
	for _, status := range []string{"firing", "resolved"} {
		if got := p.of(name, status); len(got) != 1 {
			p.t.Errorf("%s %s was told %d times: %+v", name, status, len(got), got)
		}
	}
	for _, other := range never {
		if got := p.of(other, "firing"); len(got) != 0 {
			p.t.Errorf("%s was told although it is explained: %+v", other, got)
		}
	}
}

var (
	ruleFor    = regexp.MustCompile(`(?m)^(\s+for:).*$`)
	ruleKeep   = regexp.MustCompile(`(?m)^(\s+keep_firing_for:).*$`)
	ruleWindow = regexp.MustCompile(`\[\d+[ms]\]`)
)

// faster are rules with the times of these tests; a stream is stale after three seconds.
func faster(rules []byte) []byte {
	text := ruleFor.ReplaceAllString(string(rules), "$1 "+alertFor.String())
	text = ruleKeep.ReplaceAllString(text, "$1 "+alertKeep.String())
	text = ruleWindow.ReplaceAllString(text, "["+alertWindow.String()+"]")
	return []byte(strings.ReplaceAll(text, "> 300", "> 3"))
}

// alarms are the settings of a node with the built-in rules, faster, that tells p.
func (p *pager) alarms() harness.Settings {
	p.t.Helper()
	dir := p.t.TempDir()
	files, err := filepath.Glob("../../config/rules/*.yaml")
	if err != nil || len(files) == 0 {
		p.t.Fatalf("rules: %v, %v", files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.yaml") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), faster(text), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	return p.rules(filepath.Join(dir, "*.yaml"))
}

// rules are the settings of a node with the rules of some files that tells p.
func (p *pager) rules(files string) harness.Settings {
	at := harness.Monitoring + ".monitoring."
	return harness.Settings{
		at + "health.interval": "1s", at + "health.timeout": "900ms",
		at + "prometheus.scrape.interval": "1s", at + "prometheus.scrape.timeout": "900ms",
		at + "prometheus.rules.interval": alertInterval.String(), at + "prometheus.rules.files": []string{files}, at + "prometheus.rules.reload": "500ms",
		at + "prometheus.rules.grace": "0s", at + "notify.startup_grace": "0s",
		at + "notify.route": map[string]any{
			"receiver": "pager", "group_by": []string{"alertname", "service"}, "group_wait": "1s", "group_interval": "2s",
			// A busy machine is no news here.
			"routes": []map[string]any{{"matchers": []string{`alertname=~"` + ofABusyMachine + `"`}, "receiver": "none"}},
		},
		at + "notify.receivers": []map[string]any{{"name": "none"}, {"name": "pager", "webhooks": []map[string]any{{"url": p.url}}}},
	}
}

// activeAlert is a row of GET alerts.
type activeAlert struct {
	RuleID      string            `json:"rule_id"`
	StartTime   time.Time         `json:"start_time"`
	Labels      map[string]string `json:"labels"`
	Fingerprint string            `json:"fingerprint"`
	SilencedBy  []string          `json:"silenced_by"`
	InhibitedBy *string           `json:"inhibited_by"`
	Receivers   []string          `json:"receivers"`
}

func activeAlerts(t *testing.T, n *harness.Node) []activeAlert {
	t.Helper()
	var list struct {
		Active []activeAlert `json:"active_alerts"`
	}
	harness.GetJSON(t, n.URL(harness.Monitoring, "/api/v1/alerts"), &list)
	return list.Active
}

// ofABusyMachine are alerts of which the pager is not told.
const ofABusyMachine = "Watchdog|high_.*|.*LagHigh|DiskLow|MailboxBacklog"

var busyAlert = regexp.MustCompile("^(" + ofABusyMachine + ")$")

// quiet says whether nothing fires, or is about to, of which the pager is told.
func (p *pager) quiet(n *harness.Node) bool {
	return !slices.ContainsFunc(activeAlerts(p.t, n), func(a activeAlert) bool { return slices.Contains(a.Receivers, "pager") }) &&
		!slices.ContainsFunc(ruledAlerts(p.t, n), func(a ruledAlert) bool { return !busyAlert.MatchString(a.Labels["alertname"]) })
}

// seen says whether monitoring takes a service for well, by its scrapes and by its checks.
func seen(t *testing.T, n *harness.Node, service string) bool {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	query := fmt.Sprintf(`min(up{job=%q}) + min(service_status{service_name=%q})`, service, service)
	harness.GetJSON(t, n.URL(harness.Monitoring, "/prometheus/api/v1/query?query="+url.QueryEscape(query)), &answer)
	return len(answer.Data.Result) == 1 && answer.Data.Result[0].Value[1] == "2"
}

// ruledAlert is what the rule engine shows of an alert.
type ruledAlert struct {
	Labels   map[string]string `json:"labels"`
	State    string            `json:"state"`
	ActiveAt time.Time         `json:"activeAt"`
}

func ruledAlerts(t *testing.T, n *harness.Node) []ruledAlert {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []ruledAlert `json:"alerts"`
		} `json:"data"`
	}
	harness.GetJSON(t, n.URL(harness.Monitoring, "/prometheus/api/v1/alerts"), &answer)
	return answer.Data.Alerts
}

// inTime wants an alert to have fired within its `for` and one interval of its
// condition, and soon after the fault.
func inTime(t *testing.T, n *harness.Node, p page, fault time.Time, seen time.Duration) {
	t.Helper()
	name := p.Labels["alertname"]
	state, since := ruled(t, n, name)
	if state != "firing" {
		t.Fatalf("%s was told, and is %s", name, state)
	}
	waited := p.StartsAt.Sub(since)
	t.Logf("%s fired %v after the fault, %v after its condition was seen", name, p.StartsAt.Sub(fault).Round(time.Millisecond), waited)
	if waited < alertFor || waited > alertFor+alertInterval+slack/2 {
		t.Errorf("%s fired %v after its condition, want %v and at most one interval more", name, waited, alertFor)
	}
	if took := p.StartsAt.Sub(fault); took > seen+alertFor+alertInterval+slack {
		t.Errorf("%s fired %v after the fault", name, took)
	}
}

// simulated are settings that collect one instrument of a simulated Binance.
func simulated(t *testing.T) (*harness.Simulator, harness.Settings) {
	t.Helper()
	sim := harness.Simulate(t, "--exchange", "binance/spot", "--seed", "5", "--rate", "50", "--symbols", "1")
	m := sim.Markets[0]
	at := "exchanges.binance.markets."
	s := harness.Settings{harness.Collector + ".exchanges": []string{"binance"}}
	for _, name := range []string{"spot", "perpetual", "future"} {
		s[at+name+".enabled"] = name == m.Market
	}
	at += m.Market + "."
	s[at+"ws_url"], s[at+"rest_url"], s[at+"symbols"] = m.WS, m.REST, m.Symbols
	s[at+"data_types"] = []string{"trade", "book_delta"}
	s[at+"watchdog.enabled"] = false // the alert is to see it, not the collector
	s[at+"reconnect.initial_wait"], s[at+"reconnect.max_wait"] = "100ms", "1s"
	return sim, s
}

// TestAlertOfAServiceThatIsKilled: the collector, in a process of its own, is killed.
// RoleDown is told once; what follows from it fires, is shown, and is not told. When
// it is back the end is told once.
func TestAlertOfAServiceThatIsKilled(t *testing.T) {
	p := newPager(t)
	_, s := simulated(t)
	s = with(quick(), s, p.alarms())
	for _, name := range harness.Services {
		s[name+".port"] = freePort(t)
	}
	s[harness.Broker+".nats.port"] = freePort(t)
	s[harness.Broker+".nats.username"], s[harness.Broker+".nats.password"] = "node", "of-a-test"
	data := t.TempDir()
	others := slices.DeleteFunc(slices.Clone(harness.Services), func(name string) bool { return name == harness.Collector })
	n := harness.Start(t, data, s, others...)
	c := harness.Start(t, data, s, harness.Collector)
	well := func() bool { return seen(t, n, harness.Collector) && p.quiet(n) }
	harness.Await(t, time.Minute, "no alert", well)
	p.mu.Lock()
	p.told = nil // of the time before the collector ran
	p.mu.Unlock()

	killed := time.Now()
	c.Kill()
	inTime(t, n, p.await("RoleDown", "firing"), killed, 3*time.Second)
	dependants := []string{"service_down", "TargetScrapeFailing"}
	harness.Await(t, time.Minute, "dependants that fire and are muted", func() bool {
		active, muted := activeAlerts(t, n), 0
		by := slices.IndexFunc(active, func(a activeAlert) bool { return a.RuleID == "RoleDown" })
		for _, a := range active {
			if by >= 0 && slices.Contains(dependants, a.RuleID) && a.Labels["service"] == harness.Collector && a.InhibitedBy != nil && *a.InhibitedBy == active[by].Fingerprint {
				muted++
			}
		}
		return muted == len(dependants)
	})
	harness.Pause(t, 3*time.Second) // more turns of the group: nothing is told again
	c = harness.Start(t, data, s, harness.Collector)
	p.await("RoleDown", "resolved")
	harness.Await(t, time.Minute, "no alert", well)
	p.once("RoleDown", dependants...)
	c.Stop()
	n.Stop()
}

// TestAlertOfAStreamThatIsFrozen: the exchange's connections fall silent.
func TestAlertOfAStreamThatIsFrozen(t *testing.T) {
	p := newPager(t)
	sim, s := simulated(t)
	n := harness.Start(t, t.TempDir(), with(quick(), s, p.alarms()))
	harness.Await(t, time.Minute, "a live stream", func() bool { return metric(t, n, "mp_stream_up") == 1 })
	harness.Await(t, time.Minute, "no alert", func() bool { return p.quiet(n) })

	frozen := time.Now()
	sim.Order(t, "half-open", "exchange", "binance", "market", "spot")
	fired := p.await("StreamStale", "firing")
	inTime(t, n, fired, frozen, 5*time.Second)
	if fired.Labels["exchange"] != "binance" || fired.Labels["symbol"] == "" || fired.Labels["service"] != harness.Collector {
		t.Errorf("labels %v", fired.Labels)
	}
	sim.Order(t, "cut", "exchange", "binance", "market", "spot")
	p.await("StreamStale", "resolved")
	p.once("StreamStale")
	n.Stop()
}

// TestAlertOfAWriterThatIsSuspended: QuestDB suspends a table, and nobody resumes it
// before the alert.
func TestAlertOfAWriterThatIsSuspended(t *testing.T) {
	server := questdbtest.Start(t)
	p := newPager(t)
	n := harness.Start(t, t.TempDir(), with(impatient(server), harness.Settings{harness.Storage + ".actors.maintain_interval": "1h"}, p.alarms()))
	c := newClient("alerts")
	c.node.Store(n)
	c.write(t, 1, 5)
	harness.Await(t, 30*time.Second, "acknowledged writes", func() bool { return len(c.acknowledged()) > 20 })
	db := database(t, server)
	suspended := time.Now()
	if _, err := db.Exec(t.Context(), "ALTER TABLE trades SUSPEND WAL"); err != nil {
		t.Fatal(err)
	}
	inTime(t, n, p.await("WalTableSuspended", "firing"), suspended, 5*time.Second)
	a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/tables/trades/resume"), "application/json", nil)
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("resume: %v %+v", err, a)
	}
	p.await("WalTableSuspended", "resolved")
	c.end()
	p.once("WalTableSuspended")
	n.Stop()
}
