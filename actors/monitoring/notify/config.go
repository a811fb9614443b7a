package notify

import (
	"errors"
	"fmt"
	"time"
)

// Config is how alerts are told (monitoring-service.notify).
type Config struct {
	// StartupGrace is how long after a start nothing is told: what is still coming up
	// is no alert.
	StartupGrace time.Duration `yaml:"startup_grace" doc:"After a start nothing is told for so long; what still fires then is."`
	// Route is the root of the routing tree.
	Route RootRoute `yaml:"route" doc:"Who is told what. An alert takes the deepest route that matches; the root takes the rest."`
	// Inhibit mutes alerts while others fire.
	Inhibit []InhibitConfig `yaml:"inhibit" doc:"Which alerts mute which others while they fire."`
	// Receivers are those that routes name.
	Receivers []ReceiverConfig `yaml:"receivers" doc:"Those who are told, by name. One without anything in it is told nothing."`
	// Alertmanagers get every alert as Prometheus would send it.
	Alertmanagers []AlertmanagerConfig `yaml:"alertmanagers" doc:"Real Alertmanagers that get every alert, to route them by their own rules."`
	// SMTP is the mail server of email receivers.
	SMTP SMTPConfig `yaml:"smtp" doc:"The mail server that email goes through."`
	// ExternalURL begins the links in messages.
	ExternalURL string `yaml:"external_url" doc:"Where people reach this service, for links in messages; empty takes its own address."`
	// Queue is how many messages wait for one receiver.
	Queue int `yaml:"queue" min:"1" max:"10000" doc:"Messages that wait for one receiver; what comes on top is told at the group's next turn."`
	// Attempt, RetryFirst and RetryLast are of one message.
	Attempt    time.Duration `yaml:"attempt" doc:"What one attempt to tell may take."`
	RetryFirst time.Duration `yaml:"retry_first" doc:"Pause before the second attempt; each further one is twice as long."`
	RetryLast  time.Duration `yaml:"retry_last" doc:"The longest pause between attempts. After group_interval they end, and the group's next turn begins anew."`
	// MaxAlerts bounds what fires at one time.
	MaxAlerts int `yaml:"max_alerts" min:"10" max:"1000000" doc:"Alerts that may fire at one time; those beyond are counted and not told."`
	// MaxSilences bounds the silences, SilenceRetention is how long expired ones stay.
	MaxSilences      int           `yaml:"max_silences" min:"1" max:"100000" doc:"Silences that may be kept."`
	SilenceRetention time.Duration `yaml:"silence_retention" doc:"How long a silence is shown after it has ended."`
	// History is how many resolved alerts are remembered.
	History int `yaml:"history" min:"1" max:"10000" doc:"Resolved alerts that are remembered."`
}

// Timing is how often the groups of a route are told. 0 inherits, except at the root.
type Timing struct {
	GroupWait      time.Duration `yaml:"group_wait" doc:"How long a new group waits for more alerts before it is told."`
	GroupInterval  time.Duration `yaml:"group_interval" doc:"Time between two looks at what has changed in a group."`
	RepeatInterval time.Duration `yaml:"repeat_interval" doc:"When a group in which nothing has changed is told again."`
}

// RootRoute takes what no other route does.
type RootRoute struct {
	Receiver string   `yaml:"receiver" doc:"Who is told."`
	GroupBy  []string `yaml:"group_by" doc:"Labels by which alerts are told together; [...] tells each alone."`
	Timing   `yaml:",inline"`
	Routes   []RouteConfig `yaml:"routes" doc:"Tried in order."`
}

// Choice is what a route takes, and who is told; what is absent is inherited.
type Choice struct {
	Matchers []string `yaml:"matchers" doc:"All must match, such as severity=\"critical\" or service=~\"data-.*\"."`
	Receiver string   `yaml:"receiver" doc:"Who is told; empty inherits."`
	GroupBy  []string `yaml:"group_by" doc:"Labels by which alerts are told together; none inherits."`
	Continue bool     `yaml:"continue" doc:"Whether the next route beside it is tried as well."`
	Timing   `yaml:",inline"`
}

