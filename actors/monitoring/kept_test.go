package monitoring

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what is read of the health of a service.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "health", Of: report{}},
	)
}
