package scrape

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config says what is scraped, and how.
type Config struct {
	Interval    time.Duration `yaml:"interval" doc:"Time between two scrapes of a target."`
	Timeout     time.Duration `yaml:"timeout" doc:"What a scrape may take; at most the interval."`
	BodyLimit   int64         `yaml:"body_limit" unit:"bytes" doc:"Largest answer that is read, in bytes, unpacked."`
	SampleLimit int           `yaml:"sample_limit" min:"1" max:"10000000" doc:"Most samples that a scrape may bring; a target with more is down."`
	Targets     []Extra       `yaml:"targets" doc:"What is scraped beside the services."`
}

// Extra is a target that is configured.
type Extra struct {
	Job    string            `yaml:"job" doc:"Value of the label job."`
	URL    string            `yaml:"url" doc:"Address of the metrics, such as http://127.0.0.1:9100/metrics."`
	Labels map[string]string `yaml:"labels" doc:"Further labels of all its series."`
}

// DefaultConfig scrapes the services each five seconds.
func DefaultConfig() Config {
	return Config{Interval: 5 * time.Second, Timeout: 4 * time.Second, BodyLimit: 32 << 20, SampleLimit: 100_000, Targets: []Extra{}}
}

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	if c.Interval < 100*time.Millisecond || c.Interval > time.Hour {
		errs = append(errs, fmt.Errorf("interval: %v, allowed 100ms to 1h", c.Interval))
	}
	if c.Timeout <= 0 || c.Timeout > c.Interval {
		errs = append(errs, fmt.Errorf("timeout: %v, allowed up to the interval", c.Timeout))
	}
	if c.BodyLimit < 1024 {
		errs = append(errs, errors.New("body_limit must be at least 1024"))
	}
	if c.SampleLimit < 1 {
		errs = append(errs, errors.New("sample_limit must be at least 1"))
	}
	for i, t := range c.Targets {
		if _, err := t.target(); err != nil {
			errs = append(errs, fmt.Errorf("targets[%d].%w", i, err))
		}
	}
	return errors.Join(errs...)
}

// target is what is scraped.
func (e Extra) target() (Target, error) {
	if e.Job == "" {
		return Target{}, errors.New("job: is missing")
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil:
		return Target{}, fmt.Errorf("url: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return Target{}, fmt.Errorf("url: %q is no http or https address", e.URL)
	}
	for name := range e.Labels {
		if name == "" || name == jobLabel || name == instanceLabel {
			return Target{}, fmt.Errorf("labels: %q may not be set", name)
		}
	}
	if u.Path == "" {
		u.Path = "/metrics"
	}
	return Target{Job: e.Job, Instance: u.Host, URL: u.String(), Labels: e.Labels}, nil
}
