// Package actorstest helps the tests of the branches to wait.
package actorstest

import (
	"testing"
	"time"
)

// patience bounds every wait; no test needs a fraction of it.
const patience = 30 * time.Second

// Eventually polls until ok, and fails the test when that takes longer than 30 s.
// It is for what has no signal: a real server, a tree seen from outside.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
