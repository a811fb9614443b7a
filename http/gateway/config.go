package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config is the entrance's part of the configuration (api-gateway-service.entrance).
type Config struct {
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []string `yaml:"trusted_proxies" doc:"Networks of the proxies in front, whose X-Forwarded-For is believed, such as 10.0.0.0/24."`
	// MaxBodyBytes bounds the body of a request that is sent on.
	MaxBodyBytes int64 `yaml:"max_body_bytes" unit:"bytes" doc:"Largest body that is sent on; services have limits of their own."`
	// WriteTimeout is how long a client may take over one piece of an answer.
	WriteTimeout time.Duration `yaml:"write_timeout" doc:"What a client may take over one piece of an answer."`
	// CORS says which web pages may ask.
	CORS CORSConfig `yaml:"cors" doc:"Web pages of other origins."`
}

// CORSConfig says which web pages of other origins may read answers.
type CORSConfig struct {
	// Origins are scheme://host[:port], or * for every one, which may then read only.
	Origins []string `yaml:"origins" doc:"Origins that may ask, each as scheme://host[:port]; * is every one, which may read only. None turns CORS off."`
	// Credentials lets browsers send cookies and certificates.
	Credentials bool `yaml:"credentials" doc:"Whether browsers may send cookies and certificates."`
	// MaxAge is how long a preflight counts.
	MaxAge time.Duration `yaml:"max_age" doc:"How long a browser may remember a preflight."`
}

// DefaultConfig believes no proxy and lets no other origin in.
func DefaultConfig() Config {
	return Config{
		TrustedProxies: []string{}, MaxBodyBytes: 4 << 30, WriteTimeout: 30 * time.Second,
		CORS: CORSConfig{Origins: []string{}, MaxAge: 10 * time.Minute},
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	for i, n := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(n); err != nil {
			bad(fmt.Sprintf("trusted_proxies[%d]", i), "%q is no network such as 10.0.0.0/24", n)
		}
	}
	if c.MaxBodyBytes < 1<<10 || c.MaxBodyBytes > 1<<50 {
		bad("max_body_bytes", "%d, allowed 1024 to 1125899906842624", c.MaxBodyBytes)
	}
	if c.WriteTimeout < 10*time.Millisecond || c.WriteTimeout > time.Hour {
		bad("write_timeout", "%v, allowed 10ms to 1h", c.WriteTimeout)
	}
	if c.CORS.MaxAge < 0 || c.CORS.MaxAge > 24*time.Hour {
		bad("cors.max_age", "%v, allowed 0 to 24h", c.CORS.MaxAge)
	}
	for i, o := range c.CORS.Origins {
		if u, err := url.Parse(o); o != anyOrigin && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || strings.Contains(o, "*")) {
			bad(fmt.Sprintf("cors.origins[%d]", i), "%q is not of the form scheme://host[:port], nor *", o)
		}
	}
	if c.CORS.Credentials && slices.Contains(c.CORS.Origins, anyOrigin) {
		bad("cors.credentials", "true, not with the origin *")
	}
	return errors.Join(errs...)
}

const anyOrigin = "*"

// Trusted are the origins that may send state-changing requests, for the chassis.
func (c CORSConfig) Trusted() []string {
	return slices.DeleteFunc(slices.Clone(c.Origins), func(o string) bool { return o == anyOrigin })
}

// corsMethods and corsHeaders are what pages may use, exposed what they may read.
var (
	corsMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	corsHeaders = []string{
		"Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer",
		"X-API-Key", "X-Journal-Position", "X-Request-Id", "traceparent", "tracestate",
	}
	corsExposed = []string{
		"ETag", "Retry-After", "X-Request-Id", "X-Gateway-Service", "X-Gateway-Timestamp", "X-Journal-Position", "X-Incomplete", "X-Stale",
		"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
	}
)
