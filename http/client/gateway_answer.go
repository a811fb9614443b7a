package client

import (
	"time"
)

// Login is the tokens of a login.
type Login struct {
	AccessToken      string    `json:"access_token"`
	ExpiresIn        float64   `json:"expires_in"`         // seconds
	RefreshExpiresIn float64   `json:"refresh_expires_in"` // seconds
	RefreshToken     string    `json:"refresh_token"`      // works once; using it twice ends the login
	TokenType        string    `json:"token_type"`         // Bearer
	User             LoginUser `json:"user"`
}

// LoginUser is who has logged in.
type LoginUser struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// CreatedKey is an API key with the key itself, which is shown once.
type CreatedKey struct {
	APIKey
	Key string `json:"key"` // the key itself: it is shown this once
}

// APIKey is an API key, without the key itself.
type APIKey struct {
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"` // null is never
	ID         string     `json:"id"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"` // to the minute; null is never
	Name       string     `json:"name"`
	Owner      string     `json:"owner"` // who made it
	Role       string     `json:"role"`
	Scopes     []string   `json:"scopes"` // SERVICE:ROLE; none is every service
}

// NewAPIKey is an API key to be created.
type NewAPIKey struct {
	ExpiresInSeconds int64    `json:"expires_in_seconds,omitempty"` // 0 is never
	Name             string   `json:"name"`                         // what it is for
	Role             string   `json:"role"`                         // reader, writer, operator, admin
	Scopes           []string `json:"scopes,omitempty"`             // SERVICE or SERVICE:ROLE; none is every service
}

// User is who may log in.
type User struct {
	CreatedAt         time.Time `json:"created_at"`
	Disabled          bool      `json:"disabled"`
	Name              string    `json:"name"`
	PasswordChangedAt time.Time `json:"password_changed_at"`
	Role              string    `json:"role"`
}

// NewUser is a user to be added.
type NewUser struct {
	Name     string `json:"name"` // a-z, 0-9 and . _ - @ +
	Password string `json:"password"`
	Role     string `json:"role"` // reader, writer, operator, admin
}

// UserChange is what is to change of a user; what is absent stays.
type UserChange struct {
	Disabled *bool   `json:"disabled,omitempty"` // a disabled user is refused at once, live tokens included
	Password *string `json:"password,omitempty"` // ends all logins of the user
	Role     string  `json:"role,omitempty"`     // reader, writer, operator, admin
}

// Identity is who sends a request.
type Identity struct {
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // null is never
	Kind      string     `json:"kind"`                 // user, apikey, service, node, anonymous
	Role      string     `json:"role"`
	Scopes    []string   `json:"scopes"` // SERVICE:ROLE; none is every service
	Subject   string     `json:"subject"`
}

// Service is a service that requests can be sent to.
type Service struct {
	BaseURL         string     `json:"base_url"`
	HealthEndpoint  string     `json:"health_endpoint"`
	Healthy         bool       `json:"healthy"` // whether an instance takes requests
	Host            string     `json:"host"`    // of the instance that is healthy, or else of the first; empty while there is none
	Instances       []Instance `json:"instances"`
	LastHealthCheck *time.Time `json:"last_health_check,omitempty"` // null before the first probe
	Platform        bool       `json:"platform"`                    // whether it is one of the program's own
	Port            int64      `json:"port"`
	RegisteredAt    time.Time  `json:"registered_at"`
}

// Instance is one instance of a service.
type Instance struct {
	Breaker            string     `json:"breaker"` // closed, half-open, open, none
	Fault              string     `json:"fault"`   // what the last probe found; empty when it passed
	Host               string     `json:"host"`
	LastHealthCheck    *time.Time `json:"last_health_check,omitempty"` // null before the first probe
	Port               int64      `json:"port"`
	ProbeEndpoint      string     `json:"probe_endpoint"` // what is asked whether it takes requests
	RegisteredAt       time.Time  `json:"registered_at"`
	RegisteredByClient bool       `json:"registered_by_client"`
	RequestsInFlight   int64      `json:"requests_in_flight"`
	State              string     `json:"state"` // unknown, healthy, unhealthy, ejected
	WindowFailures     int64      `json:"window_failures"`
	WindowRequests     int64      `json:"window_requests"` // that the breaker looks back at
}
