package rules

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Config says which rules there are.
type Config struct {
	Files          []string      `yaml:"files" doc:"Rule files in Prometheus' format; * stands for any name. None: the built-in rules."`
	Interval       time.Duration `yaml:"interval" doc:"Time between two evaluations of a group that names none."`
	Reload         time.Duration `yaml:"reload" doc:"Time between two looks at whether the files have changed."`
	Grace          time.Duration `yaml:"grace" doc:"How long after a start an alert that fired before it keeps firing without its condition being seen."`
	ExternalLabels []string      `yaml:"external_labels" doc:"Labels that templates see as $externalLabels, each as name=value."`
	ExternalURL    string        `yaml:"external_url" doc:"Where others reach this service; templates and links in notifications use it."`
}

// DefaultConfig is the built-in rules, each five seconds.
func DefaultConfig() Config {
	return Config{Files: []string{}, Interval: 5 * time.Second, Reload: 5 * time.Second, Grace: 2 * time.Minute, ExternalLabels: []string{}}
}

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	for i, f := range c.Files {
		if _, err := filepath.Match(f, ""); err != nil || f == "" {
			errs = append(errs, fmt.Errorf("files[%d]: %q is no pattern", i, f))
		}
	}
	if c.Interval < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("interval: %v, allowed from 100ms", c.Interval))
	}
	if c.Reload < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("reload: %v, allowed from 100ms", c.Reload))
	}
	if c.Grace < 0 {
		errs = append(errs, errors.New("grace: must not be negative"))
	}
	for i, l := range c.ExternalLabels {
		if name, _, ok := strings.Cut(l, "="); !ok || name == "" {
			errs = append(errs, fmt.Errorf("external_labels[%d]: %q is no name=value", i, l))
		}
	}
	if _, err := url.Parse(c.ExternalURL); err != nil {
		errs = append(errs, fmt.Errorf("external_url: %w", err))
	}
	return errors.Join(errs...)
}

func (c Config) evaluator() Evaluator {
	u, err := url.Parse(c.ExternalURL)
	if err != nil { // validated
		u = &url.URL{}
	}
	labels := map[string]string{}
	for _, l := range c.ExternalLabels {
		name, value, _ := strings.Cut(l, "=")
		labels[name] = value
	}
	return Evaluator{ExternalLabels: labels, ExternalURL: u}
}
