package foreign

import (
	"os"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// The tests let a public client library, that knows nothing of us, use what we serve
// in an exchange's name: what it understands, we have said as the exchange does.
func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
