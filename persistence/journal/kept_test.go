package journal

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
	"github.com/marketprism/marketprism/persistence"
)

// TestKept: how far the journal is read, and which ownership numbers were taken.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "reader", Of: registered{}},
		heritage.Form{Name: "epoch", Of: epochValue{}},
		heritage.Form{Name: "position", Of: persistence.Position{}, Values: []any{persistence.Incarnation{1, 2, 15: 16}}},
	)
}
