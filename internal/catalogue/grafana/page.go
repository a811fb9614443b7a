package grafana

import (
	"slices"
	"strings"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// Page is one dashboard.
type Page struct {
	UID     string // in its address and its file's name
	Title   string
	About   string
	Filters []string // labels of catalogue metrics that narrow it
	Rows    []Row
	Areas   []string // titles of the catalogue's areas whose metrics it shows all of
}

// Row is a part of a page with a title.
type Row struct {
	Title  string
	Folded bool
	Panels []Panel
}

// Form is how a panel shows its queries.
type Form string

// The forms.
const (
	Lines  Form = "timeseries"
	Number Form = "stat"
)

// Panel is one picture.
type Panel struct {
	Title   string
	About   string
	Form    Form
	Queries []Query
	// Bad is the number from which a Number is alarming; with Low, below which. 0 and not
	// Low is never.
	Bad float64
	Low bool
}

// Pages are all dashboards, each with every metric of its areas. An area that no page
// names is on the last.
func Pages() []Page {
	pages := []Page{overview(), actorsPage(), streamsPage(), storagePage(), brokerPage(), httpPage(), clusterPage()}
	var named []string
	for _, p := range pages {
		named = append(named, p.Areas...)
	}
	last := &pages[len(pages)-1]
	for _, a := range catalogue.Areas() {
		if !slices.Contains(named, a.Title) {
			last.Areas = append(last.Areas, a.Title)
		}
	}
	for i := range pages {
		pages[i].complete()
	}
	return pages
}

// lines is a panel over time.
func lines(title, about string, queries ...Query) Panel {
	return Panel{Title: title, About: about, Form: Lines, Queries: queries}
}

// number is a panel with the latest value.
func number(title, about string, q Query) Panel {
	return Panel{Title: title, About: about, Form: Number, Queries: []Query{q}}
}

// from makes a number alarming from a value on.
func (p Panel) from(bad float64) Panel {
	p.Bad = bad
	return p
}

// below makes a number alarming below a value.
func (p Panel) below(bad float64) Panel {
	p.Bad, p.Low = bad, true
	return p
}

// complete adds a folded row for each area, with what the rows above do not show.
func (p *Page) complete() {
	shown := p.uses()
	for _, title := range p.Areas {
		area := areaOf(title)
		row := Row{Title: "More: " + area.Title, Folded: true}
		for _, m := range area.Metrics {
			if !slices.Contains(shown, m.Name) {
				row.Panels = append(row.Panels, filters(p.Filters).byRule(m, area.Optional))
			}
		}
		if len(row.Panels) > 0 {
			p.Rows = append(p.Rows, row)
		}
	}
}

func (p *Page) uses() (names []catalogue.Name) {
	for _, r := range p.Rows {
		for _, panel := range r.Panels {
			for _, q := range panel.Queries {
				names = append(names, q.Uses...)
			}
		}
	}
	return names
}

func areaOf(title string) catalogue.Area {
	for _, a := range catalogue.Areas() {
		if a.Title == title {
			return a
		}
	}
	panic("grafana: the catalogue has no area " + title)
}

// byRule is the panel of a metric that nobody has thought of.
func (f filters) byRule(m catalogue.Metric, optional bool) Panel {
	by := narrow(m.Labels)
	var q Query
	switch {
	case m.Type == catalogue.Counter:
		q = f.rate(m.Name, by...)
	case m.Type == catalogue.Histogram:
		q = f.quantile(0.99, m.Name, by...)
	case strings.HasSuffix(string(m.Name), "expiry_timestamp_seconds"):
		q = f.left(m.Name, by...)
	case strings.HasSuffix(string(m.Name), "_timestamp_seconds"):
		q = f.age(m.Name, by...)
	case slices.Contains(m.Labels, "symbol"):
		q = f.value("sum", m.Name, by...)
	default:
		q = f.value("max", m.Name, append([]string{"instance"}, by...)...)
	}
	about := m.Help
	if why, quiet := Quiet()[m.Name]; quiet {
		about += " Empty " + why + "."
	} else if optional {
		about += " Empty with some configurations."
	}
	return lines(titleOf(m), about, q)
}

// narrow leaves out the labels with many values, where there are others.
func narrow(labels []string) []string {
	by := slices.DeleteFunc(slices.Clone(labels), func(l string) bool {
		return l == "symbol" || len(labels) > 1 && (l == "message" || l == "route")
	})
	return by
}

// titleOf is a metric's name as words.
func titleOf(m catalogue.Metric) string {
	name := strings.TrimPrefix(string(m.Name), "mp_")
	suffix := ""
	switch m.Type {
	case catalogue.Counter:
		name, suffix = strings.TrimSuffix(name, "_total"), " per second"
	case catalogue.Histogram:
		suffix = ", 99th percentile"
	case catalogue.Gauge:
	}
	for _, unit := range []string{"_timestamp_seconds", "_seconds", "_bytes", "_ratio"} {
		name = strings.TrimSuffix(name, unit)
	}
	words := strings.ReplaceAll(name, "_", " ")
	for _, short := range []string{"http", "wal", "cpu", "api"} {
		words = strings.ReplaceAll(" "+words+" ", " "+short+" ", " "+strings.ToUpper(short)+" ")
		words = strings.TrimSpace(words)
	}
	return strings.ToUpper(words[:1]) + words[1:] + suffix
}
