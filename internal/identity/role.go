package identity

import (
	"fmt"
	"strings"
)

// Role is what a principal may do; each may do what those before it may.
type Role uint8

// The roles, in order.
const (
	None     Role = iota // nothing but what is open to everybody
	Reader               // reads
	Writer               // stores, publishes, schedules
	Operator             // runs the system: archives, restarts, silences
	Admin                // users, keys, configuration
)

var roleNames = [...]string{"none", "reader", "writer", "operator", "admin"}

// Roles are the words of the roles that a principal can have, in order.
func Roles() []string { return append([]string(nil), roleNames[Reader:]...) }

func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return "none"
}

// ParseRole reads the word of a role: reader, writer, operator or admin.
func ParseRole(word string) (Role, error) {
	for r := Reader; r <= Admin; r++ {
		if roleNames[r] == word {
			return r, nil
		}
	}
	return None, fmt.Errorf("role %q: must be one of %s", clip(word), strings.Join(Roles(), ", "))
}

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Role) UnmarshalText(text []byte) error {
	if string(text) == roleNames[None] {
		*r = None
		return nil
	}
	parsed, err := ParseRole(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}

// Kind is what a principal is.
type Kind string

// The kinds.
const (
	User      Kind = "user"      // a person, by password or an identity provider
	APIKey    Kind = "apikey"    // a program, by a key
	Service   Kind = "service"   // another service of the program
	Node      Kind = "node"      // another node, by its TLS certificate
	Anonymous Kind = "anonymous" // nobody in particular: authentication is off
)

func (k Kind) known() bool {
	switch k {
	case User, APIKey, Service, Node, Anonymous:
		return true
	}
	return false
}

// Scope narrows what a principal may do to one service: no role above Role at
// Service. Service "*" is every service that no other scope names.
type Scope struct {
	Service string
	Role    Role
}

// ParseScope reads SERVICE or SERVICE:ROLE; without a role it is admin, so that the
// principal's own role counts. services are the names that there are; nil takes any.
func ParseScope(text string, services []string) (Scope, error) {
	name, word, found := strings.Cut(text, ":")
	s := Scope{Service: name, Role: Admin}
	if found {
		var err error
		if s.Role, err = ParseRole(word); err != nil {
			return Scope{}, fmt.Errorf("scope %q: %w", clip(text), err)
		}
	}
	if name == "*" {
		return s, nil
	}
	for _, known := range services {
		if name == known {
			return s, nil
		}
	}
	if services == nil && name != "" && len(name) <= maxName {
		return s, nil
	}
	return Scope{}, fmt.Errorf("scope %q: must be * or a service (%s), and may end with :ROLE", clip(text), strings.Join(services, ", "))
}

// String is SERVICE:ROLE.
func (s Scope) String() string { return s.Service + ":" + s.Role.String() }

// MarshalText implements encoding.TextMarshaler.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Scope) UnmarshalText(text []byte) error {
	parsed, err := ParseScope(string(text), nil)
	if err == nil {
		*s = parsed
	}
	return err
}

func clip(s string) string { return s[:min(len(s), maxName)] }
