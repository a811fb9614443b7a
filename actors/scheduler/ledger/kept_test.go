package ledger

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what was recorded of runs, one by one and summed up.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "batch", Of: batch{}},
		heritage.Form{Name: "image", Of: image{}},
	)
}
