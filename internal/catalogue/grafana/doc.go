// Package grafana writes Grafana's dashboards from the catalogue of metrics.
//
// A [Page] begins with rows that are made by hand, for what one wants to see first.
// Every other metric of the page's areas gets a panel by rule, in a row that is folded:
// a rate for a counter, the 99th percentile for a histogram, the value for a gauge. So a
// new metric is on a dashboard as soon as it is in the catalogue, and none is forgotten.
//
// A query names metrics by the catalogue's constants only. Asking for a metric as
// something that it is not, or by a label that it has not, is a mistake in the program
// and panics.
package grafana
