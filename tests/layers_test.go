// Package tests holds the tests that look at the program from outside, and the
// one that looks at its source: who may import whom.
package tests

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/marketprism/marketprism"

// required are the packages that the program is built from: each must be a
// direct dependency that non-test code uses.
var required = []string{
	"github.com/asynkron/protoactor-go",
	"github.com/go-chi/chi/v5",
	"github.com/gorilla/websocket",
	"github.com/hashicorp/consul/api",
	"github.com/jackc/pgx/v5",
	"github.com/prometheus/client_golang",
	"github.com/questdb/go-questdb-client/v3",
	"go.uber.org/zap",
}

// areas are the directories whose folders are siblings: a folder of an area
// imports its area's own package and nothing beside itself, except what
// belowSiblings names.
var areas = []string{"actors", "connectors", "http", "persistence"}

// belowSiblings lie below the other folders of their area; of two of them, the
// first below the second.
var belowSiblings = []string{
	"actors/supervise", "actors/bucket", "actors/audit", "connectors/simulator", "http/chassis", "http/chassis/facade",
	"persistence/part", "persistence/memtable", "persistence/scan",
}

// suites are for the tests of the packages beside them.
var suites = []string{"actors/actorstest", "actors/broker/brokertest", "actors/bucket/buckettest", "actors/monitoring/promtest", "actors/scheduler/ledger/ledgertest", "connectors/connectorstest", "persistence/persistencetest"}

// below lists, for each layer, what it may import. A layer is the longest entry
// that is the package or one of its parents. A pattern ending in /... covers
// the folder and all below it; any other covers one package.
var below = map[string][]string{
	"":             {"internal/cli"}, // package main
	"internal/cli": {"internal/...", "config/...", "http/...", "actors/...", "cluster/...", "connectors/...", "persistence/..."},
	"internal/app": {"internal/...", "config/...", "http/...", "actors/...", "cluster/...", "connectors/...", "persistence/..."},

	"config":  {"internal/...", "http/...", "actors/...", "cluster/...", "connectors/...", "persistence/..."},
	"http":    {"actors/...", "persistence", "internal/market", "internal/catalogue", "internal/cron", "internal/identity", "internal/certs"},
	"cluster": {"actors/supervise", "internal/catalogue", "internal/certs"},

	// The plan is the cluster's, in a bucket of the broker.
	"cluster/coordinator": {"cluster", "cluster/placement", "actors/bucket", "actors/supervise", "internal/catalogue"},
	"actors":              {"connectors", "persistence", "internal/feed", "internal/stream", "internal/book", "internal/market", "internal/catalogue", "internal/cron", "internal/event", "internal/identity", "internal/certs", "internal/copies"},
	"connectors":          {"internal/market"},
	"persistence":         {"internal/market", "internal/catalogue", "internal/copies"},

	// The journal is no engine: recorders and readers are written against the one
	// there is.
	"actors/journal": {"persistence/journal", "persistence", "internal/market", "internal/catalogue"},
	"actors/storage": {"persistence/journal", "persistence", "internal/market", "internal/catalogue"},

	"connectors/all":              {"connectors/..."},
	"connectors/connectorstest":   {"internal/feed", "internal/stream", "internal/book", "internal/market"},
	"persistence/persistencetest": {"internal/market"},

	"internal/feed":   {"connectors", "internal/stream", "internal/market"},
	"internal/stream": {"internal/book", "internal/market"},
	"internal/book":   {"internal/market"},
	"internal/market": {},
	"internal/cron":   {},

	// What is measured, and what happens, has names of its own; whoever measures, or
	// tells, may know them.
	"internal/catalogue": {},
	"internal/event":     {},
	"internal/copies":    {},
	"internal/heritage":  {},

	// Who sends a request, for façades and branches alike.
	"internal/identity": {},
	"internal/certs":    {"internal/catalogue"},

	// What others may write: programs of the client alone.
	"docs/examples": {"http/client"},

	// Black-box: the program is driven by its commands and ports. The
	// vocabulary reads its answers, the simulator is the exchange, and certificates are made as
	// its users make them.
	"tests": {"tests/browser/forest", "http/client", "internal/market", "connectors/simulator", "persistence/questdb/questdbtest", "cluster/consul/consultest", "internal/certs"},

	// More actors and streams than black-box tests could give work to, behind the real façades.
	"tests/browser/forest": {"actors/collector", "actors/monitoring", "actors/monitoring/scrape", "actors/supervise", "http/chassis", "http/collector", "http/monitoring", "http/ui", "internal/catalogue", "internal/market"},
}

