package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/marketprism/marketprism/config"
)

// alertRule is what is looked at of a rule.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Keep        string            `yaml:"keep_firing_for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// builtinRules reads the alerts of all files that are in the binary.
func builtinRules(t *testing.T) map[string]alertRule {
	t.Helper()
	names, err := fs.Glob(config.Rules(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]alertRule{}
	for _, name := range names {
		text, err := fs.ReadFile(config.Rules(), name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Groups []struct {
				Name  string      `yaml:"name"`
				Rules []alertRule `yaml:"rules"`
			} `yaml:"groups"`
		}
		if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if _, twice := all[r.Alert]; twice || r.Alert == "" {
					t.Errorf("%s: alert %q twice, or without a name", name, r.Alert)
				}
				all[r.Alert] = r
			}
		}
	}
	return all
}

// TestRulesAreComplete: every alert says what it is, has a severity that is known, a
// service by which a role that is down mutes it, and a runbook; none has been forgotten.
func TestRulesAreComplete(t *testing.T) {
	all := builtinRules(t)
	runbooks, err := os.ReadFile("../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range all {
		if !slices.Contains([]string{"critical", "warning", "none"}, r.Labels["severity"]) || r.Labels["service"] == "" {
			t.Errorf("%s: labels %v", name, r.Labels)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s says not what it is", name)
		}
		if want := "docs/runbooks.md#" + strings.ToLower(name); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook %q, want %q", name, r.Annotations["runbook_url"], want)
		}
		if !strings.Contains(string(runbooks), "\n## "+name+"\n") {
			t.Errorf("docs/runbooks.md has no section %s", name)
		}
	}
	for _, name := range []string{
		"RoleDown", "TargetScrapeFailing", "StreamStale", "StreamGapRate", "BookResyncStorm", "ClockSkew", "ExchangeLagHigh", "PipelineLagHigh",
		"ActorRestartStorm", "MailboxBacklog", "DeadLetterRate", "WriterQueueNearFull", "WriterFailing", "WalTableSuspended", "ArchiveOverdue",
		"JobMissed", "BrokerConsumerLag", "RateLimitNearCap", "CertExpiry", "DiskLow", "CardinalityHigh", "Watchdog",
		"BrokerMajorityLost", "StreamsUnplaced", "ConsulUnreachable", "NoPlan", "PlanNotFollowed",
		"high_cpu_usage", "high_memory_usage", "service_down", "high_response_time", "data_processing_errors",
	} {
		if all[name].Expr == "" {
			t.Errorf("there is no rule %s", name)
		}
	}
	for name, want := range map[string]string{
		"high_cpu_usage": "300s", "high_memory_usage": "300s", "service_down": "60s", "high_response_time": "180s", "data_processing_errors": "300s",
	} {
		if got := all[name].For; got != want {
			t.Errorf("%s is for %s, documented is %s", name, got, want)
		}
	}
}

// TestEveryRuleIsTested: each rule file is in the binary and has a test, and each alert
// is in it.
func TestEveryRuleIsTested(t *testing.T) {
	files, err := filepath.Glob("rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests := ""
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, "_test.yaml") {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests += string(text)
			continue
		}
		if _, err := fs.Stat(config.Rules(), name); err != nil {
			t.Errorf("%s is not in the binary: %v", file, err)
		}
		if test := strings.TrimSuffix(file, ".yaml") + "_test.yaml"; !slices.Contains(files, test) {
			t.Errorf("%s has no %s", file, test)
		}
	}
	for name := range builtinRules(t) {
		if !strings.Contains(tests, "alertname: "+name+"\n        exp_alerts:\n") {
			t.Errorf("no test makes %s fire", name)
		}
	}
}
