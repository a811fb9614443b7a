package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/cache"
	"github.com/marketprism/marketprism/actors/gateway/forward"
	"github.com/marketprism/marketprism/actors/gateway/limit"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
)

// Config is the gateway's part of the configuration (api-gateway-service.gateway).
type Config struct {
	Limits       limit.Config       `yaml:"limits" doc:"How much clients may ask."`
	Upstreams    upstream.Config    `yaml:"upstreams" doc:"How instances are judged."`
	Forwarding   forward.Config     `yaml:"forwarding" doc:"How requests are sent on, and again."`
	Registration RegistrationConfig `yaml:"registration" doc:"Services that clients register."`
	Cache        cache.Config       `yaml:"cache" doc:"Answers that are kept for a while."`
}

// RegistrationConfig says what clients may register.
type RegistrationConfig struct {
	// Enabled lets them.
	Enabled bool `yaml:"enabled" doc:"Whether clients may register services."`
	// Networks are where the services may be.
	Networks []string `yaml:"networks" doc:"Networks where they may be, such as 10.1.0.0/16; judged again whenever the gateway connects."`
	// TTL is how long one stays without a heartbeat or a probe that passes.
	TTL time.Duration `yaml:"ttl" doc:"How long one stays that neither registers again nor passes a probe."`
	// Max bounds their number.
	Max int `yaml:"max" min:"1" max:"10000" doc:"Most instances that there may be."`
}

// DefaultConfig lets clients register services of this machine.
func DefaultConfig() Config {
	return Config{
		Limits: limit.DefaultConfig(), Upstreams: upstream.DefaultConfig(), Forwarding: forward.DefaultConfig(),
		Registration: RegistrationConfig{Enabled: true, Networks: []string{"127.0.0.0/8", "::1/128"}, TTL: 2 * time.Minute, Max: 200},
		Cache:        cache.DefaultConfig(),
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	for _, part := range []struct {
		key string
		err error
	}{
		{"limits", c.Limits.Validate()}, {"upstreams", c.Upstreams.Validate()}, {"forwarding", c.Forwarding.Validate()},
		{"registration", c.Registration.Validate()}, {"cache", c.Cache.Validate()},
	} {
		errs = append(errs, below(part.key, part.err)...)
	}
	return errors.Join(errs...)
}

// below moves joined errors below a key.
func below(key string, err error) []error {
	if err == nil {
		return nil
	}
	var out []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		out = append(out, fmt.Errorf("%s.%s", key, line))
	}
	return out
}

// Validate returns all errors at once, each beginning with its key.
func (c RegistrationConfig) Validate() error {
	var errs []error
	for i, n := range c.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			errs = append(errs, fmt.Errorf("networks[%d]: %q is no network such as 10.1.0.0/16", i, n))
		}
	}
	if c.TTL < 100*time.Millisecond || c.TTL > 30*24*time.Hour {
		errs = append(errs, fmt.Errorf("ttl: %v, allowed 100ms to 720h", c.TTL))
	}
	if c.Max < 1 || c.Max > 10_000 {
		errs = append(errs, fmt.Errorf("max: %d, allowed 1 to 10000", c.Max))
	}
	return errors.Join(errs...)
}
