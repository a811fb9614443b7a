package storage

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what a node tells another one of an operation.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "operation", Of: operationAnswer{}},
	)
}
