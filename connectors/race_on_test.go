//go:build race

package connectors

// raceEnabled: the race detector empties pools at random.
const raceEnabled = true
