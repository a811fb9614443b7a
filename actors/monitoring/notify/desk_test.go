package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// table is a desk and a clock: every message is carried out at once, and noted.
type table struct {
	t     *testing.T
	d     *desk
	now   time.Time
	begun time.Time
	mute  func(ls alert.Labels) bool
	fail  error // of every message
	heard []string
}

var noon = time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC)

func newTable(t *testing.T, change func(*Config)) *table {
	t.Helper()
	c := DefaultConfig()
	c.StartupGrace = 0
	c.Route.Receiver, c.Route.Routes = "a", nil
	c.Receivers = []ReceiverConfig{{Name: "a"}, {Name: "b"}}
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	root, _ := c.tree()
	rules, _ := c.inhibition()
	to := map[string][]destination{
		"a": {{id: "a.webhook.0", receiver: "a", tellsEnd: true}},
		"b": {{id: "b.email.0", receiver: "b"}},
	}
	tb := &table{t: t, d: newDesk(root, rules, to, 100), now: noon, begun: noon, mute: func(alert.Labels) bool { return false }}
	tb.d.grace = noon.Add(c.StartupGrace)
	return tb
}

// is makes an alert as a rule engine says it now.
func (tb *table) is(state alert.State, since time.Duration, pairs ...string) alert.Alert {
	a := alert.Alert{Labels: labels(pairs...), State: state, ActiveAt: tb.begun.Add(since), FiredAt: tb.begun.Add(since), CheckedAt: tb.now, Until: tb.now.Add(time.Hour)}
	a.Rule = a.Labels.Get(alert.NameLabel)
	if state == alert.Resolved {
		a.ResolvedAt = tb.now
	}
	return a
}

func (tb *table) fires(pairs ...string) {
	tb.d.accept([]alert.Alert{tb.is(alert.Firing, tb.now.Sub(tb.begun), pairs...)}, tb.now)
}

func (tb *table) ends(pairs ...string) {
	tb.d.accept([]alert.Alert{tb.is(alert.Resolved, 0, pairs...)}, tb.now)
}

// until lets time pass, second by second.
func (tb *table) until(after time.Duration) {
	for ; tb.now.Sub(tb.begun) < after; tb.now = tb.now.Add(time.Second) {
		tb.step()
	}
	tb.step()
}

func (tb *table) step() {
	tb.d.lapse(tb.now)
	in := inhibitionOf(tb.d.rules, tb.d.alerts, tb.now)
	for _, o := range tb.d.look(tb.now, func(ls alert.Labels) bool { return in.by(ls) != nil || tb.mute(ls) }) {
		if tb.fail == nil && len(o.message.alerts) > 0 {
			tb.heard = append(tb.heard, fmt.Sprintf("%s %s: %s", tb.now.Sub(tb.begun), o.message.receiver, said(o.message)))
		}
		tb.d.told(o, tb.fail)
	}
	tb.d.forget(tb.now)
}

// said is a message in short: the alerts, those that are resolved with a minus.
func said(m *message) string {
	var texts []string
	for i := range m.alerts {
		sign := ""
		if m.alerts[i].State == alert.Resolved {
			sign = "-"
		}
		texts = append(texts, sign+m.alerts[i].Rule+m.alerts[i].Labels.Get("n"))
	}
	return strings.Join(texts, " ")
}

func (tb *table) want(want ...string) {
	tb.t.Helper()
	if !slices.Equal(tb.heard, want) {
		tb.t.Errorf("told\n  %s\nwant\n  %s", strings.Join(tb.heard, "\n  "), strings.Join(want, "\n  "))
	}
}

func (tb *table) empty() {
	tb.t.Helper()
	if len(tb.d.alerts) != 0 || len(tb.d.groups) != 0 || len(tb.d.log) != 0 {
		tb.t.Errorf("left behind: %d alerts, %d groups, %d entries", len(tb.d.alerts), len(tb.d.groups), len(tb.d.log))
	}
}

// TestGrouping: what comes within group_wait is told together, what changes at the next
// group_interval, and an end once.
func TestGrouping(t *testing.T) {
	tb := newTable(t, nil)
	tb.fires("alertname", "A", "n", "1")
	tb.until(10 * time.Second)
	tb.fires("alertname", "A", "n", "2")
	tb.until(40 * time.Second)
	tb.fires("alertname", "A", "n", "3")
	tb.fires("alertname", "B")
	tb.until(6 * time.Minute)
	tb.ends("alertname", "A", "n", "1")
	tb.ends("alertname", "A", "n", "2")
	tb.until(11 * time.Minute)
	tb.ends("alertname", "A", "n", "3")
	tb.ends("alertname", "B")
	tb.until(30 * time.Minute)
	tb.want("30s a: A1 A2", "1m10s a: B", "5m30s a: A1 A2 A3", "10m30s a: A3 -A1 -A2", "11m10s a: -B", "15m30s a: -A3")
	tb.empty()
}