// wiring are the only layers that may import config, app and cli.
var wiring = map[string][]string{
	"config":       {"internal/app", "internal/cli"},
	"internal/app": {"internal/cli"},
	"internal/cli": {""},
}

// verdict says why the package at from (a path inside the module, "" for main)
// may not import the package at to, or "" when it may.
func verdict(from, to string, inTest bool) string {
	layer, known := layerOf(from)
	if !known {
		return "belongs to no layer: give it one in tests/layers_test.go and docs/architecture.md"
	}
	if inside(from, to) {
		return ""
	}
	for owner, users := range wiring {
		if within(to, owner) && !slices.ContainsFunc(users, func(u string) bool { return layer == u }) {
			return fmt.Sprintf("%s is wiring, for %q only", owner, users)
		}
	}
	if inTest && allowedInTest(from, to) {
		return ""
	}
	if slices.Contains(suites, to) {
		return to + " is for tests"
	}
	if area := areaOf(from); area != "" && areaOf(to) == area && layer != "connectors/all" {
		return siblings(from, to, area)
	}
	for _, pattern := range below[layer] {
		if tree, ok := strings.CutSuffix(pattern, "/..."); ok && within(to, tree) || to == pattern {
			return ""
		}
	}
	return fmt.Sprintf("%s may import only %q", layerName(layer), below[layer])
}

// siblings judges an import inside one area.
func siblings(from, to, area string) string {
	switch {
	case to == area && from != area:
		return ""
	case from == area:
		return "an area's own package lies below its folders"
	case slices.Contains(belowSiblings, to) && (!slices.Contains(belowSiblings, from) || slices.Index(belowSiblings, to) < slices.Index(belowSiblings, from)):
		return ""
	default:
		return "siblings never import each other"
	}
}

// inside reports whether both lie in the same folder of an area, or in the same
// non-area layer: a folder may be split into packages of its own.
func inside(from, to string) bool {
	for _, area := range areas {
		if within(from, area) {
			folder, _, _ := strings.Cut(strings.TrimPrefix(from, area+"/"), "/")
			return from != area && within(to, path.Join(area, folder))
		}
	}
	layer, _ := layerOf(from)
	return layer != "" && within(to, layer)
}

// allowedInTest lists what test files may import beyond their package's layer:
// their area, its suite, the vocabulary, and the real things behind the
// interfaces of the areas below (actors are tested with a real exchange and a
// real store).
func allowedInTest(from, to string) bool {
	if area := areaOf(from); area != "" && areaOf(to) == area {
		return true
	}
	if within(from, "cluster") && within(to, "actors") { // a real broker
		return true
	}
	if to == "internal/certs/certstest" { // certificates, the wrong ones too
		return true
	}
	if to == "internal/heritage" { // what other versions read
		return true
	}
	layer, _ := layerOf(from)
	for _, pattern := range below[layer] {
		if slices.Contains(areas, strings.TrimSuffix(pattern, "/...")) && within(to, strings.TrimSuffix(pattern, "/...")) {
			return true
		}
	}
	return slices.Contains(below["connectors/connectorstest"], to)
}

func layerOf(pkg string) (string, bool) {
	if pkg == "" {
		return "", true
	}
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, ok := below[p]; ok {
			return p, true
		}
	}
	return "", false
}

func layerName(layer string) string {
	if layer == "" {
		return "main"
	}
	return layer
}

func areaOf(pkg string) string {
	for _, area := range areas {
		if within(pkg, area) {
			return area
		}
	}
	return ""
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

// source is one Go file of the tree.
type source struct {
	file    string // path from the module's root
	pkg     string // its package's path inside the module, "" for the root
	test    bool
	builds  bool // its build constraints hold here
	syntax  *ast.File
	imports []string
}

func (s source) imported(p string) bool { return slices.Contains(s.imports, p) }

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	root := os.DirFS("..")
	var out []source
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && skipped(root, name, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		s, err := parse(name)
		out = append(out, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func skipped(root fs.FS, name, base string) bool {
	if base == "testdata" || base == "vendor" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(root, name+"/go.mod") // a module of its own
	return err == nil
}

func parse(name string) (source, error) {
	onDisk := filepath.Join("..", name)
	syntax, err := parser.ParseFile(token.NewFileSet(), onDisk, nil, parser.SkipObjectResolution)
	if err != nil {
		return source{}, fmt.Errorf("parse %s: %w", name, err)
	}
	builds, err := build.Default.MatchFile(filepath.Dir(onDisk), filepath.Base(onDisk))
	if err != nil {
		return source{}, fmt.Errorf("build constraints of %s: %w", name, err)
	}
	s := source{file: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), builds: builds, syntax: syntax}
	if s.pkg == "." {
		s.pkg = ""
	}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("import in %s: %w", name, err)
		}
		s.imports = append(s.imports, p)
	}
	return s, nil
}

