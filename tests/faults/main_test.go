// Package faults puts lying exchanges and broken lines in front of the program, and
// checks what it stores, serves and admits against what really happened.
//
// With MARKETPRISM_KILL_ROUNDS above 3 each fault takes 10,000 messages a stream, and
// outages last as long as they are said to.
package faults

import (
	"os"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
