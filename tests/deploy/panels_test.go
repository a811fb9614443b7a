package deploy

import (
	"encoding/json"
	"maps"
	"math"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// getter asks a Prometheus for a path of its API, which has to answer, and reads the JSON.
type getter func(path string, into any)

// ask are the values of a query's series.
func ask(t *testing.T, get getter, query string) (values []float64) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	get("/api/v1/query?query="+url.QueryEscape(query), &answer)
	for _, r := range answer.Data.Result {
		said, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(said, 64)
		if err != nil {
			t.Fatalf("%s gives %v", query, r.Value)
		}
		values = append(values, v)
	}
	return values
}

// board is a dashboard as Grafana reads it.
type board struct {
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
	Panels []shown `json:"panels"`
}

// shown is a panel of it, or a row of panels that is folded.
type shown struct {
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Panels      []shown `json:"panels"`
	Targets     []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

// panel is one query of a dashboard.
type panel struct {
	where, expr string
	rare        bool   // of a folded row: a series is enough, without a number
	quiet       string // when it is empty, in its description's words; "" is never
}

var (
	filled    = regexp.MustCompile(`\$[a-z]+`)
	choice    = regexp.MustCompile(`^label_values\((.+), ([a-z]+)\)$`)
	quietness = regexp.MustCompile(` (Empty [^.]+)\.`)
)

// panels are the queries of all dashboards, with every choice taken, and what there is to
// choose from.
func panels(t *testing.T) (all []panel) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(deployed, "grafana/dashboards/*.json"))
	if err != nil || len(files) != 7 {
		t.Fatalf("dashboards %q, %v", files, err)
	}
	for _, file := range files {
		var b board
		if err := json.Unmarshal([]byte(text(t, file)), &b); err != nil {
			t.Fatal(err)
		}
		for _, v := range b.Templating.List {
			if v.Type != "query" {
				continue
			}
			m := choice.FindStringSubmatch(v.Definition)
			if m == nil {
				t.Fatalf("%s: $%s is chosen from %s", file, v.Name, v.Definition)
			}
			all = append(all, panel{where: filepath.Base(file) + ": $" + v.Name, expr: "group by (" + m[2] + ") (" + m[1] + ")"})
		}
		for _, row := range b.Panels {
			for _, p := range append(row.Panels, row) {
				quiet := ""
				if m := quietness.FindStringSubmatch(p.Description); m != nil {
					quiet = m[1]
				}
				for _, q := range p.Targets {
					expr := filled.ReplaceAllString(strings.ReplaceAll(q.Expr, "$__rate_interval", "30s"), ".*")
					all = append(all, panel{filepath.Base(file) + ": " + p.Title, expr, strings.HasPrefix(row.Title, "More: "), quiet})
				}
			}
		}
	}
	return all
}

// dashboards waits until every query of the dashboards that is to give something does: a
// number, or in the folded rows, which have what is rare, at least a series. The others
// are answered.
func dashboards(t *testing.T, get getter, full func(panel) bool) {
	t.Helper()
	waiting, others := map[string]panel{}, 0 // by query
	for _, p := range panels(t) {
		if full(p) {
			waiting[p.expr] = p
		} else {
			others++
			ask(t, get, p.expr)
		}
	}
	all := len(waiting)
	if !harness.Eventually(t, time.Minute, func() bool {
		maps.DeleteFunc(waiting, func(expr string, p panel) bool {
			return slices.ContainsFunc(ask(t, get, expr), func(v float64) bool { return p.rare || !math.IsNaN(v) })
		})
		return len(waiting) == 0
	}) {
		for expr, p := range waiting {
			t.Errorf("%s: nothing from %s", p.where, expr)
		}
	}
	t.Logf("%d of %d queries give something; %d more are answered", all-len(waiting), all, others)
}