// ours returns the path inside the module of an import of ours.
func ours(imported string) (string, bool) {
	if imported == module {
		return "", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func TestLayers(t *testing.T) {
	for _, s := range sources(t) {
		if _, known := layerOf(s.pkg); !known {
			t.Errorf("%s: package %s belongs to no layer", s.file, s.pkg)
			continue
		}
		for _, imported := range s.imports {
			to, own := ours(imported)
			if !own {
				continue
			}
			if why := verdict(s.pkg, to, s.test); why != "" {
				t.Errorf("%s imports %s: %s", s.file, to, why)
			}
		}
	}
}

// TestLayersRule proves that the rule itself can say no.
func TestLayersRule(t *testing.T) {
	cases := []struct {
		name     string
		from, to string
		test     bool
		ok       bool
	}{
		{"main hands over to cli", "", "internal/cli", false, true},
		{"main wires nothing", "", "internal/app", false, false},
		{"main reads no config", "", "config", false, false},
		{"cli uses app", "internal/cli", "internal/app", false, true},
		{"cli uses a connector", "internal/cli", "connectors/all", false, true},
		{"app wires a façade", "internal/app", "http/storage", false, true},
		{"app does not know cli", "internal/app", "internal/cli", false, false},
		{"app uses no test suite", "internal/app", "persistence/persistencetest", false, false},
		{"config composes", "config", "persistence/embedded", false, true},
		{"config does not wire", "config", "internal/app", false, false},
		{"nobody imports config", "persistence", "config", false, false},
		{"nobody imports config, not even in tests", "actors/storage", "config", true, false},
		{"market imports nothing", "internal/market", "internal/book", false, false},
		{"book speaks market", "internal/book", "internal/market", false, true},
		{"book knows no stream", "internal/book", "internal/stream", false, false},
		{"stream keeps a book", "internal/stream", "internal/book", false, true},
		{"stream knows no exchange", "internal/stream", "connectors", false, false},
		{"actors use the interface", "actors/collector", "connectors", false, true},
		{"actors know no exchange", "actors/collector", "connectors/binance", false, false},
		{"actors know no engine", "actors/storage", "persistence/embedded", false, false},
		{"recorders write the journal", "actors/journal", "persistence/journal", false, true},
		{"readers read the journal", "actors/storage", "persistence/journal", false, true},
		{"collectors do not", "actors/collector", "persistence/journal", false, false},
		{"readers know no engine", "actors/storage/reader", "persistence/embedded", false, false},
		{"actors answer no HTTP", "actors/storage", "http/storage", false, false},
		{"actors are supervised", "actors/collector", "actors/supervise", false, true},
		{"supervision knows no branch", "actors/supervise", "actors/collector", false, false},
		{"branches are strangers", "actors/collector", "actors/storage", false, false},
		{"a branch may have parts", "actors/collector", "actors/collector/session", false, true},
		{"façades send messages", "http/storage", "actors/storage", false, true},
		{"façades use the chassis", "http/storage", "http", false, true},
		{"the chassis knows no façade", "http", "http/storage", false, false},
		{"façades are strangers", "http/storage", "http/collector", false, false},
		{"façades know no engine", "http/storage", "persistence/embedded", false, false},
		{"façades know no exchange", "http/collector", "connectors", false, false},
		{"the cluster is supervised", "cluster", "actors/supervise", false, true},
		{"the cluster knows no branch", "cluster", "actors/collector", false, false},
		{"an exchange is simulated", "connectors/binance", "connectors/simulator", false, true},
		{"exchanges are strangers", "connectors/okx", "connectors/binance", false, false},
		{"an exchange is not its table", "connectors/binance", "connectors/all", false, false},
		{"the table lists exchanges", "connectors/all", "connectors/binance", false, true},
		{"the interface knows no exchange", "connectors", "connectors/all", false, false},
		{"an exchange stores nothing", "connectors/binance", "persistence", false, false},
		{"the suite tests an exchange", "connectors/binance", "connectors/connectorstest", true, true},
		{"the suite is not shipped", "connectors/binance", "connectors/connectorstest", false, false},
		{"engines share parts", "persistence/embedded", "persistence/part", false, true},
		{"parts know no engine", "persistence/part", "persistence/embedded", false, false},
		{"engines are strangers", "persistence/embedded", "persistence/journal", false, false},
		{"an engine speaks market", "persistence/questdb", "internal/market", false, true},
		{"an engine acts on nothing", "persistence/embedded", "actors/supervise", false, false},
		{"actors are measured", "actors/supervise", "internal/catalogue", false, true},
		{"servers are measured", "http/chassis", "internal/catalogue", false, true},
		{"engines are measured", "persistence/embedded", "internal/catalogue", false, true},
		{"books are not", "internal/book", "internal/catalogue", false, false},
		{"tasks have expressions", "actors/scheduler", "internal/cron", false, true},
		{"expressions know nobody", "internal/cron", "internal/market", false, false},
		{"the catalogue knows nobody", "internal/catalogue", "internal/market", false, false},
		{"the catalogue documents itself", "internal/catalogue/gen", "internal/catalogue", false, true},
		{"black box", "tests/endtoend", "internal/app", true, false},
		{"black box reads answers", "tests/endtoend", "internal/market", true, true},
		{"a package without a layer", "internal/util", "internal/market", false, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if why := verdict(tc.from, tc.to, tc.test); (why == "") != tc.ok {
				t.Errorf("%q imports %q (test %v): got %q, want allowed %v", tc.from, tc.to, tc.test, why, tc.ok)
			}
		})
	}
}

// TestLayersLibraryNames: our package http hides net/http, so outside http/ no
// file may hold both.
func TestLayersLibraryNames(t *testing.T) {
	all := sources(t)
	named := map[string]bool{} // our packages called http
	for _, s := range all {
		if s.syntax.Name.Name == "http" {
			named[path.Join(module, s.pkg)] = true
		}
	}
	for _, s := range all {
		if within(s.pkg, "http") || !s.imported("net/http") {
			continue
		}
		for _, imported := range s.imports {
			if named[imported] {
				t.Errorf("%s imports both net/http and %s", s.file, imported)
			}
		}
	}
}

// TestLayersConfigComposes: config takes from the other packages their Config
// types and defaults, nothing else.
func TestLayersConfigComposes(t *testing.T) {
	for _, s := range sources(t) {
		if !within(s.pkg, "config") || s.test {
			continue
		}
		names := importNames(s)
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && names[x.Name] && !strings.Contains(selector.Sel.Name, "Config") {
				t.Errorf("%s uses %s.%s: config composes Config types only", s.file, x.Name, selector.Sel.Name)
			}
			return true
		})
	}
}

