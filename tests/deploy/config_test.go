package deploy

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// ruleFiles are the program's own rules, one after the other.
func ruleFiles(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range ruleNames(t) {
		all.WriteString(text(t, filepath.Join("../../config/rules", name)))
	}
	return all.String()
}

func ruleNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("../../config/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.yaml") {
			names = append(names, filepath.Base(f))
		}
	}
	return names
}

// TestPrometheusConfig: promtool takes the configuration, and the rules in it are all of
// the program's own.
func TestPrometheusConfig(t *testing.T) {
	var c struct {
		Rules []string `yaml:"rule_files"`
	}
	decode(t, filepath.Join(deployed, "prometheus/prometheus.yml"), &c)
	var want []string
	for _, name := range ruleNames(t) {
		want = append(want, "rules/"+name)
	}
	if !slices.Equal(c.Rules, want) {
		t.Errorf("rules %q, want %q", c.Rules, want)
	}
	promtool, home := tool(t, "promtool"), t.TempDir()
	for _, name := range ruleNames(t) {
		write(t, filepath.Join(home, "rules", name), text(t, filepath.Join("../../config/rules", name)))
	}
	for _, name := range []string{"prometheus.yml", "targets/gateways.yaml", "targets/alertmanagers.yaml", "targets/questdb.yaml"} {
		write(t, filepath.Join(home, name), text(t, filepath.Join(deployed, "prometheus", name)))
	}
	write(t, filepath.Join(home, "secrets/api_key"), "mp_of-a-test")
	write(t, filepath.Join(home, "secrets/ca.crt"), authority(t))
	write(t, filepath.Join(home, "secrets/questdb_password"), "of-a-test")
	if said := must(t, nil, promtool, "check", "config", filepath.Join(home, "prometheus.yml")); !strings.Contains(said, "is valid prometheus config file syntax") {
		t.Errorf("promtool: %s", said)
	}
}

// TestAlertmanagerConfig: amtool takes the configuration, and it inhibits what the
// monitoring-service does.
func TestAlertmanagerConfig(t *testing.T) {
	path := filepath.Join(deployed, "alertmanager/alertmanager.yml")
	type inhibition struct {
		Source []string `yaml:"source_matchers"`
		Target []string `yaml:"target_matchers"`
		Equal  []string `yaml:"equal"`
	}
	var theirs struct {
		Inhibit []inhibition `yaml:"inhibit_rules"`
	}
	decode(t, path, &theirs)
	var ours struct {
		Service struct {
			Monitoring struct {
				Notify struct {
					Inhibit []struct {
						Source []string `yaml:"source"`
						Target []string `yaml:"target"`
						Equal  []string `yaml:"equal"`
					} `yaml:"inhibit"`
				} `yaml:"notify"`
			} `yaml:"monitoring"`
		} `yaml:"monitoring-service"`
	}
	decode(t, "../../config/services.yaml", &ours)
	var want []inhibition
	for _, i := range ours.Service.Monitoring.Notify.Inhibit {
		want = append(want, inhibition(i))
	}
	if a, b := plain(t, theirs.Inhibit), plain(t, want); a != b || len(want) == 0 {
		t.Errorf("the Alertmanager inhibits\n%s\nthe monitoring-service\n%s", a, b)
	}
	must(t, nil, tool(t, "amtool"), "check-config", path)
}

// TestSystemdUnit: systemd takes the unit.
func TestSystemdUnit(t *testing.T) {
	verify := tool(t, "systemd-analyze")
	unit := text(t, filepath.Join(deployed, "systemd/marketprism.service"))
	if !strings.Contains(unit, "ExecStart=/usr/local/bin/marketprism start ") {
		t.Fatal("the unit starts another program")
	}
	// It looks for the program, which need not be installed here.
	path := filepath.Join(t.TempDir(), "marketprism.service")
	write(t, path, strings.ReplaceAll(unit, "ExecStart=/usr/local/bin/marketprism", "ExecStart=/bin/true"))
	if said := must(t, nil, verify, "verify", "--man=no", path); strings.Contains(said, "marketprism.service:") {
		t.Errorf("systemd-analyze: %s", said)
	}
	if said := must(t, nil, verify, "security", "--offline=yes", "--threshold=25", path); !strings.Contains(said, "OK") {
		t.Errorf("the unit is exposed: %s", said)
	}
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func plain(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
