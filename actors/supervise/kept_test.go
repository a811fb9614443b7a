package supervise

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: the tree of a node, as others show it.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "tree", Of: Snapshot{}, Values: []any{InBackoff}},
		heritage.Form{Name: "actor", Of: Node{}, Values: []any{InBackoff}},
	)
}
