package coordinator

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what collectors say to each other, and what stands beside the plan.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "letgo", Of: letGo{}},
		heritage.Form{Name: "gone", Of: gone{}},
		heritage.Form{Name: "plan", Of: document{}},
		heritage.Form{Name: "ability", Of: Ability{}},
		heritage.Form{Name: "drain", Of: Drain{}},
		heritage.Form{Name: "pin", Of: Pin{}},
		heritage.Form{Name: "standing", Of: Standing{}},
	)
}
