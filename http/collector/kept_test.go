package collector

import (
	"testing"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what collectors tell each other of their streams, and ask each other to follow.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "quality", Of: qualityList{}},
		heritage.Form{Name: "backfills", Of: backfillList{}},
		heritage.Form{Name: "symbols", Of: symbolList{}},
		heritage.Form{Name: "filter", Of: live.Filter{}},
	)
}
