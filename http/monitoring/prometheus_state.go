package monitoring

import (
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
)

func (p *prometheus) metadata(r *http.Request) (found, error) {
	limit, err := integer(r, "limit")
	if err != nil {
		return found{}, err
	}
	each, err := integer(r, "limit_per_metric")
	if err != nil {
		return found{}, err
	}
	all := p.Scraped.Metadata(r.Form.Get("metric"))
	out := map[string][]promql.Metadata{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if limit >= 0 && len(out) >= limit {
			break
		}
		out[name] = all[name]
		if each > 0 && len(out[name]) > each {
			out[name] = out[name][:each]
		}
	}
	return found{data: out}, nil
}

// integer reads a parameter; -1 when it is absent.
func integer(r *http.Request, name string) (int, error) {
	text := r.Form.Get(name)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, promql.Bad("%s must be a number", name)
	}
	return n, nil
}

// promTarget is a target as Prometheus tells it.
type promTarget struct {
	DiscoveredLabels   map[string]string `json:"discoveredLabels"`
	Labels             map[string]string `json:"labels"`
	ScrapePool         string            `json:"scrapePool"`
	ScrapeURL          string            `json:"scrapeUrl"`
	GlobalURL          string            `json:"globalUrl"`
	LastError          string            `json:"lastError"`
	LastScrape         time.Time         `json:"lastScrape"`
	LastScrapeDuration float64           `json:"lastScrapeDuration"`
	Health             string            `json:"health"`
	ScrapeInterval     string            `json:"scrapeInterval"`
	ScrapeTimeout      string            `json:"scrapeTimeout"`
}

func (p *prometheus) targets(r *http.Request) (found, error) {
	state, pool := strings.ToLower(r.Form.Get("state")), r.Form.Get("scrapePool")
	active := []promTarget{}
	for _, t := range p.Scraped.Targets() {
		if state != "" && state != "any" && state != "active" || pool != "" && pool != t.Job {
			continue
		}
		labels := map[string]string{"job": t.Job, "instance": t.Instance}
		maps.Copy(labels, t.Labels)
		active = append(active, promTarget{
			DiscoveredLabels: map[string]string{"__address__": t.Instance, "job": t.Job}, Labels: labels, ScrapePool: t.Job, ScrapeURL: t.URL, GlobalURL: t.URL,
			LastError: t.Err, LastScrape: t.Last, LastScrapeDuration: t.Duration.Seconds(), Health: t.Health,
			ScrapeInterval: p.Interval.String(), ScrapeTimeout: p.Timeout.String(),
		})
	}
	return found{data: map[string]any{"activeTargets": active, "droppedTargets": []any{}, "droppedTargetCounts": map[string]int{}}}, nil
}

// promGroup is a group of rules as Prometheus tells it.
type promGroup struct {
	Name           string    `json:"name"`
	File           string    `json:"file"`
	Rules          []any     `json:"rules"`
	Interval       float64   `json:"interval"`
	Limit          int       `json:"limit"`
	EvaluationTime float64   `json:"evaluationTime"`
	LastEvaluation time.Time `json:"lastEvaluation"`
}

// promRule is what every rule has.
type promRule struct {
	Name           string            `json:"name"`
	Query          string            `json:"query"`
	Labels         map[string]string `json:"labels"`
	Health         string            `json:"health"`
	LastError      string            `json:"lastError,omitempty"`
	EvaluationTime float64           `json:"evaluationTime"`
	LastEvaluation time.Time         `json:"lastEvaluation"`
	Type           string            `json:"type"`
}

// promAlerting is what an alerting rule has besides.
type promAlerting struct {
	promRule
	State         string            `json:"state"`
	Duration      float64           `json:"duration"`
	KeepFiringFor float64           `json:"keepFiringFor"`
	Annotations   map[string]string `json:"annotations"`
	Alerts        []promAlert       `json:"alerts"`
}

