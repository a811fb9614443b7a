package limit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Config says how much clients may ask.
type Config struct {
	// Enabled turns rates and quotas on.
	Enabled bool `yaml:"enabled" doc:"Whether the rates and quotas of clients count."`
	// Address, User and Key are the rates of those who show no credential, by address
	// (IPv6: by /64), of users and of API keys.
	Address RateConfig `yaml:"address" doc:"Of each client address; IPv6 by /64. Those who show a credential are counted by that."`
	User    RateConfig `yaml:"user" doc:"Of each user."`
	Key     RateConfig `yaml:"key" doc:"Of each API key."`
	// Routes are rates of their own, for one client each, beside the one above.
	Routes []RouteConfig `yaml:"routes" doc:"Further rates of each client for some routes; the first that matches counts."`
	// PerDay is how many requests a client may make in a day (UTC); 0 is any number.
	PerDay int64 `yaml:"per_day" doc:"Requests of one client in a day (UTC), counted since the gateway's start; 0 is any number."`
	// Clients is how many are remembered.
	Clients int `yaml:"clients" min:"1000" max:"10000000" doc:"Clients that are remembered; about 300 bytes each."`
	// Requests and Streams bound what is under way; more are refused with 503.
	Requests int `yaml:"requests" min:"1" max:"1000000" doc:"Requests under way, of all clients; more are refused with 503."`
	Streams  int `yaml:"streams" min:"1" max:"1000000" doc:"WebSockets and event streams under way; more are refused with 503."`
}

// RateConfig is one rate.
type RateConfig struct {
	PerSecond float64 `yaml:"per_second" doc:"Sustained requests a second."`
	Burst     int     `yaml:"burst" min:"1" max:"1000000" doc:"Requests that may come at once."`
}

// Rate is the rate that c says.
func (c RateConfig) Rate() Rate { return Rate(c) }

// RouteConfig is the rate of some routes.
type RouteConfig struct {
	Service string   `yaml:"service" doc:"Name of the service; empty is every one."`
	Path    string   `yaml:"path" doc:"What the path begins with as the service sees it, such as /api/v1/storage/query/."`
	Methods []string `yaml:"methods" doc:"Methods; none is every one."`

	PerSecond float64 `yaml:"per_second" doc:"Sustained requests a second."`
	Burst     int     `yaml:"burst" doc:"Requests that may come at once."`
}

// Matches says whether a request is one of those routes.
func (c *RouteConfig) Matches(service, method, path string) bool {
	return (c.Service == "" || c.Service == service) && strings.HasPrefix(path, c.Path) &&
		(len(c.Methods) == 0 || slices.Contains(c.Methods, method))
}

// Rate is the rate that c says.
func (c *RouteConfig) Rate() Rate { return Rate{PerSecond: c.PerSecond, Burst: c.Burst} }

// DefaultConfig lets one client use a good part of a core, and guesses at passwords
// take their time.
func DefaultConfig() Config {
	each := RateConfig{PerSecond: 2000, Burst: 4000}
	return Config{
		Enabled: true, Address: each, User: each, Key: each,
		Routes: []RouteConfig{{
			Service: "api-gateway-service", Path: "/api/v1/auth/", Methods: []string{}, PerSecond: 5, Burst: 20,
		}},
		Clients: 100_000, Requests: 4096, Streams: 8192,
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	rated := func(key string, perSecond float64, burst int) {
		if !(perSecond > 0 && perSecond <= 1e6) {
			errs = append(errs, fmt.Errorf("%sper_second: %v, allowed above 0, at most 1000000", key, perSecond))
		}
		if burst < 1 || burst > 1_000_000 {
			errs = append(errs, fmt.Errorf("%sburst: %d, allowed 1 to 1000000", key, burst))
		}
	}
	rated("address.", c.Address.PerSecond, c.Address.Burst)
	rated("user.", c.User.PerSecond, c.User.Burst)
	rated("key.", c.Key.PerSecond, c.Key.Burst)
	for i, r := range c.Routes {
		key := fmt.Sprintf("routes[%d].", i)
		rated(key, r.PerSecond, r.Burst)
		if !strings.HasPrefix(r.Path, "/") {
			errs = append(errs, fmt.Errorf("%spath: %q does not begin with /", key, r.Path))
		}
		for _, m := range r.Methods {
			if !slices.Contains(methods, m) {
				errs = append(errs, fmt.Errorf("%smethods: %q is none of %s", key, m, strings.Join(methods, ", ")))
			}
		}
	}
	if c.PerDay < 0 {
		errs = append(errs, fmt.Errorf("per_day: %d, at least 0", c.PerDay))
	}
	count := func(key string, n, lo, hi int) {
		if n < lo || n > hi {
			errs = append(errs, fmt.Errorf("%s: %d, allowed %d to %d", key, n, lo, hi))
		}
	}
	count("clients", c.Clients, 1000, 10_000_000)
	count("requests", c.Requests, 1, 1_000_000)
	count("streams", c.Streams, 1, 1_000_000)
	return errors.Join(errs...)
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}
