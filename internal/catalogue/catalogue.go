package catalogue

import (
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Name is the name of a metric. Only the constants of this package name one.
type Name string

// Type is how a metric behaves.
type Type string

// The types.
const (
	Counter   Type = "counter"   // only grows, but for restarts of the process
	Gauge     Type = "gauge"     // goes up and down
	Histogram Type = "histogram" // observations by size, in buckets
)

// Unit is what a metric counts.
type Unit string

// The units. Number counts what the name says: messages, rows, actors.
const (
	Number  Unit = "number"
	Flag    Unit = "flag" // 1 for yes, 0 for no
	Seconds Unit = "seconds"
	Bytes   Unit = "bytes"
	Percent Unit = "percent" // from 0 to 100; of promised names only
	Ratio   Unit = "ratio"   // from 0 to 1
)

// Buckets is a class of histogram: what range it resolves, and how finely.
type Buckets string

// The classes.
const (
	Handling Buckets = "handling" // an actor's work on one message
	Latency  Buckets = "latency"  // the way of a tick or of a request
	Commit   Buckets = "commit"   // a write until it is durable
	Task     Buckets = "task"     // work on much data: a publication, a merge, a query
	Size     Buckets = "size"     // how many are in a batch
)

// Classes are all classes of histogram.
func Classes() []Buckets { return []Buckets{Handling, Latency, Commit, Task, Size} }

// Bounds are the upper bounds of the buckets, in the unit of the metric; nil for no
// class.
func (b Buckets) Bounds() []float64 {
	switch b {
	case Handling:
		return []float64{1e-6, 5e-6, 25e-6, 100e-6, 500e-6, 2.5e-3, 10e-3, 50e-3, 250e-3, 1, 5, 25}
	case Latency:
		return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	case Commit:
		return prometheus.ExponentialBuckets(0.0005, 2, 16) // to 16 s
	case Task:
		return prometheus.ExponentialBuckets(0.0001, 4, 13) // to 28 min
	case Size:
		return prometheus.ExponentialBuckets(1, 4, 12) // to 4 Mi
	}
	return nil
}

// Metric is one family of metrics.
type Metric struct {
	Name    Name
	Type    Type
	Unit    Unit
	Labels  []string // in the order of their values
	Help    string
	Buckets Buckets // of a histogram; "" for others
}

// Area is what one part of the program measures.
type Area struct {
	Title   string
	About   string // a sentence or two, in Markdown
	Metrics []Metric
	// Optional areas are there with some configurations only.
	Optional bool
}

// Areas are all areas, in the order of the documentation.
func Areas() []Area {
	return []Area{actors(), streams(), live(), recorders(), journal(), readers(), lifecycle(), store(), broker(), scheduler(), alerts(), series(), servers(), gateway(), watching(), access(), certificates(), clusters()}
}

// All are the metrics of all areas.
func All() []Metric {
	var all []Metric
	for _, a := range Areas() {
		all = append(all, a.Metrics...)
	}
	return all
}

// Lookup finds a metric by its name.
func Lookup(n Name) (Metric, bool) {
	m, ok := index()[n]
	m.Labels = slices.Clone(m.Labels)
	return m, ok
}

// index is All by name, made once and not changed.
var index = sync.OnceValue(func() map[Name]Metric {
	byName := map[Name]Metric{}
	for _, m := range All() {
		byName[m.Name] = m
	}
	return byName
})

// wanted is the metric that a package asks for. Asking for what is not there is a
// mistake in the program.
func wanted(n Name, t Type) Metric {
	m, ok := index()[n]
	switch {
	case !ok:
		panic(fmt.Sprintf("catalogue: there is no metric %q", n))
	case m.Type != t:
		panic(fmt.Sprintf("catalogue: %s is a %s, not a %s", n, m.Type, t))
	}
	return m
}

func counter(n Name, u Unit, help string, labels ...string) Metric {
	return Metric{Name: n, Type: Counter, Unit: u, Labels: labels, Help: help}
}

func gauge(n Name, u Unit, help string, labels ...string) Metric {
	return Metric{Name: n, Type: Gauge, Unit: u, Labels: labels, Help: help}
}

func histogram(n Name, u Unit, b Buckets, help string, labels ...string) Metric {
	return Metric{Name: n, Type: Histogram, Unit: u, Labels: labels, Help: help, Buckets: b}
}