// promAlert is an alert as Prometheus tells it.
type promAlert struct {
	Labels          map[string]string `json:"labels"`
	Annotations     map[string]string `json:"annotations"`
	State           string            `json:"state"`
	ActiveAt        time.Time         `json:"activeAt"`
	KeepFiringSince time.Time         `json:"keepFiringSince,omitzero"`
	Value           string            `json:"value"`
}

func (p *prometheus) rules(r *http.Request) (found, error) {
	kind := strings.ToLower(r.Form.Get("type"))
	if kind != "" && kind != "alert" && kind != "record" {
		return found{}, promql.Bad("invalid parameter %q: not supported value %q", "type", kind)
	}
	withoutAlerts := false
	if text := r.Form.Get("exclude_alerts"); text != "" {
		var err error
		if withoutAlerts, err = strconv.ParseBool(text); err != nil {
			return found{}, promql.Bad("invalid parameter %q: error converting exclude_alerts: %w", "exclude_alerts", err)
		}
	}
	wanted := func(param, name string) bool {
		return len(r.Form[param]) == 0 || slices.Contains(r.Form[param], name)
	}
	groups := []promGroup{}
	for _, g := range p.Ruled.Groups() {
		if !wanted("rule_group[]", g.Name) || !wanted("file[]", g.File) {
			continue
		}
		out := promGroup{
			Name: g.Name, File: g.File, Rules: []any{}, Interval: g.Interval.Seconds(), Limit: g.Limit,
			EvaluationTime: g.Duration.Seconds(), LastEvaluation: g.Last,
		}
		for _, rule := range g.Rules {
			if !wanted("rule_name[]", rule.Name()) || kind == "alert" && rule.Alert == "" || kind == "record" && rule.Alert != "" {
				continue
			}
			out.Rules = append(out.Rules, ruleOf(rule, withoutAlerts))
		}
		if len(out.Rules) > 0 {
			groups = append(groups, out)
		}
	}
	f := found{data: map[string]any{"groups": groups}}
	if err := p.Ruled.Fault(); err != nil {
		f.warnings = []string{"the rule files have a fault, and older rules are in force: " + err.Error()}
	}
	return f, nil
}

func ruleOf(rule rules.RuleView, withoutAlerts bool) any {
	common := promRule{
		Name: rule.Name(), Query: rule.Expr, Labels: rule.Labels, Health: rule.Health, LastError: rule.Err,
		EvaluationTime: rule.Duration.Seconds(), LastEvaluation: rule.Last, Type: "recording",
	}
	if rule.Alert == "" {
		return common
	}
	common.Type = "alerting"
	out := promAlerting{
		promRule: common, State: rule.State.String(), Duration: rule.For.Seconds(), KeepFiringFor: rule.KeepFiringFor.Seconds(),
		Annotations: rule.Annotations, Alerts: []promAlert{},
	}
	if !withoutAlerts {
		out.Alerts = alertsOf(rule)
	}
	return out
}

func alertsOf(rule rules.RuleView) []promAlert {
	out := make([]promAlert, 0, len(rule.Alerts))
	for _, a := range rule.Alerts {
		out = append(out, promAlert{
			Labels: a.Labels.Map(), Annotations: a.Annotations.Map(), State: a.State.String(), ActiveAt: a.ActiveAt,
			KeepFiringSince: a.KeepFiringSince, Value: strconv.FormatFloat(a.Value, 'e', -1, 64),
		})
	}
	return out
}

func (p *prometheus) alerts(*http.Request) (found, error) {
	all := []promAlert{}
	for _, g := range p.Ruled.Groups() {
		for _, rule := range g.Rules {
			all = append(all, alertsOf(rule)...)
		}
	}
	return found{data: map[string]any{"alerts": all}}, nil
}

func (p *prometheus) buildInfo(*http.Request) (found, error) {
	return found{data: map[string]string{
		"version": promql.Version, "revision": "marketprism " + p.Version, "branch": "", "buildUser": "", "buildDate": "", "goVersion": runtime.Version(),
	}}, nil
}
