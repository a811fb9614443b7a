package grafana_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/catalogue/grafana"
)

const written = "../../../deploy/grafana/dashboards"

// TestPagesShowEverything: there are seven pages, each area is on one, and every metric
// of the catalogue is in some query.
func TestPagesShowEverything(t *testing.T) {
	pages := grafana.Pages()
	if len(pages) != 7 {
		t.Errorf("%d pages, want 7", len(pages))
	}
	areas, shown := map[string]string{}, map[catalogue.Name]bool{}
	for _, p := range pages {
		for _, a := range p.Areas {
			if other, twice := areas[a]; twice {
				t.Errorf("the area %q is on %q and %q", a, other, p.Title)
			}
			areas[a] = p.Title
		}
		for _, r := range p.Rows {
			for _, panel := range r.Panels {
				for _, q := range panel.Queries {
					for _, n := range q.Uses {
						shown[n] = true
					}
				}
			}
		}
	}
	for _, a := range catalogue.Areas() {
		if areas[a.Title] == "" {
			t.Errorf("the area %q is on no page", a.Title)
		}
		for _, m := range a.Metrics {
			if !shown[m.Name] {
				t.Errorf("%s is on no page", m.Name)
			}
		}
	}
	for n, why := range grafana.Quiet() {
		if _, ok := catalogue.Lookup(n); !ok || why == "" {
			t.Errorf("quiet: %q, %q", n, why)
		}
	}
}

// board is what Grafana looks at first.
type board struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct{ Name string } `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr string } `json:"targets"`
	Panels  []panel                 `json:"panels"`
}

var variable = regexp.MustCompile(`\$\{?([a-z_]+)\}?`)

// TestDashboards: what is written is what the generator writes; it is JSON, its panels do
// not overlap, and its queries use no variable that it has not.
func TestDashboards(t *testing.T) {
	var wanted []string
	for _, p := range grafana.Pages() {
		text, err := p.JSON()
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(written, p.UID+".json")
		wanted = append(wanted, name)
		if have, err := os.ReadFile(name); err != nil || string(have) != string(text) {
			t.Errorf("%s is out of date (%v): run make generate", name, err)
		}
		var b board
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatalf("%s: %v", p.UID, err)
		}
		inspect(t, b)
	}
	have, err := filepath.Glob(filepath.Join(written, "*"))
	if slices.Sort(wanted); err != nil || !slices.Equal(have, wanted) {
		t.Errorf("dashboards %q (%v), want %q", have, err, wanted)
	}
}

func inspect(t *testing.T, b board) {
	t.Helper()
	known := []string{"__rate_interval"}
	for _, v := range b.Templating.List {
		known = append(known, v.Name)
	}
	ids := map[int]bool{}
	var look func(panels []panel)
	look = func(panels []panel) {
		for i, p := range panels {
			if p.ID == 0 || ids[p.ID] || p.Title == "" {
				t.Errorf("%s: panel %d %q: its id is none, or another's, or it has no title", b.UID, p.ID, p.Title)
			}
			ids[p.ID] = true
			if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || p.GridPos.H == 0 {
				t.Errorf("%s: %q lies at %+v", b.UID, p.Title, p.GridPos)
			}
			for _, other := range panels[:i] {
				if overlap(p, other) {
					t.Errorf("%s: %q lies on %q", b.UID, p.Title, other.Title)
				}
			}
			if (p.Type == "row") != (len(p.Targets) == 0) {
				t.Errorf("%s: %q, a %s, has %d queries", b.UID, p.Title, p.Type, len(p.Targets))
			}
			for _, q := range p.Targets {
				for _, m := range variable.FindAllStringSubmatch(q.Expr, -1) {
					if !slices.Contains(known, m[1]) {
						t.Errorf("%s: %q uses $%s", b.UID, p.Title, m[1])
					}
				}
				if strings.Contains(q.Expr, "%!") {
					t.Errorf("%s: %q asks %s", b.UID, p.Title, q.Expr)
				}
			}
			if p.Type == "row" {
				look(p.Panels)
			}
		}
	}
	look(b.Panels)
}

func overlap(a, b panel) bool {
	if a.Type == "row" && len(a.Panels) > 0 || b.Type == "row" && len(b.Panels) > 0 {
		return false // folded rows lie one below another
	}
	return a.GridPos.X < b.GridPos.X+b.GridPos.W && b.GridPos.X < a.GridPos.X+a.GridPos.W &&
		a.GridPos.Y < b.GridPos.Y+b.GridPos.H && b.GridPos.Y < a.GridPos.Y+a.GridPos.H
}
