package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// View is one of the two tables.
type View int

// The tables.
const (
	Streams View = iota
	Actors
)

// Views are their names, as a flag has them.
var Views = []string{Streams: "streams", Actors: "actors"}

// cell is a text and how much it matters.
type cell struct {
	text string
	tone tone
}

type tone int

const (
	plain tone = iota
	faint
	good
	warn
	bad
)

// column is a column of a table of T.
type column[T any] struct {
	title string
	name  string // that one sorts by
	left  bool   // aligned; figures are right
	show  func(*T) cell
	// order compares by what the column shows; what needs a look comes first.
	order func(a, b *T) int
}

// down orders the highest first.
func down[T any, N cmp.Ordered](of func(*T) N) func(a, b *T) int {
	return func(a, b *T) int { return cmp.Compare(of(b), of(a)) }
}

var streamColumns = []column[Stream]{
	{"STREAM", "name", true, func(s *Stream) cell { return cell{text: s.Name()} }, func(a, b *Stream) int { return cmp.Compare(a.Name(), b.Name()) }},
	{"STATE", "state", true, func(s *Stream) cell { return cell{s.State, tonesOfStates[s.State]} }, func(a, b *Stream) int {
		return cmp.Or(cmp.Compare(tonesOfStates[b.State], tonesOfStates[a.State]), cmp.Compare(a.State, b.State))
	}},
	{"REC/S", "rate", false, func(s *Stream) cell { return rate(s.Rate) }, down(func(s *Stream) float64 { return s.Rate })},
	{"LAG", "lag", false, func(s *Stream) cell { return span(s.Lag, 1, 5) }, down(func(s *Stream) float64 { return s.Lag })},
	{"AGE", "age", false, func(s *Stream) cell { return span(s.Age, 30, 120) }, down(func(s *Stream) float64 { return s.Age })},
	{"COVERED", "coverage", false, func(s *Stream) cell { return share(s.Coverage, 99) }, func(a, b *Stream) int { return cmp.Compare(known(a.Coverage), known(b.Coverage)) }},
	{"VERIFIED", "verified", false, func(s *Stream) cell { return share(s.Verified, 0) }, func(a, b *Stream) int { return cmp.Compare(known(a.Verified), known(b.Verified)) }},
	{"OPEN", "open", false, func(s *Stream) cell { return count(s.Open, warn) }, down(func(s *Stream) int64 { return s.Open })},
	{"GAPS", "gaps", false, func(s *Stream) cell { return count(s.Gaps, plain) }, down(func(s *Stream) int64 { return s.Gaps })},
	{"RESYNCS", "resyncs", false, func(s *Stream) cell { return count(s.Resyncs, plain) }, down(func(s *Stream) int64 { return s.Resyncs })},
	{"NODE", "node", true, func(s *Stream) cell { return cell{s.Node, faint} }, func(a, b *Stream) int { return cmp.Compare(a.Node, b.Node) }},
}

var actorColumns = []column[Actor]{
	{"ACTOR", "name", true, func(a *Actor) cell { return cell{text: a.ID} }, func(a, b *Actor) int { return cmp.Compare(a.Order, b.Order) }},
	{"KIND", "kind", true, func(a *Actor) cell { return cell{a.Kind, faint} }, func(a, b *Actor) int { return cmp.Compare(a.Kind, b.Kind) }},
	{"STATE", "state", true, func(a *Actor) cell { return cell{a.State, tonesOfStates[a.State]} }, func(a, b *Actor) int {
		return cmp.Or(cmp.Compare(tonesOfStates[b.State], tonesOfStates[a.State]), cmp.Compare(a.State, b.State))
	}},
	{"BUSY", "busy", false, func(a *Actor) cell { return busy(a.Busy) }, down(func(a *Actor) float64 { return a.Busy })},
	{"MSG/S", "rate", false, func(a *Actor) cell { return rate(a.Rate) }, down(func(a *Actor) float64 { return a.Rate })},
	{"DEPTH", "depth", false, func(a *Actor) cell { return count(int64(a.Depth), plain) }, down(func(a *Actor) int { return a.Depth })},
	{"WAIT P99", "wait", false, func(a *Actor) cell { return span(a.WaitP99, 0.1, 1) }, down(func(a *Actor) float64 { return a.WaitP99 })},
	{"RESTARTS", "restarts", false, func(a *Actor) cell { return count(int64(a.Restarts), warn) }, down(func(a *Actor) uint64 { return a.Restarts })},
	{"DEAD", "dead", false, func(a *Actor) cell { return count(int64(a.Letters), plain) }, down(func(a *Actor) uint64 { return a.Letters })},
	{"LAST FAILURE", "failure", true, func(a *Actor) cell { return cell{firstLine(a.Reason), faint} }, func(a, b *Actor) int { return cmp.Compare(b.Reason, a.Reason) }},
}

