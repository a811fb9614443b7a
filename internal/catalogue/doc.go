// Package catalogue is the one list of the metrics that the program exports: name,
// type, unit, labels, help, buckets. Packages make their metrics from it and write
// none of that themselves; docs/metrics.md and Grafana's dashboards are generated from it.
//
// # Rules, held by the tests beside
//
//   - A name begins with mp_ and its area, ends with its base unit (_seconds,
//     _bytes, _ratio) and, for a counter, with _total. It passes promlint.
//   - Labels come from [Labels]. They name kinds and things that are configured:
//     never a process, a trace, an actor or the text of an error. exchange × market
//     × symbol is the one wide axis, for counters and gauges only.
//   - Every metric is used by some package, and no package has one of its own.
package catalogue

//go:generate go run ./gen ../../docs/metrics.md
//go:generate go run ./grafana/gen ../../deploy/grafana/dashboards