// TestRepeat: nothing new is told again after repeat_interval, at the group's turn.
func TestRepeat(t *testing.T) {
	tb := newTable(t, func(c *Config) { c.Route.RepeatInterval = 12 * time.Minute })
	tb.fires("alertname", "A")
	tb.until(31 * time.Minute)
	tb.want("30s a: A", "15m30s a: A", "30m30s a: A")
}

// TestShort: what ends before anybody was told is not told.
func TestShort(t *testing.T) {
	tb := newTable(t, nil)
	tb.fires("alertname", "A")
	tb.until(20 * time.Second)
	tb.ends("alertname", "A")
	tb.until(10 * time.Minute)
	tb.want()
	tb.empty()
}

// TestFlapping: an alert that ends and fires again between two turns is not told of
// twice; one that fires again after its end was told is new.
func TestFlapping(t *testing.T) {
	tb := newTable(t, nil)
	tb.fires("alertname", "A")
	tb.until(time.Minute)
	tb.ends("alertname", "A")
	tb.until(2 * time.Minute)
	tb.fires("alertname", "A")
	tb.until(6 * time.Minute)
	tb.ends("alertname", "A")
	tb.until(11 * time.Minute)
	tb.fires("alertname", "A")
	tb.until(12 * time.Minute)
	tb.want("30s a: A", "10m30s a: -A", "11m30s a: A")
}

// TestFailure: what could not be told is told at the next turn, ends included.
func TestFailure(t *testing.T) {
	tb := newTable(t, nil)
	tb.fail = errors.New("down")
	tb.fires("alertname", "A")
	tb.until(time.Minute)
	tb.fail = nil
	tb.until(6 * time.Minute)
	tb.fail = errors.New("down")
	tb.ends("alertname", "A")
	tb.until(11 * time.Minute)
	tb.fail = nil
	tb.until(20 * time.Minute)
	tb.want("5m30s a: A", "15m30s a: -A")
	tb.empty()
}

// TestSlow: while a message is under way its destination gets no second one.
func TestSlow(t *testing.T) {
	tb := newTable(t, nil)
	tb.fires("alertname", "A")
	tb.now = tb.begun.Add(30 * time.Second)
	never := func(alert.Labels) bool { return false }
	first := tb.d.look(tb.now, never)
	if len(first) != 1 {
		t.Fatalf("%d orders", len(first))
	}
	tb.now = tb.begun.Add(330 * time.Second)
	tb.ends("alertname", "A")
	if more := tb.d.look(tb.now, never); len(more) != 0 {
		t.Fatalf("%d orders beside one that is under way", len(more))
	}
	tb.d.told(first[0], nil)
	tb.until(11 * time.Minute)
	tb.want("10m30s a: -A")
	tb.empty()
}

// TestSilenced: a silence mutes what fires and not the end of what was told.
func TestSilenced(t *testing.T) {
	tb := newTable(t, nil)
	silenced := false
	tb.mute = func(ls alert.Labels) bool { return silenced && ls.Get("n") == "1" }
	tb.fires("alertname", "A", "n", "1")
	tb.until(time.Minute)
	silenced = true
	tb.fires("alertname", "A", "n", "2")
	tb.until(6 * time.Minute)
	tb.ends("alertname", "A", "n", "1")
	tb.until(20 * time.Minute)
	tb.want("30s a: A1", "5m30s a: A2", "10m30s a: A2 -A1")
}

// TestSilenceEnds: what still fires is told then.
func TestSilenceEnds(t *testing.T) {
	tb := newTable(t, nil)
	silenced := true
	tb.mute = func(alert.Labels) bool { return silenced }
	tb.fires("alertname", "A")
	tb.until(4 * time.Minute)
	silenced = false
	tb.until(12 * time.Minute)
	tb.want("5m30s a: A")
}

// TestInhibition: a role that is down mutes its own alerts and nobody else's.
func TestInhibition(t *testing.T) {
	tb := newTable(t, nil)
	tb.fires("alertname", "RoleDown", "service", "broker", "severity", "critical")
	tb.fires("alertname", "service_down", "service", "broker", "severity", "critical")
	tb.fires("alertname", "Lag", "service", "broker", "severity", "warning")
	tb.fires("alertname", "Lag", "service", "storage", "severity", "warning")
	tb.until(6 * time.Minute)
	tb.ends("alertname", "RoleDown", "service", "broker", "severity", "critical")
	tb.ends("alertname", "service_down", "service", "broker", "severity", "critical")
	tb.until(11 * time.Minute)
	tb.want("30s a: Lag", "30s a: RoleDown", "10m30s a: Lag", "10m30s a: -RoleDown")
}

