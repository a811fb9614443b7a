//go:build race

package collector_test

// raceEnabled: the race detector takes memory of its own.
const raceEnabled = true
