//go:build !race

package ruletest_test

// perFile is how many mutants there are of each file.
const perFile = 3
