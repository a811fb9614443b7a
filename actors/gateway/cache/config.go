package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Config says which answers are kept.
type Config struct {
	// Enabled turns it on.
	Enabled bool `yaml:"enabled" doc:"Whether answers are kept at all."`
	// TTL is how long, unless the route says otherwise.
	TTL time.Duration `yaml:"ttl" doc:"How long an answer is kept, unless its route says otherwise."`
	// MaxBytes bounds the memory, MaxEntryBytes one answer.
	MaxBytes      int64 `yaml:"max_bytes" unit:"bytes" doc:"Memory of all answers together."`
	MaxEntryBytes int64 `yaml:"max_entry_bytes" unit:"bytes" doc:"Largest answer that is kept."`
	// Routes are the answers that are kept; none keeps none.
	Routes []RouteConfig `yaml:"routes" doc:"Answers to GET that are kept, whatever their Cache-Control; never market data."`
}

// RouteConfig is one rule.
type RouteConfig struct {
	Service string        `yaml:"service" doc:"Name of the service."`
	Path    string        `yaml:"path" doc:"What the path begins with as the service sees it."`
	TTL     time.Duration `yaml:"ttl" doc:"How long; 0 is the cache's ttl."`
}

// MarketData are the services whose answers are never kept.
func MarketData() []string { return []string{"data-storage-service", "market-data-collector"} }

// DefaultConfig keeps nothing.
func DefaultConfig() Config {
	return Config{TTL: 5 * time.Second, MaxBytes: 64 << 20, MaxEntryBytes: 1 << 20, Routes: []RouteConfig{}}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if c.TTL < time.Millisecond || c.TTL > 24*time.Hour {
		bad("ttl", "%v, allowed 1ms to 24h", c.TTL)
	}
	if c.MaxBytes < 64<<10 || c.MaxBytes > 1<<40 {
		bad("max_bytes", "%d, allowed 65536 to 1099511627776", c.MaxBytes)
	}
	if c.MaxEntryBytes < 1<<10 || c.MaxEntryBytes > c.MaxBytes {
		bad("max_entry_bytes", "%d, allowed 1024 to max_bytes", c.MaxEntryBytes)
	}
	for i, r := range c.Routes {
		key := fmt.Sprintf("routes[%d].", i)
		switch {
		case r.Service == "":
			bad(key+"service", "is needed")
		case slices.Contains(MarketData(), r.Service):
			bad(key+"service", "%q answers with market data, which is never kept", r.Service)
		}
		if !strings.HasPrefix(r.Path, "/") {
			bad(key+"path", "%q does not begin with /", r.Path)
		}
		if r.TTL < 0 || r.TTL > 24*time.Hour {
			bad(key+"ttl", "%v, allowed 0 to 24h", r.TTL)
		}
	}
	return errors.Join(errs...)
}

// For is how long the answer of a route is kept; false when it is not.
func (c *Config) For(service, path string) (time.Duration, bool) {
	if !c.Enabled || slices.Contains(MarketData(), service) {
		return 0, false
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Service == service && strings.HasPrefix(path, r.Path) {
			if r.TTL > 0 {
				return r.TTL, true
			}
			return c.TTL, true
		}
	}
	return 0, false
}