// tonesOfStates are of books and of actors.
var tonesOfStates = map[string]tone{
	"live": good, "running": good,
	"syncing": warn, "starting": warn, "stopping": warn, "restarting": warn,
	"stale": bad, "not live": bad, "failed": bad, "backoff": bad,
}

func known(p *float64) float64 {
	if p == nil {
		return 101 // nothing is known of it: after what is whole
	}
	return *p
}

func rate(x float64) cell {
	switch {
	case x == 0:
		return cell{"-", faint}
	case x < 10:
		return cell{text: fmt.Sprintf("%.1f", x)}
	}
	return cell{text: fmt.Sprintf("%.0f", x)}
}

// span writes seconds; from warnAt and badAt on they matter.
func span(seconds, warnAt, badAt float64) cell {
	if seconds == 0 {
		return cell{"-", faint}
	}
	c, size := cell{}, max(seconds, -seconds)
	switch {
	case size >= badAt:
		c.tone = bad
	case size >= warnAt:
		c.tone = warn
	}
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case size >= 100:
		c.text = d.Round(time.Second).String()
	case size >= 1:
		c.text = fmt.Sprintf("%.1fs", seconds)
	case size >= 1e-3:
		c.text = fmt.Sprintf("%.0fms", seconds*1e3)
	default:
		c.text = fmt.Sprintf("%.0fµs", seconds*1e6)
	}
	return c
}

// share writes a percentage, which matters below a limit; it says 100 of nothing less.
func share(p *float64, limit float64) cell {
	if p == nil {
		return cell{"-", faint}
	}
	c := cell{text: fmt.Sprintf("%.2f%%", *p)}
	switch {
	case *p >= 100:
		c.text = "100%"
	case *p > 99.99:
		c.text = ">99.99%"
	case *p < limit:
		c.tone = warn
	}
	return c
}

func busy(ratio float64) cell {
	c := cell{text: fmt.Sprintf("%.0f%%", 100*ratio)}
	switch {
	case ratio >= 0.9:
		c.tone = bad
	case ratio >= 0.6:
		c.tone = warn
	case ratio < 0.005:
		c = cell{"-", faint}
	}
	return c
}

func count(n int64, where tone) cell {
	if n == 0 {
		return cell{"-", faint}
	}
	return cell{fmt.Sprint(n), where}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// table is rows ready to be drawn.
type table struct {
	titles []string
	left   []bool
	rows   [][]cell
}

// SortColumns are the columns that a view can be sorted by, in their order.
func SortColumns(v View) []string {
	if v == Actors {
		return names(actorColumns)
	}
	return names(streamColumns)
}

func names[T any](columns []column[T]) (names []string) {
	for _, c := range columns {
		names = append(names, c.name)
	}
	return names
}

// choice is what of a table is shown.
type choice struct {
	sort    int // column
	reverse bool
	filter  string // part of any cell, whatever its case
}

// tableOf makes the table of a view.
func (p *Picture) tableOf(v View, c choice) table {
	if v == Actors {
		return lay(p.Actors, actorColumns, c)
	}
	columns := streamColumns
	if !slices.ContainsFunc(p.Streams, func(s Stream) bool { return s.Node != "" }) {
		columns = columns[:len(columns)-1] // one node: its name says nothing
		c.sort = min(c.sort, len(columns)-1)
	}
	return lay(p.Streams, columns, c)
}

func lay[T any](of []T, columns []column[T], c choice) table {
	t := table{}
	for _, col := range columns {
		t.titles, t.left = append(t.titles, col.title), append(t.left, col.left)
	}
	sorted := slices.Clone(of)
	slices.SortStableFunc(sorted, func(a, b T) int {
		if c.reverse {
			a, b = b, a
		}
		return columns[c.sort].order(&a, &b)
	})
	want := strings.ToLower(c.filter)
	for i := range sorted {
		row, found := make([]cell, len(columns)), want == ""
		for j, col := range columns {
			row[j] = col.show(&sorted[i])
			found = found || strings.Contains(strings.ToLower(row[j].text), want)
		}
		if found {
			t.rows = append(t.rows, row)
		}
	}
	return t
}
