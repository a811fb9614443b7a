// Package persistencetest is the suite that every store passes. It drives a store
// through its interfaces only, and compares what it answers with a model that
// keeps records in a map.
package persistencetest
