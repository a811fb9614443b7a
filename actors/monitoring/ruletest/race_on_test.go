//go:build race

package ruletest_test

// perFile is how many mutants there are of each file, less under the race detector.
const perFile = 1
