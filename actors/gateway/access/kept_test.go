package access

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
	"github.com/marketprism/marketprism/internal/identity"
)

// TestKept: users, keys, and logins.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "user", Of: User{}, Values: []any{identity.Operator, identity.Scope{Service: "scheduler-service", Role: identity.Writer}}},
		heritage.Form{Name: "apikey", Of: Key{}, Values: []any{identity.Operator, identity.Scope{Service: "scheduler-service", Role: identity.Writer}}},
		heritage.Form{Name: "session", Of: session{}},
		heritage.Form{Name: "used", Of: used{}},
		heritage.Form{Name: "signing", Of: signing{}},
	)
}
