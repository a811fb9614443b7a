package storage

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what a node tells another one of operations, of its store, and of the journal.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "operation", Of: operationAnswer{}},
		heritage.Form{Name: "tally", Of: tallyAnswer{}},
		heritage.Form{Name: "applied", Of: appliedAnswer{}},
		heritage.Form{Name: "standing", Of: standingAnswer{}},
	)
}
