package chassis

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config holds the limits of an HTTP server; they are the same for every
// service of a node. The address is not in here: each service has its own.
type Config struct {
	// ReadHeaderTimeout bounds the reading of a request's header.
	ReadHeaderTimeout time.Duration `yaml:"read_header_timeout" doc:"Bounds the reading of a request's header."`
	// BodyIdleTimeout bounds the wait for the next bytes of a body. A body as a
	// whole is bounded by its route's deadline; a streamed one only by this.
	BodyIdleTimeout time.Duration `yaml:"body_idle_timeout" doc:"Bounds the wait for the next bytes of a body."`
	// RequestTimeout is the deadline of a route that names none.
	RequestTimeout time.Duration `yaml:"request_timeout" doc:"The deadline of a route that names none."`
	// WriteTimeout is how long a client may take to accept an answer after the
	// route's deadline, or one flush of a stream.
	WriteTimeout time.Duration `yaml:"write_timeout" doc:"How long a client may take to accept an answer after the route's deadline, or one flush of a stream."`
	// IdleTimeout closes a kept-alive connection that sends no next request.
	IdleTimeout time.Duration `yaml:"idle_timeout" doc:"Closes a kept-alive connection that sends no next request."`
	// DrainDelay is the time between /readyz turning 503 and the listener
	// closing, for balancers to notice. 0 on a single node.
	DrainDelay time.Duration `yaml:"drain_delay" doc:"The time between /readyz turning 503 and the listener closing, for balancers to notice."`
	// DrainTimeout is what requests under way get to finish in.
	DrainTimeout time.Duration `yaml:"drain_timeout" doc:"What requests under way get to finish in."`
	// MaxHeaderBytes bounds the header of a request, in bytes.
	MaxHeaderBytes int `yaml:"max_header_bytes" doc:"Bounds the header of a request, in bytes."`
	// MaxBodyBytes bounds the body of a route that names no limit, in bytes.
	MaxBodyBytes int64 `yaml:"max_body_bytes" doc:"Bounds the body of a route that names no limit, in bytes."`
	// CompressMinBytes is the size from which an answer is compressed.
	CompressMinBytes int `yaml:"compress_min_bytes" doc:"The size from which an answer is compressed."`
	// HealthTimeout bounds one health check.
	HealthTimeout time.Duration `yaml:"health_timeout" doc:"Bounds one health check."`
	// HealthCache is how long the outcome of the health checks is reused.
	HealthCache time.Duration `yaml:"health_cache" doc:"How long the outcome of the health checks is reused."`
	// TrustedOrigins may send state-changing requests from a browser although
	// they are another origin, each as scheme://host[:port].
	TrustedOrigins []string `yaml:"trusted_origins" doc:"May send state-changing requests from a browser although they are another origin, each as scheme://host[:port]."`
	// Identity is auto or required: whether requests have to show who sends them.
	Identity string `yaml:"identity" enum:"auto,required" doc:"Whether services demand a proof of who asks, as the gateway and other services give it: auto is where they listen beyond loopback."`
	// Hosts are the dotted names by which clients may address a server that
	// listens on loopback only (a web page of a stranger could otherwise reach
	// it by rebinding its own name). IP addresses, localhost and single-label
	// names are always accepted.
	Hosts []string `yaml:"hosts" doc:"The dotted names by which clients may address a server that listens on loopback only (a web page of a stranger could otherwise reach it by rebinding its own name)."`
}

// The words of Config.Identity.
const (
	IdentityAuto     = "auto"
	IdentityRequired = "required"
)

// DefaultConfig returns the limits that hold when nothing is configured.
func DefaultConfig() Config {
	return Config{
		ReadHeaderTimeout: 10 * time.Second,
		BodyIdleTimeout:   20 * time.Second,
		RequestTimeout:    30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		DrainTimeout:      20 * time.Second,
		MaxHeaderBytes:    64 << 10,
		MaxBodyBytes:      1 << 20,
		CompressMinBytes:  1024,
		HealthTimeout:     2 * time.Second,
		HealthCache:       time.Second,
		TrustedOrigins:    []string{},
		Hosts:             []string{},
		Identity:          IdentityAuto,
	}
}

// Validate reports everything that is out of range, joined.
func (c Config) Validate() error {
	var errs []error
	positive := func(key string, d time.Duration) {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s: is %v, must be above 0", key, d))
		}
	}
	positive("read_header_timeout", c.ReadHeaderTimeout)
	positive("body_idle_timeout", c.BodyIdleTimeout)
	positive("request_timeout", c.RequestTimeout)
	positive("write_timeout", c.WriteTimeout)
	positive("idle_timeout", c.IdleTimeout)
	positive("drain_timeout", c.DrainTimeout)
	positive("health_timeout", c.HealthTimeout)
	if c.DrainDelay < 0 {
		errs = append(errs, fmt.Errorf("drain_delay: is %v, must not be negative", c.DrainDelay))
	}
	if c.HealthCache < 0 {
		errs = append(errs, fmt.Errorf("health_cache: is %v, must not be negative", c.HealthCache))
	}
	if c.MaxHeaderBytes < 4<<10 || c.MaxHeaderBytes > 16<<20 {
		errs = append(errs, fmt.Errorf("max_header_bytes: is %d, must be within 4096 and 16777216", c.MaxHeaderBytes))
	}
	if c.MaxBodyBytes < 1 {
		errs = append(errs, fmt.Errorf("max_body_bytes: is %d, must be at least 1", c.MaxBodyBytes))
	}
	if c.CompressMinBytes < 1 {
		errs = append(errs, fmt.Errorf("compress_min_bytes: is %d, must be at least 1", c.CompressMinBytes))
	}
	if c.Identity != IdentityAuto && c.Identity != IdentityRequired {
		errs = append(errs, fmt.Errorf("identity: %q, allowed %s, %s", c.Identity, IdentityAuto, IdentityRequired))
	}
	for i, origin := range c.TrustedOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			errs = append(errs, fmt.Errorf("trusted_origins[%d]: %q is not of the form scheme://host[:port]", i, origin))
		}
	}
	return errors.Join(errs...)
}
