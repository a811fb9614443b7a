package identity

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: the keys of processes, and what they sign.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "announcement", Of: Announcement{}},
		heritage.Form{Name: "claims", Of: claims{}, Values: []any{Operator, Scope{Service: "scheduler-service", Role: Writer}}},
	)
}
