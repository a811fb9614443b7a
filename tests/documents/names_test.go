package documents

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shownPage is the text of a document.
func shownPage(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", document))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	metric   = regexp.MustCompile(`\bmp_[a-z0-9]+_[a-z0-9_]*[a-z0-9]\b`)
	ofMetric = regexp.MustCompile(`_(?:bucket|sum|count)$`)
)

// TestMetricNames: the metrics that the documents name are in their list, which is
// written from the catalogue.
func TestMetricNames(t *testing.T) {
	list := shownPage(t, "docs/metrics.md")
	for _, d := range documents(t) {
		for _, name := range metric.FindAllString(d.text, -1) {
			if !strings.Contains(list, "`"+name+"`") && !strings.Contains(list, "`"+ofMetric.ReplaceAllString(name, "")+"`") {
				t.Errorf("%s: there is no metric %s", d.title(), name)
			}
		}
	}
}

var (
	operationOf = regexp.MustCompile(`(?m)^### [A-Z]+ (/\S+)$`)
	pathOf      = regexp.MustCompile(`(?:^|[\s"'(/\w])(/(?:api/v\d|ws)/[^\s"'?)\]|,;&]*)`)
	// example is a path that stands for others, is a reader's own, is the base of Prometheus'
	// interface, or is there in a cluster alone.
	example     = regexp.MustCompile(`/X$|/SERVICE/|/my-service/|^/api/v1/hello$|\{[^}]*$|^/api/v1/(?:monitoring/)?prometheus$|^/api/v1/placement$`)
	placeholder = regexp.MustCompile(`\{[^}/]*\}|%2F`)
)

// gatewayPrefixes are what the gateway makes of paths.
var gatewayPrefixes = regexp.MustCompile(`^/(api/v1|ws)/(?:data-storage-service|scheduler-service|market-data-collector|monitoring-service|message-broker-service|collector|monitoring)/`)

// TestPaths: the paths that the documents name are operations of a service.
func TestPaths(t *testing.T) {
	var known []*regexp.Regexp
	files, err := filepath.Glob("../../docs/api/*.md")
	if err != nil || len(files) != 6 {
		t.Fatal(files, err)
	}
	var prefixes []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range operationOf.FindAllStringSubmatch(string(text), -1) {
			for _, path := range []string{m[1], strings.Replace(m[1], "/api/v1/broker/", "/api/v1/", 1)} {
				prefixes = append(prefixes, path)
				pattern := strings.ReplaceAll(regexp.QuoteMeta(placeholder.ReplaceAllString(path, "\x00")), "\x00", "[^/]+")
				known = append(known, regexp.MustCompile("^"+pattern+"$"))
			}
		}
	}
	for _, d := range documents(t) {
		if strings.HasPrefix(d.title(), "docs/api/") {
			continue
		}
		for _, line := range d.snippets() {
			for _, m := range pathOf.FindAllStringSubmatch(line, -1) {
				if !example.MatchString(m[1]) && !isPath(m[1], known, prefixes) {
					t.Errorf("%s: no service has %s", d.title(), m[1])
				}
			}
		}
	}
	if isPath("/api/v1/storage/nothing", known, prefixes) || isPath("/api/v1/stora", known, prefixes) || !isPath("/api/v1/collector/quality/binance/BTC-USDT", known, prefixes) {
		t.Error("paths are judged wrongly")
	}
}

// isPath reports whether a path is an operation's, or the beginning of some.
func isPath(path string, known []*regexp.Regexp, prefixes []string) bool {
	path, _, _ = strings.Cut(strings.TrimRight(path, ".:…*\\"), "[")
	for _, name := range []string{path, gatewayPrefixes.ReplaceAllString(path, "/$1/")} {
		name = placeholder.ReplaceAllString(name, "x")
		for _, pattern := range known {
			if pattern.MatchString(name) {
				return true
			}
		}
		for _, p := range prefixes {
			if strings.HasPrefix(p, strings.TrimSuffix(name, "/")+"/") {
				return true
			}
		}
	}
	return false
}