// TestWhatFollowsIsInhibited: which built-in alerts mute which, by default.
func TestWhatFollowsIsInhibited(t *testing.T) {
	stream := []string{"exchange", "okx", "market", "spot", "symbol", "BTC-USDT"}
	other := []string{"exchange", "okx", "market", "spot", "symbol", "ETH-USDT"}
	for _, tt := range []struct {
		source   string
		sourceOf []string
		target   string
		targetOf []string
		muted    bool
	}{
		{"RoleDown", nil, "service_down", nil, true},
		{"RoleDown", nil, "TargetScrapeFailing", nil, true},
		{"service_down", nil, "high_response_time", nil, true},
		{"service_down", nil, "RoleDown", nil, false},
		{"RoleDown", nil, "RoleDown", []string{"zone", "b"}, false},
		{"StreamStale", stream, "StreamGapRate", stream, true},
		{"StreamStale", stream, "BookResyncStorm", stream, true},
		{"StreamStale", stream, "BookResyncStorm", other, false},
		{"StreamGapRate", stream, "StreamStale", stream, false},
		{"ActorRestartStorm", []string{"kind", "stream"}, "MailboxBacklog", []string{"kind", "stream"}, true},
		{"ActorRestartStorm", []string{"kind", "stream"}, "MailboxBacklog", []string{"kind", "reader"}, false},
		{"WalTableSuspended", nil, "ArchiveOverdue", nil, true},
		{"WriterFailing", nil, "WriterQueueNearFull", nil, true},
		{"WriterFailing", nil, "PipelineLagHigh", []string{"service", "collector", "stream", "JOURNAL_0"}, true},
		{"WriterFailing", nil, "PipelineLagHigh", []string{"service", "collector", "exchange", "okx"}, false},
		{"WriterFailing", nil, "WalTableSuspended", nil, false},
		{"ArchiveOverdue", nil, "WriterFailing", nil, false},
	} {
		rules, errs := DefaultConfig().inhibition()
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		of := func(name string, more []string) alert.Labels {
			pairs := append([]string{"alertname", name}, more...)
			if !slices.Contains(more, "service") {
				pairs = append(pairs, "service", "storage")
			}
			return labels(pairs...)
		}
		source := of(tt.source, tt.sourceOf)
		alerts := map[alert.Fingerprint]*standing{
			source.Fingerprint(): {Alert: alert.Alert{Labels: source, State: alert.Firing, CheckedAt: noon}},
		}
		if got := inhibitionOf(rules, alerts, noon).by(of(tt.target, tt.targetOf)) != nil; got != tt.muted {
			t.Errorf("%s %v mutes %s %v: %v", tt.source, tt.sourceOf, tt.target, tt.targetOf, got)
		}
	}
}

// TestInhibitionBothSides: an alert that matches both sides is not muted by another
// such, and so never by itself.
func TestInhibitionBothSides(t *testing.T) {
	rules := []inhibitRule{{source: parsed(t, `severity=~"critical|warning"`), target: parsed(t, `severity=~"warning|info"`), equal: []string{"service"}}}
	alerts := map[alert.Fingerprint]*standing{}
	add := func(severity string) alert.Labels {
		ls := labels("alertname", severity, "service", "s", "severity", severity)
		alerts[ls.Fingerprint()] = &standing{Alert: alert.Alert{Labels: ls, State: alert.Firing, CheckedAt: noon}}
		return ls
	}
	warning := add("warning")
	other := labels("alertname", "other", "service", "s", "severity", "warning")
	in := inhibitionOf(rules, alerts, noon)
	if in.by(warning) != nil || in.by(other) != nil {
		t.Error("a warning is muted by a warning")
	}
	if in.by(labels("service", "s", "severity", "info")) == nil {
		t.Error("info is not muted by a warning")
	}
	add("critical")
	in = inhibitionOf(rules, alerts, noon)
	if in.by(warning) == nil {
		t.Error("a warning is not muted by a critical alert")
	}
	if in.by(labels("severity", "warning")) != nil {
		t.Error("an alert without the equal label is muted by one that has it")
	}
	if in := inhibitionOf(rules, alerts, noon.Add(time.Hour)); in.by(warning) != nil {
		t.Error("a lapsed alert mutes")
	}
}