// RouteConfig is a route below the root, LeafConfig one below that.
type RouteConfig struct {
	Choice `yaml:",inline"`
	Routes []LeafConfig `yaml:"routes" doc:"Tried in order, before this route itself."`
}

// LeafConfig is a route without routes of its own.
type LeafConfig struct {
	Choice `yaml:",inline"`
}

// InhibitConfig mutes targets while a source fires.
type InhibitConfig struct {
	Source []string `yaml:"source" doc:"Matchers of the alert that mutes."`
	Target []string `yaml:"target" doc:"Matchers of the alerts that are muted."`
	Equal  []string `yaml:"equal" doc:"Labels that must be the same in both."`
}

// DefaultConfig writes alerts to the log. A service that is down mutes its own alerts, a
// cause what follows from it, and a critical alert the warning of the same name.
func DefaultConfig() Config {
	return Config{
		StartupGrace: time.Minute,
		Route: RootRoute{
			Receiver: "log", GroupBy: []string{"alertname", "service"},
			Timing: Timing{GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour},
			Routes: []RouteConfig{
				{Choice: Choice{Matchers: []string{`severity!~"warning|critical"`}, Receiver: "none"}},
			},
		},
		Inhibit: []InhibitConfig{
			{Source: []string{`alertname=~"RoleDown|service_down"`}, Target: []string{`alertname!~"RoleDown|service_down"`}, Equal: []string{"service"}},
			{Source: []string{`alertname="RoleDown"`}, Target: []string{`alertname="service_down"`}, Equal: []string{"service"}},
			{Source: []string{`alertname="StreamStale"`}, Target: []string{`alertname=~"StreamGapRate|BookResyncStorm"`}, Equal: []string{"exchange", "market", "symbol"}},
			{Source: []string{`alertname="ActorRestartStorm"`}, Target: []string{`alertname=~"MailboxBacklog|DeadLetterRate"`}, Equal: []string{"kind"}},
			{Source: []string{`alertname=~"WriterFailing|WalTableSuspended"`}, Target: []string{`alertname=~"WriterQueueNearFull|ArchiveOverdue"`}, Equal: []string{"service"}},
			{Source: []string{`alertname=~"WriterFailing|WalTableSuspended"`}, Target: []string{`alertname="PipelineLagHigh"`, `stream!=""`}, Equal: []string{}},
			{Source: []string{`severity="critical"`}, Target: []string{`severity="warning"`}, Equal: []string{"alertname", "service", "exchange", "market", "symbol"}},
		},
		Receivers:     []ReceiverConfig{{Name: "log", Log: true}, {Name: "none"}},
		Alertmanagers: []AlertmanagerConfig{},
		SMTP:          SMTPConfig{Port: 587, TLS: TLSStart},
		Queue:         256, Attempt: 10 * time.Second, RetryFirst: time.Second, RetryLast: 30 * time.Second,
		MaxAlerts: 10_000, MaxSilences: 1000, SilenceRetention: 120 * time.Hour, History: 500,
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	within := func(key string, d, lo, hi time.Duration) {
		if d < lo || d > hi {
			errs = append(errs, fmt.Errorf("%s: %v, allowed %v to %v", key, d, lo, hi))
		}
	}
	count := func(key string, n, lo, hi int) {
		if n < lo || n > hi {
			errs = append(errs, fmt.Errorf("%s: %d, allowed %d to %d", key, n, lo, hi))
		}
	}
	within("startup_grace", c.StartupGrace, 0, time.Hour)
	within("attempt", c.Attempt, 10*time.Millisecond, time.Minute)
	within("retry_first", c.RetryFirst, time.Millisecond, time.Minute)
	within("retry_last", c.RetryLast, c.RetryFirst, time.Hour)
	within("silence_retention", c.SilenceRetention, 0, 365*24*time.Hour)
	count("queue", c.Queue, 1, 10_000)
	count("max_alerts", c.MaxAlerts, 10, 1_000_000)
	count("max_silences", c.MaxSilences, 1, 100_000)
	count("history", c.History, 1, 10_000)
	if c.ExternalURL != "" {
		if err := checkURL(c.ExternalURL); err != nil {
			errs = append(errs, fmt.Errorf("external_url: %w", err))
		}
	}
	errs = append(errs, c.checkReceivers()...)
	_, routeErrs := c.tree()
	errs = append(errs, routeErrs...)
	_, inhibitErrs := c.inhibition()
	return errors.Join(append(errs, inhibitErrs...)...)
}

// tree makes the routing tree.
func (c Config) tree() (*route, []error) {
	known := map[string]bool{}
	for _, r := range c.Receivers {
		known[r.Name] = true
	}
	b := &treeBuilder{known: known}
	root := &route{key: "{}"}
	b.fill("route", root, &route{}, Choice{Receiver: c.Route.Receiver, GroupBy: c.Route.GroupBy, Timing: c.Route.Timing})
	if root.receiver == "" {
		b.bad("route.receiver", "must name a receiver")
	}
	for i, rc := range c.Route.Routes {
		key := fmt.Sprintf("route.routes[%d]", i)
		r := b.below(key, root, rc.Choice)
		for j, leaf := range rc.Routes {
			b.below(fmt.Sprintf("%s.routes[%d]", key, j), r, leaf.Choice)
		}
	}
	return root, b.errs
}

type treeBuilder struct {
	known map[string]bool
	errs  []error
}

func (b *treeBuilder) bad(key, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// below adds a route to its parent.
func (b *treeBuilder) below(key string, parent *route, c Choice) *route {
	matchers, err := ParseMatchers(c.Matchers)
	if err != nil {
		b.bad(key+".matchers", "%v", err)
	}
	r := &route{key: parent.key + "/" + matchers.String(), matchers: matchers, goOn: c.Continue}
	b.fill(key, r, parent, c)
	parent.children = append(parent.children, r)
	return r
}

// fill sets what a route says, and inherits the rest.
func (b *treeBuilder) fill(key string, r, parent *route, c Choice) {
	r.receiver, r.groupBy, r.byAll = parent.receiver, parent.groupBy, parent.byAll
	if c.Receiver != "" {
		r.receiver = c.Receiver
	}
	if r.receiver != "" && !b.known[r.receiver] {
		b.bad(key+".receiver", "there is no receiver %q", r.receiver)
	}
	if len(c.GroupBy) > 0 {
		r.byAll = len(c.GroupBy) == 1 && c.GroupBy[0] == "..."
		r.groupBy = c.GroupBy
		for _, name := range c.GroupBy {
			if !r.byAll && !labelName.MatchString(name) {
				b.bad(key+".group_by", "%q is no name of a label", name)
			}
		}
	}
	inherit := func(name string, to *time.Duration, set, above, lo time.Duration) {
		if *to = set; set == 0 {
			*to = above
		}
		if *to < lo || *to > 30*24*time.Hour {
			b.bad(key+"."+name, "%v, allowed %v to 30 days", *to, lo)
		}
	}
	inherit("group_wait", &r.wait, c.GroupWait, parent.wait, 0)
	inherit("group_interval", &r.interval, c.GroupInterval, parent.interval, 10*time.Millisecond)
	inherit("repeat_interval", &r.repeat, c.RepeatInterval, parent.repeat, 10*time.Millisecond)
}

// inhibition makes the rules of inhibition.
func (c Config) inhibition() (rules []inhibitRule, errs []error) {
	for i, ic := range c.Inhibit {
		source, err := ParseMatchers(ic.Source)
		target, err2 := ParseMatchers(ic.Target)
		if err = errors.Join(err, err2); err != nil {
			errs = append(errs, fmt.Errorf("inhibit[%d]: %w", i, err))
		}
		if len(source) == 0 || len(target) == 0 {
			errs = append(errs, fmt.Errorf("inhibit[%d]: needs source and target matchers, or everything would be muted", i))
		}
		rules = append(rules, inhibitRule{source: source, target: target, equal: ic.Equal})
	}
	return rules, errs
}
