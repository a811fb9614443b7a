package catalogue_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/catalogue"
)

const (
	root      = "../.."
	own       = "internal/catalogue"
	ownImport = "github.com/marketprism/marketprism/internal/catalogue"
	client    = "github.com/prometheus/client_golang/prometheus"
)

var (
	metricName = regexp.MustCompile(`\bmp_[a-z_]*[a-z]`)
	// homemade are the constructors of the client library that take a name.
	homemade = regexp.MustCompile(`^New(Counter|Gauge|Histogram|Summary|Untyped|Desc)|Opts$`)
)

// TestSourceUsesTheCatalogue: every metric is used, and no code that is not a test
// makes or names one by itself.
func TestSourceUsesTheCatalogue(t *testing.T) {
	used := map[string]bool{}
	parsed := 0
	files(t, ".go", func(name string) {
		if strings.HasSuffix(name, "_test.go") || path.Dir(name) == own {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed++
		uses := used
		if strings.HasPrefix(name, own+"/") {
			uses = map[string]bool{} // a dashboard shows a metric, and does not measure it
		}
		for _, offence := range inspect(file, uses) {
			t.Errorf("%s: %s", name, offence)
		}
	})
	if parsed < 50 {
		t.Fatalf("only %d files", parsed)
	}
	for constant, name := range constants(t) {
		if !used[constant] {
			t.Errorf("%s (%s) is used by no package", constant, name)
		}
		if _, ok := catalogue.Lookup(catalogue.Name(name)); !ok {
			t.Errorf("%s (%s) is in no area", constant, name)
		}
	}
}

// inspect notes the constants of the catalogue that a file uses, and returns what
// it does by itself.
func inspect(file *ast.File, used map[string]bool) (offences []string) {
	ours, theirs := importName(file, ownImport), importName(file, client)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			if strings.Contains(n.Path.Value, client+"/promauto") {
				offences = append(offences, "imports promauto")
			}
			return false
		case *ast.BasicLit:
			if n.Kind == token.STRING && metricName.MatchString(n.Value) {
				offences = append(offences, "names a metric: "+n.Value)
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			switch {
			case !ok:
			case ours != "" && x.Name == ours:
				used[n.Sel.Name] = true
			case theirs != "" && x.Name == theirs && homemade.MatchString(n.Sel.Name):
				offences = append(offences, "uses prometheus."+n.Sel.Name)
			}
		}
		return true
	})
	return offences
}

// TestSourceRule proves that the rule can say no.
func TestSourceRule(t *testing.T) {
	head := "package p\nimport (\n\"" + client + "\"\nlist \"" + ownImport + "\"\n)\n"
	cases := []struct {
		name, code string
		offences   int
	}{
		{"from the catalogue", "var c = list.NewCounter(list.BrokerUp)", 0},
		{"registers", "func f(r prometheus.Registerer) { _ = prometheus.NewRegistry() }", 0},
		{"ends in the letters", `const s = "tmp_file"`, 0},
		{"names a metric", `const s = "mp_broker_up"`, 1},
		{"queries a metric", "const s = `rate(mp_broker_up[1m])`", 1},
		{"makes a counter", "var c = prometheus.NewCounter(prometheus.CounterOpts{})", 2},
		{"describes", "var d = prometheus.NewDesc(name, help, nil, nil)", 1},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), "p.go", head+tc.code, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			used := map[string]bool{}
			if got := inspect(file, used); len(got) != tc.offences {
				t.Errorf("got %q, want %d", got, tc.offences)
			}
			if tc.offences == 0 && strings.Contains(tc.code, "BrokerUp") && !used["BrokerUp"] {
				t.Errorf("used %v", used)
			}
		})
	}
}

// TestDocumentsNameMetricsThatExist: a metric that a document names is one.
func TestDocumentsNameMetricsThatExist(t *testing.T) {
	seen := 0
	files(t, ".md", func(name string) {
		if name == "CHANGELOG.md" { // names what was, too
			return
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range metricName.FindAllString(string(text), -1) {
			seen++
			if _, ok := catalogue.Lookup(catalogue.Name(found)); ok {
				continue
			}
			if m, ok := catalogue.Lookup(family(found)); !ok || m.Type != catalogue.Histogram {
				t.Errorf("%s names %s, which is no metric", name, found)
			}
		}
	})
	if seen < len(catalogue.All()) {
		t.Errorf("found %d names of metrics: the documentation lacks some", seen)
	}
}

// family is the histogram of a series.
func family(series string) catalogue.Name {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if stem, ok := strings.CutSuffix(series, suffix); ok {
			return catalogue.Name(stem)
		}
	}
	return catalogue.Name(series)
}

// constants are the names of metrics by their constants.
func constants(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	files(t, ".go", func(name string) {
		if path.Dir(name) != own || strings.HasSuffix(name, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Name" {
				out[spec.Names[0].Name] = unquote(t, spec.Values[0].(*ast.BasicLit).Value)
			}
			return true
		})
	})
	if len(out) != len(catalogue.All()) {
		t.Errorf("%d constants for %d metrics", len(out), len(catalogue.All()))
	}
	return out
}

// importName is the name under which a file knows a package, "" when it does not.
func importName(file *ast.File, wanted string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(wanted) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(wanted)
	}
	return ""
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	text, err := strconv.Unquote(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// files calls do for every file of the module with the extension.
func files(t *testing.T, extension string, do func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !entry.IsDir() && path.Ext(name) == extension:
			do(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
