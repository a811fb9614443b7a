package access

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/identity"
)

// When clients have to say who they are.
const (
	Auto = "auto" // where the program listens beyond loopback
	On   = "on"
	Off  = "off" // possible on loopback only
)

// Config is who is let in (api-gateway-service.auth).
type Config struct {
	Enabled  string         `yaml:"enabled" enum:"auto,on,off" doc:"Whether clients have to say who they are: auto is where the program listens beyond loopback; off is possible on loopback only."`
	Tokens   TokenConfig    `yaml:"tokens" doc:"Logins, and the tokens that they give."`
	Password PasswordConfig `yaml:"password" doc:"Passwords: what is asked of them, and how they are hashed (Argon2id)."`
	Throttle ThrottleConfig `yaml:"throttle" doc:"What failed logins lead to."`
	OIDC     []OIDCConfig   `yaml:"oidc" doc:"Identity providers whose tokens are accepted."`
}

// TokenConfig says how long logins last.
type TokenConfig struct {
	AccessTTL  time.Duration `yaml:"access_ttl" doc:"How long an access token is good."`
	RefreshTTL time.Duration `yaml:"refresh_ttl" doc:"How long a login can be renewed after it was last."`
	SessionTTL time.Duration `yaml:"session_ttl" doc:"How long a login lasts at most, renewed or not."`
	KeyTTL     time.Duration `yaml:"key_ttl" doc:"How long a key signs access tokens before the next one does."`
	Sessions   int           `yaml:"sessions" doc:"Logins that a user may have open; one more ends the oldest."`
}

// PasswordConfig is Argon2id's cost, and the policy.
type PasswordConfig struct {
	MinLength   int    `yaml:"min_length" doc:"Characters that a password must have."`
	MemoryKiB   uint32 `yaml:"memory_kib" doc:"Memory that hashing one password takes, in KiB."`
	Passes      uint32 `yaml:"passes" doc:"Passes over that memory."`
	Concurrency int    `yaml:"concurrency" doc:"Passwords that are hashed at once."`
	Waiting     int    `yaml:"waiting" doc:"Passwords that wait for their turn; more are refused with 503."`
}

// ThrottleConfig is the numbers of failures that cost nothing.
type ThrottleConfig struct {
	PerUserAndAddress int           `yaml:"per_user_and_address" doc:"Failed logins of one user from one address that cost nothing; each further one doubles the wait."`
	PerAddress        int           `yaml:"per_address" doc:"Failed logins from one address (IPv6: one /64) that cost nothing."`
	PerUser           int           `yaml:"per_user" doc:"Failed logins of one user from anywhere that cost nothing."`
	MaxWait           time.Duration `yaml:"max_wait" doc:"Longest wait after a failed login; failures are forgotten after twice of it."`
}

// OIDCConfig is one identity provider.
type OIDCConfig struct {
	Issuer      string            `yaml:"issuer" doc:"The iss of its tokens, such as https://id.example.com/."`
	Audience    string            `yaml:"audience" doc:"The aud that its tokens must have."`
	JWKSURL     string            `yaml:"jwks_url" doc:"Where its keys are; https, or http on loopback."`
	Subject     string            `yaml:"subject_claim" doc:"Claim that names the user."`
	RoleClaim   string            `yaml:"role_claim" doc:"Claim that holds roles or groups: a word or a list of words."`
	Roles       map[string]string `yaml:"roles" doc:"What a word of the role claim means: word -> reader, writer, operator or admin; the highest counts."`
	DefaultRole string            `yaml:"default_role" doc:"Role of who has no such word; empty refuses them."`
}

// DefaultConfig is strict enough for a node on the open internet.
func DefaultConfig() Config {
	return Config{
		Enabled: Auto,
		Tokens: TokenConfig{
			AccessTTL: 15 * time.Minute, RefreshTTL: 7 * 24 * time.Hour, SessionTTL: 30 * 24 * time.Hour, KeyTTL: 24 * time.Hour, Sessions: 32,
		},
		Password: PasswordConfig{MinLength: 12, MemoryKiB: 19 << 10, Passes: 2, Concurrency: 2, Waiting: 32},
		Throttle: ThrottleConfig{PerUserAndAddress: 5, PerAddress: 30, PerUser: 100, MaxWait: 5 * time.Minute},
		OIDC:     []OIDCConfig{},
	}
}

