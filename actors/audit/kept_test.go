package audit

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what the audit log has.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "entry", Of: Entry{}},
	)
}
