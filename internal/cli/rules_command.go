package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/ruletest"
)

func newRules(s streams) *cobra.Command {
	c := &cobra.Command{
		Use: "rules", Short: "check rule files, and run their tests", Args: cobra.NoArgs,
		Long: `rules works on files in Prometheus' formats: rule files, and unit tests of rules. It
asks no service.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRulesCheck(s), newRulesTest(s))
	return c
}

func newRulesCheck(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE…", Short: "say whether rule files are valid", Args: cobra.MinimumNArgs(1),
		Long: `check reads rule files as the monitoring-service does. Each fault has its line and
column. The exit code is 1 when a file has one.`,
		Example: `  marketprism rules check rules/*.yaml`,
		RunE: func(_ *cobra.Command, files []string) error {
			return eachFile(s, files, "Checking %s\n", "rule files", checkRules)
		},
	}
}

// checkRules says how many rules a file has, and what may be a mistake.
func checkRules(name string) (success string, warnings []string, faults []error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", nil, []error{err}
	}
	groups, faults := promql.ParseRules(content)
	if len(faults) > 0 {
		return "", nil, faults
	}
	rules := 0
	seen := map[string]bool{}
	for _, g := range groups {
		rules += len(g.Rules)
		for _, r := range g.Rules {
			key := r.Record + "\xff" + r.Alert + "\xff" + labelText(r.Labels)
			if seen[key] {
				warnings = append(warnings, fmt.Sprintf("rule %s {%s} is there twice with the same labels", r.Name(), labelText(r.Labels)))
			}
			seen[key] = true
		}
	}
	return fmt.Sprintf("SUCCESS: %d rules found", rules), warnings, nil
}

func labelText(labels map[string]string) string {
	out := make([]string, 0, len(labels))
	for name, value := range labels {
		out = append(out, fmt.Sprintf("%s=%q", name, value))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func newRulesTest(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "test FILE…", Short: "run unit tests of rules", Args: cobra.MinimumNArgs(1),
		Long: `test runs test files in promtool's format: input series, and the alerts and values
that are expected. The exit code is 1 when a test fails.`,
		Example: `  marketprism rules test rules/tests/*.yaml`,
		RunE: func(c *cobra.Command, files []string) error {
			return eachFile(s, files, "Unit testing %s\n", "test files", func(name string) (string, []string, []error) {
				faults, warnings := ruletest.Run(c.Context(), name)
				return "SUCCESS", warnings, faults
			})
		},
	}
}

// eachFile looks at files one after the other and prints what is found.
func eachFile(s streams, files []string, heading, what string, look func(name string) (string, []string, []error)) error {
	failed := 0
	for _, name := range files {
		fmt.Fprintf(s.out, heading, name)
		success, warnings, faults := look(name)
		for _, w := range warnings {
			fmt.Fprintf(s.err, "  WARNING: %s\n", w)
		}
		if len(faults) == 0 {
			fmt.Fprintf(s.out, "  %s\n\n", success)
			continue
		}
		failed++
		fmt.Fprintf(s.err, "  FAILED:\n%s\n\n", indented(errors.Join(faults...).Error()))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d %s failed", failed, len(files), what)
	}
	return nil
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(text, "\n", "\n    ")
}
