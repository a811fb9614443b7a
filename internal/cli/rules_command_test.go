package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRules: exit codes and what is said of files.
func TestRules(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.yaml", "groups: [{name: g, rules: [{alert: A, expr: up == 0}, {alert: A, expr: up == 0}, {record: r, expr: sum(up)}]}]")
	bad := file("bad.yaml", "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: sum(\n")
	passes := file("passes_test.yaml", `
rule_files: [good.yaml]
tests: [{input_series: [{series: up, values: 1x5}], promql_expr_test: [{expr: r, eval_time: 3m, exp_samples: [{labels: r, value: 1}]}]}]`)
	fails := file("fails_test.yaml", `
rule_files: [good.yaml, none*.yaml]
tests: [{name: half, input_series: [{series: up, values: 1x5}], promql_expr_test: [{expr: r, eval_time: 3m, exp_samples: [{labels: r, value: 0.5}]}]}]`)
	for _, tt := range []struct {
		name      string
		args      []string
		code      int
		out, errs string
	}{
		{"good rules", []string{"rules", "check", good}, ExitOK, "SUCCESS: 3 rules found", "rule A {} is there twice"},
		{"bad rules", []string{"rules", "check", good, bad}, ExitFailed, "SUCCESS: 3 rules found", "5:15: group \"g\", rule 1, \"A\": could not parse expression"},
		{"no file", []string{"rules", "check", filepath.Join(dir, "nothing")}, ExitFailed, "", "no such file"},
		{"nothing to check", []string{"rules", "check"}, ExitUsage, "", "requires at least 1 arg"},
		{"a test that passes", []string{"rules", "test", passes}, ExitOK, "SUCCESS", ""},
		{"a test that fails", []string{"rules", "test", passes, fails}, ExitFailed, "SUCCESS", "test half: expr: \"r\", time: 3m: \n      exp: {__name__=\"r\"} 5E-01"},
		{"a pattern without files", []string{"rules", "test", fails}, ExitFailed, "", "WARNING: no file match pattern"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := Run(t.Context(), tt.args, nil, &out, &errs, nil)
			if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.errs) {
				t.Errorf("%d, want %d\n%s\n%s", code, tt.code, out.String(), errs.String())
			}
		})
	}
}
