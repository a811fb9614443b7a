package chassis

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: how a service is, as others read it.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "health", Of: HealthReport{}},
	)
}
