package scheduler

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: tasks, whether they fire, and who leads.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "task", Of: Task{}},
		heritage.Form{Name: "switch", Of: switching{}},
		heritage.Form{Name: "lease", Of: claim{}},
	)
}
