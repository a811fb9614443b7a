package ruletest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
)

// file is a test file.
type file struct {
	RuleFiles          []string        `yaml:"rule_files"`
	EvaluationInterval promql.Duration `yaml:"evaluation_interval"`
	GroupEvalOrder     []string        `yaml:"group_eval_order"`
	Tests              []group         `yaml:"tests"`
	FuzzyCompare       bool            `yaml:"fuzzy_compare"`
}

// group is a test group.
type group struct {
	Name           string            `yaml:"name"`
	Interval       promql.Duration   `yaml:"interval"`
	InputSeries    []input           `yaml:"input_series"`
	Alerts         []alertTest       `yaml:"alert_rule_test"`
	Expressions    []exprTest        `yaml:"promql_expr_test"`
	ExternalLabels map[string]string `yaml:"external_labels"`
	ExternalURL    string            `yaml:"external_url"`
	Start          start             `yaml:"start_timestamp"`
}

type input struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type alertTest struct {
	At       promql.Duration `yaml:"eval_time"`
	Name     string          `yaml:"alertname"`
	Expected []struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

type exprTest struct {
	Expr     string          `yaml:"expr"`
	At       promql.Duration `yaml:"eval_time"`
	Expected []struct {
		Labels    string  `yaml:"labels"`
		Value     float64 `yaml:"value"`
		Histogram string  `yaml:"histogram"`
	} `yaml:"exp_samples"`
}

// start is when a test group begins: Unix seconds or RFC 3339.
type start struct{ time.Time }

// UnmarshalYAML implements yaml.InterfaceUnmarshaler.
func (s *start) UnmarshalYAML(read func(any) error) error {
	var text string
	if err := read(&text); err != nil {
		return err
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		s.Time = time.UnixMilli(int64(seconds * 1000)).UTC()
		return nil
	}
	var err error
	s.Time, err = time.Parse(time.RFC3339Nano, text)
	return err
}

// read reads a test file, and finds its rule files beside it.
func read(name string) (*file, []string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	var f file
	if err := yaml.UnmarshalWithOptions(content, &f, yaml.DisallowUnknownField()); err != nil {
		return nil, nil, err
	}
	if f.EvaluationInterval == 0 {
		f.EvaluationInterval = promql.Duration(time.Minute)
	}
	seen := map[string]bool{}
	for _, name := range f.GroupEvalOrder {
		if seen[name] {
			return nil, nil, fmt.Errorf("group name repeated in evaluation order: %s", name)
		}
		seen[name] = true
	}
	var warnings, files []string
	for _, pattern := range f.RuleFiles {
		if pattern != "" && !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(name), pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 0 {
			warnings = append(warnings, fmt.Sprintf("no file match pattern %s", pattern))
		}
		files = append(files, found...)
	}
	f.RuleFiles = files
	return &f, warnings, nil
}

// rulesOf reads rule files; the faults of all are in the error.
func rulesOf(files []string) (map[string][]promql.Group, error) {
	var errs []error
	out := map[string][]promql.Group{}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		groups, faults := promql.ParseRules(content)
		for _, fault := range faults {
			errs = append(errs, fmt.Errorf("%s: %w", name, fault))
		}
		out[name] = groups
	}
	return out, errors.Join(errs...)
}
