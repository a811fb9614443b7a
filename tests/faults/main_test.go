// Package faults puts lying exchanges and broken lines in front of the program, and
// checks what it stores, serves and admits against what really happened.
package faults

import (
	"os"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