func parsed(t *testing.T, texts ...string) Matchers {
	t.Helper()
	ms, err := ParseMatchers(texts)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// TestRoutes: the deepest route takes an alert, the first of those beside each other
// unless it goes on, and the root what is left.
func TestRoutes(t *testing.T) {
	c := DefaultConfig()
	c.Receivers = []ReceiverConfig{{Name: "root"}, {Name: "page"}, {Name: "broker"}, {Name: "copy"}}
	c.Route = RootRoute{
		Receiver: "root", GroupBy: []string{"alertname"}, Timing: DefaultConfig().Route.Timing,
		Routes: []RouteConfig{
			{Choice: Choice{Matchers: []string{`severity="critical"`}, Receiver: "page", Timing: Timing{GroupWait: time.Second}}, Routes: []LeafConfig{
				{Choice{Matchers: []string{`service="broker"`}, Receiver: "broker", Continue: true, GroupBy: []string{"..."}}},
				{Choice{Matchers: []string{`service=~"b.*"`}, Receiver: "copy"}},
			}},
			{Choice: Choice{Matchers: []string{`service="broker"`}, Receiver: "copy"}},
		},
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	root, _ := c.tree()
	for _, tt := range []struct {
		ls   alert.Labels
		want string
	}{
		{labels("severity", "warning"), "root {}"},
		{labels("severity", "critical"), `page {}/{severity="critical"}`},
		{labels("severity", "critical", "service", "broker"), `broker {}/{severity="critical"}/{service="broker"}; copy {}/{severity="critical"}/{service=~"b.*"}`},
		{labels("service", "broker"), `copy {}/{service="broker"}`},
	} {
		var got []string
		for _, r := range root.find(tt.ls) {
			got = append(got, r.receiver+" "+r.key)
		}
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("%s takes %s, want %s", tt.ls, text, tt.want)
		}
	}
	leaf := root.children[0].children[0]
	if leaf.wait != time.Second || leaf.interval != 5*time.Minute || !leaf.byAll || root.children[0].byAll {
		t.Errorf("inherited: %+v", leaf)
	}
	ls := labels("a", "1", "alertname", "A")
	if leaf.groupLabels(ls).Compare(ls) != 0 || root.groupLabels(ls).String() != `{alertname="A"}` {
		t.Errorf("groups %s and %s", leaf.groupLabels(ls), root.groupLabels(ls))
	}
}

// TestQuietEnd: a destination that is not told of ends is not told of them, and of the
// next firing it is.
func TestQuietEnd(t *testing.T) {
	tb := newTable(t, func(c *Config) { c.Route.Receiver = "b" })
	tb.fires("alertname", "A")
	tb.until(time.Minute)
	tb.ends("alertname", "A")
	tb.until(7 * time.Minute)
	tb.fires("alertname", "A")
	tb.until(8 * time.Minute)
	tb.want("30s b: A", "7m30s b: A")
}

// TestGrace: nothing is told while everything is still starting.
func TestGrace(t *testing.T) {
	tb := newTable(t, func(c *Config) { c.StartupGrace = 2 * time.Minute })
	tb.fires("alertname", "A")
	tb.fires("alertname", "B")
	tb.until(90 * time.Second)
	tb.ends("alertname", "B")
	tb.until(3 * time.Minute)
	tb.want("2m0s a: A")
}

// TestLapse: what the rule engine speaks of no longer ends by itself.
func TestLapse(t *testing.T) {
	tb := newTable(t, nil)
	a := tb.is(alert.Firing, 0, "alertname", "A")
	a.Until = tb.now.Add(2 * time.Minute)
	tb.d.accept([]alert.Alert{a}, tb.now)
	tb.until(6 * time.Minute)
	tb.want("30s a: A", "5m30s a: -A")
	tb.empty()
}

// TestRestart: a desk that was given the log neither repeats nor forgets.
func TestRestart(t *testing.T) {
	tb := newTable(t, nil)
	tb.fires("alertname", "A")
	tb.fires("alertname", "B")
	tb.until(time.Minute)
	old := tb.d
	tb.d = newDesk(old.root, old.rules, old.destinations, old.maxAlerts)
	tb.d.log = old.log
	a, b := tb.is(alert.Firing, 0, "alertname", "A"), tb.is(alert.Firing, 0, "alertname", "B")
	b.Until = tb.now.Add(time.Minute) // it ended while nobody watched
	tb.d.accept([]alert.Alert{a, b}, tb.now)
	tb.until(10 * time.Minute)
	tb.want("30s a: A", "30s a: B", "6m0s a: -B")
}

// TestMaxAlerts: those beyond the bound are counted, those within go on.
func TestMaxAlerts(t *testing.T) {
	tb := newTable(t, nil)
	var many []alert.Alert
	for i := range 150 {
		many = append(many, tb.is(alert.Firing, 0, "alertname", "A", "n", fmt.Sprint(i)))
	}
	if got := tb.d.accept(many, tb.now); got.refused != 50 || len(got.fired) != 100 {
		t.Errorf("refused %d, took %d", got.refused, len(got.fired))
	}
	if got := tb.d.accept(many, tb.now); got.refused != 50 || len(got.fired) != 0 {
		t.Errorf("again: refused %d, took %d", got.refused, len(got.fired))
	}
}