// importNames returns the names under which a file knows the other packages of
// ours.
func importNames(s source) map[string]bool {
	names := map[string]bool{}
	for i, spec := range s.syntax.Imports {
		to, own := ours(s.imports[i])
		switch {
		case !own || within(to, "config"):
		case spec.Name != nil:
			names[spec.Name.Name] = true
		default:
			names[path.Base(to)] = true
		}
	}
	return names
}

func TestLayersRequiredPackages(t *testing.T) {
	direct := directDependencies(t)
	all := sources(t)
	for _, want := range required {
		if !direct[want] {
			t.Errorf("%s is not a direct dependency in go.mod", want)
		}
		used := slices.ContainsFunc(all, func(s source) bool { return !s.test && s.builds && uses(s, want) })
		if !used {
			t.Errorf("%s is used by no non-test code", want)
		}
	}
}

// uses reports whether a file imports a package of the wanted module under a
// name; a blank import uses nothing.
func uses(s source, wanted string) bool {
	for i, spec := range s.syntax.Imports {
		if within(s.imports[i], wanted) && (spec.Name == nil || spec.Name.Name != "_") {
			return true
		}
	}
	return false
}

func directDependencies(t *testing.T) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "require ")
		if fields := strings.Fields(line); len(fields) >= 2 && strings.HasPrefix(fields[1], "v") && !strings.Contains(line, "// indirect") {
			direct[fields[0]] = true
		}
	}
	return direct
}
