package consul

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: who has the name of a node.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "ticket", Of: ticket{}},
	)
}
