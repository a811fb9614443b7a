package identity

import (
	"context"
	"time"
)

// maxName is the longest name of a principal, service or key, in bytes.
const maxName = 128

// Principal is who sends a request. It is not changed once made.
type Principal struct {
	// Subject is the user's name, the id of the API key, or the name of the service or
	// node; never empty.
	Subject string
	Kind    Kind
	Role    Role
	// Scopes narrow Role to services; none: it counts at all of them.
	Scopes []Scope
	// Expiry is when the credential ends; zero is never.
	Expiry time.Time
	// Session is the login at the gateway, which alone knows it; "" for none.
	Session string
}

// Nobody is who sends a request where authentication is off: it may do everything.
func Nobody() Principal { return Principal{Subject: "anonymous", Kind: Anonymous, Role: Admin} }

// String is KIND:SUBJECT.
func (p Principal) String() string { return string(p.Kind) + ":" + p.Subject }

// RoleAt is what p may do at a service ("" is what belongs to none).
func (p Principal) RoleAt(service string) Role {
	if len(p.Scopes) == 0 {
		return p.Role
	}
	role := None
	for _, s := range p.Scopes {
		switch s.Service {
		case service:
			return min(s.Role, p.Role)
		case "*":
			role = min(s.Role, p.Role)
		}
	}
	return role
}

type contextKey struct{}

// With returns a context in which p sends the request.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns who sends the request that ctx belongs to; false when nobody asked,
// because authentication is off or the route is open.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}
