//go:build !race

package persistencetest

// steps of one differential test.
const steps = 120
