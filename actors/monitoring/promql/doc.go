// Package promql is Prometheus' query language for the rest of MarketPrism: queries,
// selectors, expositions, rule files and their templates. With package series below
// it, it is the only one that knows Prometheus' own packages, whose interfaces change
// between minor versions; everything else sees the types here.
//
// # Authority
//
// An [Engine] owns nothing but the slots of its queries: it reads a series.Store.
//
// # Limits
//
// A query waits for one of Config.Concurrency slots and runs, with its wait, for at
// most Config.Timeout; it holds at most Config.MaxSamples samples. A range query has
// at most [MaxPoints] points a series.
//
// # Failure
//
// Every error of a query is an [*Error], which says whose fault it is ([Kind]); the
// kinds are those of Prometheus' HTTP interface.
//
// # Semantics
//
// Those of the version in go.mod: ranges and look-back are open on the left, so that
// x[5m] of a series with a sample every minute, evaluated on one, holds five samples;
// Prometheus before 3.0 counts six.
package promql
