//go:build race

package persistencetest

// steps of one differential test: under the race detector each takes ten times as
// long.
const steps = 30
