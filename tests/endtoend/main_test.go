// Package endtoend runs the whole program on recorded traffic and on requests, and
// looks at what it answers.
package endtoend

import (
	"os"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
