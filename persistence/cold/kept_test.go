package cold

import (
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: records of the manifest, which nodes have in common on S3.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "record", Of: Record{}},
	)
}
