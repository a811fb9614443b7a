package remote

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what is read of a storage service.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "standing", Of: Standing{}},
	)
}