var settingOf = regexp.MustCompile("`((?:node|cluster|log|http|exchanges|data-storage-service|scheduler-service|market-data-collector|api-gateway-service|monitoring-service|message-broker-service)\\.[a-z0-9_<>{}.-]*[a-z0-9_}])[`=:]")

// TestSettingNames: the settings that the documents name by their whole path exist.
func TestSettingNames(t *testing.T) {
	s := readSchema(t, "services")
	exchange := readSchema(t, "exchange")
	others := map[string]bool{ // that are named alike
		"node.drain": true, "node.undrain": true, // in the audit log
		"scheduler-service.scheduler.check_interval_seconds": true, // taken, and without effect
	}
	for _, d := range documents(t) {
		if d.title() == settingsPage {
			continue
		}
		for _, m := range settingOf.FindAllStringSubmatch(d.text, -1) {
			path := strings.Split(m[1], ".")
			at := s
			if path[0] == "exchanges" && len(path) > 1 {
				at, path = exchange, path[2:]
			}
			if strings.HasSuffix(m[1], ".go") || strings.HasSuffix(m[1], ".service") || others[m[1]] || at.has(path) {
				continue
			}
			t.Errorf("%s: there is no setting %s", d.title(), m[1])
		}
	}
	if s.has([]string{"node", "colour"}) || !exchange.has([]string{"markets", "spot", "symbols"}) {
		t.Error("settings are judged wrongly")
	}
}

// setting is a JSON Schema, as far as it is read.
type setting struct {
	Description string              `json:"description"`
	Type        any                 `json:"type"`
	Enum        []string            `json:"enum"`
	Default     json.RawMessage     `json:"default"`
	Minimum     *float64            `json:"minimum"`
	Maximum     *float64            `json:"maximum"`
	Items       *setting            `json:"items"`
	Properties  map[string]*setting `json:"properties"`
	Additional  json.RawMessage     `json:"additionalProperties"`
	AnyOf       []struct {
		Pattern string `json:"pattern"`
	} `json:"anyOf"`
}

func readSchema(t *testing.T, name string) *setting {
	t.Helper()
	var s setting
	if err := json.Unmarshal([]byte(shownPage(t, "config/schema/"+name+".schema.json")), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// each is what any key of a section has; nil where the keys are given.
func (s *setting) each() *setting {
	var below setting
	if len(s.Additional) == 0 || json.Unmarshal(s.Additional, &below) != nil {
		return nil
	}
	return &below
}

// has reports whether there is a setting at a path.
func (s *setting) has(path []string) bool {
	if len(path) == 0 {
		return true
	}
	if below, ok := s.Properties[path[0]]; ok {
		return below.has(path[1:])
	}
	if below := s.each(); below != nil {
		return below.has(path[1:])
	}
	return s.Items != nil && s.Items.has(path)
}

// TestRunbooks: every section of the runbooks is that of an alert; that every alert has one,
// and points at it, is tested beside the rules, which are those of deploy too.
func TestRunbooks(t *testing.T) {
	files, err := filepath.Glob("../../config/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllSubmatch(text, -1) {
			alerts[string(m[1])] = true
		}
	}
	sections := regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(shownPage(t, "docs/runbooks.md"), -1)
	for _, m := range sections {
		if !alerts[m[1]] {
			t.Errorf("docs/runbooks.md: there is no alert %s", m[1])
		}
	}
	if len(sections) != len(alerts) {
		t.Errorf("%d sections for %d alerts", len(sections), len(alerts))
	}
}

// TestIndex: every page is found from the first one of the documents.
func TestIndex(t *testing.T) {
	index := shownPage(t, "docs/README.md")
	for _, d := range documents(t) {
		name, ok := strings.CutPrefix(d.title(), "docs/")
		if !ok || name == "README.md" || strings.HasPrefix(name, "adr/0") { // those have an index of their own
			continue
		}
		if !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
	}
}