// Validate reports everything that is out of range, joined.
func (c Config) Validate() error {
	if !slices.Contains([]string{Auto, On, Off}, c.Enabled) {
		return fmt.Errorf("enabled: %q, allowed %s, %s, %s", c.Enabled, Auto, On, Off)
	}
	return nil
}

// Validate reports everything that is out of range, joined.
func (c TokenConfig) Validate() error {
	var errs []error
	for _, b := range []struct {
		key      string
		got      time.Duration
		min, max time.Duration
	}{
		{"access_ttl", c.AccessTTL, 10 * time.Second, 24 * time.Hour},
		{"refresh_ttl", c.RefreshTTL, time.Minute, 90 * 24 * time.Hour},
		{"session_ttl", c.SessionTTL, time.Minute, 366 * 24 * time.Hour},
		{"key_ttl", c.KeyTTL, time.Minute, 90 * 24 * time.Hour},
	} {
		if b.got < b.min || b.got > b.max {
			errs = append(errs, fmt.Errorf("%s: is %v, must be within %v and %v", b.key, b.got, b.min, b.max))
		}
	}
	return errors.Join(append(errs, within("sessions", c.Sessions, 1, 1000))...)
}

// Validate reports everything that is out of range, joined.
func (c PasswordConfig) Validate() error {
	return errors.Join(
		within("min_length", c.MinLength, 8, 64),
		within("memory_kib", int(c.MemoryKiB), 8, 1<<20),
		within("passes", int(c.Passes), 1, 64),
		within("concurrency", c.Concurrency, 1, 256),
		within("waiting", c.Waiting, 0, 10_000))
}

// Validate reports everything that is out of range, joined.
func (c ThrottleConfig) Validate() error {
	errs := []error{
		within("per_user_and_address", c.PerUserAndAddress, 1, 1000),
		within("per_address", c.PerAddress, 1, 100_000),
		within("per_user", c.PerUser, 1, 100_000),
	}
	if c.MaxWait < time.Second || c.MaxWait > time.Hour {
		errs = append(errs, fmt.Errorf("max_wait: is %v, must be within 1s and 1h", c.MaxWait))
	}
	return errors.Join(errs...)
}

// Validate reports everything that is wrong with a provider, joined.
func (c OIDCConfig) Validate() error {
	var errs []error
	for key, text := range map[string]string{"issuer": c.Issuer, "audience": c.Audience, "subject_claim": c.Subject} {
		if text == "" {
			errs = append(errs, fmt.Errorf("%s: must not be empty", key))
		}
	}
	if c.Issuer == Issuer {
		errs = append(errs, fmt.Errorf("issuer: %q is the gateway itself", c.Issuer))
	}
	u, err := url.Parse(c.JWKSURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		errs = append(errs, fmt.Errorf("jwks_url: %q must be an https address; http on loopback only", c.JWKSURL))
	}
	if len(c.Roles) > 0 && c.RoleClaim == "" {
		errs = append(errs, fmt.Errorf("role_claim: is needed for roles"))
	}
	for word, role := range c.Roles {
		if _, err := identity.ParseRole(role); err != nil {
			errs = append(errs, fmt.Errorf("roles: %s: %w", word, err))
		}
	}
	if c.DefaultRole != "" {
		if _, err := identity.ParseRole(c.DefaultRole); err != nil {
			errs = append(errs, fmt.Errorf("default_role: %w", err))
		}
	}
	return errors.Join(errs...)
}

func within(key string, got, least, most int) error {
	if got < least || got > most {
		return fmt.Errorf("%s: is %d, must be within %d and %d", key, got, least, most)
	}
	return nil
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}
