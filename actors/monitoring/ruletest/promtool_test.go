package ruletest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/actors/monitoring/promtest"
	"github.com/marketprism/marketprism/actors/monitoring/ruletest"
)

const builtin = "../../../config/rules"

// suite is a test file with its rule files, by name.
type suite struct {
	test  string
	files map[string]string
}

func load(t *testing.T, path string) suite {
	t.Helper()
	s := suite{test: filepath.Base(path), files: map[string]string{}}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s.files[filepath.Base(name)] = string(text)
	}
	return s
}

// write puts the suite into a directory and returns the path of its test file.
func (s suite) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range s.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, s.test)
}

// number is a value, a threshold or a duration in a rule or test file.
var number = regexp.MustCompile(`(expr|values|value|eval_time|for|summary|exp_labels|keep_firing_for)(:.*?\b)(\d+)`)

// mutants are suites with one number of the test file, or of a rule file, changed.
func (s suite) mutants(most int) []suite {
	var out []suite
	for name, text := range s.files {
		if name != s.test && !strings.Contains(s.files[s.test], name) {
			continue
		}
		places := number.FindAllStringSubmatchIndex(text, -1)
		for i := len(places) / 3; i < len(places); i += len(places)/most + 1 {
			at := places[i]
			n, err := strconv.Atoi(text[at[6]:at[7]])
			if err != nil {
				continue
			}
			m := suite{s.test, map[string]string{}}
			for other, same := range s.files {
				m.files[other] = same
			}
			m.files[name] = text[:at[6]] + strconv.Itoa(n*3+1) + text[at[7]:]
			out = append(out, m)
		}
	}
	return out
}

// TestVerdict runs the tests of the built-in rules and those beside, as they are and
// with changes, and wants the verdict of promtool each time.
func TestVerdict(t *testing.T) {
	promtest.Tool(t, "promtool")
	tests, err := filepath.Glob(filepath.Join(builtin, "*_test.yaml"))
	if err != nil || len(tests) < 3 {
		t.Fatalf("tests of the built-in rules: %q, %v", tests, err)
	}
	type work struct {
		what   string
		path   string
		wanted bool // it is as it was written, and has to pass
	}
	var all []work
	for _, path := range append(tests, "testdata/good.yaml") {
		s := load(t, path)
		all = append(all, work{path, s.write(t), true})
		for i, m := range s.mutants(perFile) {
			all = append(all, work{fmt.Sprintf("%s, changed %d", path, i), m.write(t), false})
		}
	}
	var workers sync.WaitGroup
	var mu sync.Mutex
	verdicts := map[bool]int{}
	queue := make(chan work)
	for range 2 {
		workers.Go(func() {
			for w := range queue {
				said, want := promtest.Run(t, "test", "rules", w.path)
				faults, _ := ruletest.Run(t.Context(), w.path)
				if got := len(faults) == 0; got != want || w.wanted && !got {
					t.Errorf("%s: passes %v, promtool says %v\n%v\n%s", w.what, got, want, faults, said)
				}
				mu.Lock()
				verdicts[want]++
				mu.Unlock()
			}
		})
	}
	for _, w := range all {
		queue <- w
	}
	close(queue)
	workers.Wait()
	if verdicts[true] < 6 || verdicts[false] < 4 {
		t.Errorf("%d pass and %d fail: that says little", verdicts[true], verdicts[false])
	}
	t.Logf("%d pass, %d fail, with promtool", verdicts[true], verdicts[false])
}

// TestFilesAreAccepted: promtool finds nothing wrong with the built-in rule files, and
// as many rules as there are alerts in them.
func TestFilesAreAccepted(t *testing.T) {
	promtest.Tool(t, "promtool")
	names, err := filepath.Glob(filepath.Join(builtin, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.yaml") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Count(string(text), "- alert: ") + strings.Count(string(text), "- record: ")
		rules += want
		said, ok := promtest.Run(t, "check", "rules", "--lint-fatal", name)
		if !ok || !strings.Contains(said, fmt.Sprintf("SUCCESS: %d rules found", want)) {
			t.Errorf("%s has %d rules: %s", name, want, said)
		}
	}
	if rules < 27 {
		t.Errorf("only %d rules", rules)
	}
}

// TestMistakes: files that promtool refuses.
func TestMistakes(t *testing.T) {
	good := load(t, "testdata/good.yaml")
	for _, tt := range []struct{ name, file, old, new string }{
		{"unknown key", "good.yaml", "evaluation_interval", "evaluation_intervall"},
		{"group twice", "good.yaml", "[derived, alerts]", "[derived, derived]"},
		{"alert without a name", "good.yaml", "{eval_time: 4m, alertname: Hot}", "{eval_time: 4m}"},
		{"bad series", "good.yaml", `heat{job="b"}`, `heat{job="b"`},
		{"bad values", "good.yaml", "1x7 _x20", "1x7 _y20"},
		{"bad expression", "good.yaml", "expr: sum(heat) > 100", "expr: sum(heat > 100"},
		{"matrix", "good.yaml", "expr: sum(heat) > 100", "expr: heat[5m]"},
		{"bad labels", "good.yaml", `labels: 'job:heat:twice{job="b", unit="celsius"}'`, `labels: 'job:heat:twice{job="b"'`},
		{"bad duration", "good.yaml", "eval_time: 25m", "eval_time: 25 minutes"},
		{"bad rule", "rules.yaml", "expr: job:heat:avg * 2", "expr: job:heat:avg *"},
		{"unknown key of a rule", "rules.yaml", "keep_firing_for: 2m", "keep_firing: 2m"},
		{"bad template", "rules.yaml", "{{ $externalURL }}", "{{ $externalURL"},
		{"record and alert", "rules.yaml", "- alert: Gone", "- alert: Gone\n        record: gone"},
		{"two results in one", "rules.yaml", "expr: avg by (job) (heat)", "expr: label_replace(heat, \"host\", \"\", \"host\", \".*\")"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := suite{good.test, map[string]string{}}
			for name, text := range good.files {
				s.files[name] = text
			}
			if s.files[tt.file] = strings.Replace(good.files[tt.file], tt.old, tt.new, 1); s.files[tt.file] == good.files[tt.file] {
				t.Fatal("nothing was changed")
			}
			path := s.write(t)
			if faults, _ := ruletest.Run(t.Context(), path); len(faults) == 0 {
				t.Error("passes")
			}
			if said, ok := promtest.Run(t, "test", "rules", path); ok {
				t.Errorf("promtool lets it pass: %s", said)
			}
		})
	}
}
