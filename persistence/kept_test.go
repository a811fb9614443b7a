package persistence

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what a node gives another one to copy.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "offer", Of: Offer{}, Values: []any{Incarnation{1, 2, 15: 16}}},
	)
}
