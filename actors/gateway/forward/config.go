package forward

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config says how requests are sent on.
type Config struct {
	// Attempts is how often one request is sent at most.
	Attempts int `yaml:"attempts" min:"1" max:"10" doc:"How often one request is sent at most; 1 never repeats."`
	// BudgetShare and BudgetPerSecond bound repetitions of all requests to a service.
	BudgetShare     float64 `yaml:"budget_share" doc:"Repetitions to a service, as a share of the requests to it."`
	BudgetPerSecond float64 `yaml:"budget_per_second" doc:"Repetitions to a service that are allowed anyway, a second."`
	// Pause is before the second try at the same instance; it doubles.
	Pause time.Duration `yaml:"pause" doc:"Before the same instance is tried again; doubled each time, and half of it random."`
	// BufferBytes is how large a body is kept to be sent again.
	BufferBytes int64 `yaml:"buffer_bytes" unit:"bytes" doc:"Largest body that is kept so that it can be sent again; longer ones are streamed."`
	// ConnectTimeout bounds connecting, Timeout the wait for an answer while nothing of
	// the body is on its way, IdleTimeout the wait for more of an answer.
	ConnectTimeout time.Duration `yaml:"connect_timeout" doc:"Bounds connecting to an instance."`
	Timeout        time.Duration `yaml:"timeout" doc:"Wait for an answer to begin while nothing of the request's body moves."`
	IdleTimeout    time.Duration `yaml:"idle_timeout" doc:"Wait for more of an answer that has begun; event streams and WebSockets have none."`
	// Routes have waits of their own.
	Routes []TimeoutConfig `yaml:"routes" doc:"Routes with another timeout; the first that matches counts."`
}

// TimeoutConfig is the wait of some routes.
type TimeoutConfig struct {
	Service string        `yaml:"service" doc:"Name of the service; empty is every one."`
	Path    string        `yaml:"path" doc:"What the path begins with as the service sees it."`
	Timeout time.Duration `yaml:"timeout" doc:"Wait for an answer to begin; 0 is any time."`
}

// DefaultConfig waits a minute, and for operations that take their time as long as
// they do.
func DefaultConfig() Config {
	return Config{
		Attempts: 3, BudgetShare: 0.2, BudgetPerSecond: 10, Pause: 25 * time.Millisecond, BufferBytes: 64 << 10,
		ConnectTimeout: 2 * time.Second, Timeout: time.Minute, IdleTimeout: 2 * time.Minute,
		Routes: []TimeoutConfig{
			{Service: "data-storage-service", Path: "/api/v1/storage/cold/archive"},
			{Service: "data-storage-service", Path: "/api/v1/storage/lifecycle/cleanup"},
		},
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	within := func(key string, d, lo, hi time.Duration) {
		if d < lo || d > hi {
			bad(key, "%v, allowed %v to %v", d, lo, hi)
		}
	}
	if c.Attempts < 1 || c.Attempts > 10 {
		bad("attempts", "%d, allowed 1 to 10", c.Attempts)
	}
	if !(c.BudgetShare >= 0 && c.BudgetShare <= 1) {
		bad("budget_share", "%v, allowed 0 to 1", c.BudgetShare)
	}
	if !(c.BudgetPerSecond >= 0 && c.BudgetPerSecond <= 10_000) {
		bad("budget_per_second", "%v, allowed 0 to 10000", c.BudgetPerSecond)
	}
	if c.BufferBytes < 0 || c.BufferBytes > 16<<20 {
		bad("buffer_bytes", "%d, allowed 0 to 16777216", c.BufferBytes)
	}
	within("pause", c.Pause, 0, time.Minute)
	within("connect_timeout", c.ConnectTimeout, time.Millisecond, time.Minute)
	within("timeout", c.Timeout, time.Millisecond, 24*time.Hour)
	within("idle_timeout", c.IdleTimeout, time.Millisecond, 24*time.Hour)
	for i, r := range c.Routes {
		key := fmt.Sprintf("routes[%d].", i)
		if !strings.HasPrefix(r.Path, "/") {
			bad(key+"path", "%q does not begin with /", r.Path)
		}
		within(key+"timeout", r.Timeout, 0, 24*time.Hour)
	}
	return errors.Join(errs...)
}

// timeout is the wait for an answer from a route; 0 is any time.
func (c *Config) timeout(service, path string) time.Duration {
	for i := range c.Routes {
		r := &c.Routes[i]
		if (r.Service == "" || r.Service == service) && strings.HasPrefix(path, r.Path) {
			return r.Timeout
		}
	}
	return c.Timeout
}
