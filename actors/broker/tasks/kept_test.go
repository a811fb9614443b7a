package tasks

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: tasks in a queue, and what became of them.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "work", Of: work{}},
		heritage.Form{Name: "task", Of: Task{}},
	)
}
