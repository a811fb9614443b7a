package access_test

import (
	"errors"
	"testing"

	"github.com/marketprism/marketprism/actors/gateway/access"
)

func TestConfig(t *testing.T) {
	c := access.DefaultConfig()
	if err := errors.Join(c.Validate(), c.Tokens.Validate(), c.Password.Validate(), c.Throttle.Validate()); err != nil {
		t.Fatal(err)
	}
	provider := access.OIDCConfig{Issuer: "https://id.example.com", Audience: "a", JWKSURL: "https://id.example.com/keys", Subject: "sub"}
	if err := provider.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*access.OIDCConfig){
		"ourselves":       func(c *access.OIDCConfig) { c.Issuer = access.Issuer },
		"plain http":      func(c *access.OIDCConfig) { c.JWKSURL = "http://id.example.com/keys" },
		"no audience":     func(c *access.OIDCConfig) { c.Audience = "" },
		"no role claim":   func(c *access.OIDCConfig) { c.Roles = map[string]string{"x": "admin"} },
		"unknown role":    func(c *access.OIDCConfig) { c.RoleClaim, c.Roles = "r", map[string]string{"x": "emperor"} },
		"unknown default": func(c *access.OIDCConfig) { c.DefaultRole = "emperor" },
	} {
		bad := provider
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("%s passed", name)
		}
	}
	bad := cheap()
	bad.Enabled = "maybe"
	if _, err := access.New(access.Options{Config: bad}); err == nil {
		t.Error("maybe passed")
	}
}
