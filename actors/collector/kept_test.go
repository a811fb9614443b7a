package collector

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: operations that fetch the past, and run-time subscriptions.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "backfill", Of: backfillDocument{}},
		heritage.Form{Name: "overlay", Of: Overlay{}},
	)
}
