package rules

import (
	"testing"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: how the alerts of a group were.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "group", Of: Remembered{}, Values: []any{alert.Firing}},
	)
}
