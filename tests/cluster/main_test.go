// Package cluster runs several nodes with a real Consul, as processes of their own, and
// compares what they store together with what really happened.
package cluster

import (
	"os"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
