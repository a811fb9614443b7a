package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/catalogue"
)

// later are metrics of rules that a program that is well does not show, and when it does.
var later = map[string]string{
	"mp_actor_dead_letters_total":                    "with the first dead letter; the rule is about a rate",
	"mp_broker_certificate_expiry_timestamp_seconds": "with TLS: actors/broker tests it",
	"mp_certificate_expiry_timestamp_seconds":        "with TLS: internal/certs tests it",
	"mp_writer_suspended_tables":                     "with QuestDB: tests/chaos tests it",
	"mp_broker_majority":                             "with several brokers: tests/cluster tests it",
	"mp_placement_streams":                           "in a cluster: tests/cluster tests it",
	"mp_placement_revision":                          "in a cluster: tests/cluster tests it",
	"mp_consul_heartbeats_total":                     "in a cluster: cluster/consul tests it",
	"mp_broker_consumer_pending_messages":            "with a consumer: actors/broker tests it",
	"mp_stream_exchange_to_receive_seconds_bucket":   "once the clock of the exchange is known",
	"mp_stream_clock_offset_seconds":                 "once the clock of the exchange is known",
}

var (
	ruleMetric = regexp.MustCompile(`\b((?:mp|system|service)_[a-z_]+|up)\b(\{[^}]*\})?`)
	matched    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	grouped    = regexp.MustCompile(`\bby \(([a-z_, ]+)\)`)
	templated  = regexp.MustCompile(`\$labels\.([a-z_]+)`)
)

// judged is a rule as the program tells of it.
type judged struct {
	Name        string            `json:"name"`
	Query       string            `json:"query"`
	Health      string            `json:"health"`
	LastError   string            `json:"lastError"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// asked is what Prometheus' interface of the program answers.
func asked(t *testing.T, a *app.App, path string, into any) {
	t.Helper()
	r, err := http.Get(a.URL(cluster.Monitoring) + "/api/v1/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	answer := struct{ Data any }{into}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", path, r.StatusCode, text, err)
	}
}

// allJudged are the rules of the program, once each was evaluated.
func allJudged(t *testing.T, a *app.App) (rules []judged) {
	t.Helper()
	within(t, patience, "an evaluation of every rule", func() bool {
		var answer struct {
			Groups []struct{ Rules []judged }
		}
		asked(t, a, "rules", &answer)
		rules = nil
		for _, g := range answer.Groups {
			rules = append(rules, g.Rules...)
		}
		return len(rules) > 0 && !slices.ContainsFunc(rules, func(r judged) bool { return r.Health == "unknown" })
	})
	return rules
}

// TestRulesSeeTheirMetrics: the metrics of every built-in rule are in the catalogue, with
// the labels that the rule wants of them, and the running program shows them, well as it
// is: a counter that first appears when something has happened hides that from
// increase().
func TestRulesSeeTheirMetrics(t *testing.T) {
	a := running(t, func(c *config.Config) {
		c.Monitoring.Monitoring.Prometheus.Scrape.Interval, c.Monitoring.Monitoring.Prometheus.Scrape.Timeout = 2*time.Second, 2*time.Second
		c.Monitoring.Monitoring.Prometheus.Rules.Interval = time.Second
	})
	store(t, a)
	await(t, a)
	rules := allJudged(t, a)
	if len(rules) < 27 {
		t.Fatalf("only %d rules", len(rules))
	}
	var selectors []string
	unused := map[string]bool{}
	for name := range later {
		unused[name] = true
	}
	for _, r := range rules {
		if r.Health != "ok" {
			t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
		}
		known := []string{"job", "instance"}
		for _, m := range ruleMetric.FindAllStringSubmatch(r.Query, -1) {
			if m[1] == "service_name" { // a label
				continue
			}
			delete(unused, m[1])
			labels := labelsOf(t, r.Name, m[1])
			known = append(known, labels...)
			for _, l := range matched.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(append(labels, "job", "instance"), l[1]) {
					t.Errorf("%s wants %s of %s, which has %q", r.Name, l[1], m[1], labels)
				}
			}
			if later[m[1]] == "" {
				selectors = append(selectors, m[0])
			}
		}
		for _, l := range wanted(r) {
			if !slices.Contains(known, l) {
				t.Errorf("%s speaks of the label %s; there are %q", r.Name, l, known)
			}
		}
	}
	for name := range unused {
		t.Errorf("no rule uses %s", name)
	}
	sees(t, a, selectors)
}

// labelsOf are the labels of a metric, of those of Prometheus' own too.
func labelsOf(t *testing.T, rule, metric string) []string {
	t.Helper()
	if metric == "up" {
		return nil
	}
	m, ok := catalogue.Lookup(catalogue.Name(metric))
	if !ok {
		m, ok = catalogue.Lookup(catalogue.Name(strings.TrimSuffix(metric, "_bucket")))
		ok = ok && m.Type == catalogue.Histogram
	}
	if !ok {
		t.Errorf("%s uses %s, which is not in the catalogue", rule, metric)
	}
	labels := slices.Clone(m.Labels)
	if m.Type == catalogue.Histogram {
		labels = append(labels, "le")
	}
	return labels
}

// wanted are the labels that a rule groups by and speaks of.
func wanted(r judged) (labels []string) {
	for _, m := range grouped.FindAllStringSubmatch(r.Query, -1) {
		labels = append(labels, strings.Split(m[1], ", ")...)
	}
	for _, texts := range []map[string]string{r.Labels, r.Annotations} {
		for _, text := range texts {
			for _, m := range templated.FindAllStringSubmatch(text, -1) {
				labels = append(labels, m[1])
			}
		}
	}
	return labels
}

// sees waits until every selector has selected something.
func sees(t *testing.T, a *app.App, selectors []string) {
	t.Helper()
	left := slices.Clone(selectors)
	defer func() {
		if t.Failed() && len(left) > 0 {
			t.Errorf("the rules see none of %q", left)
		}
	}()
	within(t, patience, "what the rules look at", func() bool {
		left = slices.DeleteFunc(left, func(selector string) bool {
			var answer struct {
				Result []any `json:"result"`
			}
			asked(t, a, "query?query="+url.QueryEscape(selector), &answer)
			return len(answer.Result) > 0
		})
		return len(left) == 0
	})
}
