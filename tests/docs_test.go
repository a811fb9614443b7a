package tests

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// What the documents promise to exist.
var (
	docLink   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docCode   = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	docFile   = regexp.MustCompile("`(\\w[\\w.-]*(?:/[\\w.-]+)*/[\\w.-]+\\.(?:go|md|yaml|json|csv|ndjson))`")
	docFolder = regexp.MustCompile("`(\\w[\\w.-]*(?:/[\\w.-]+)*)/`")
	docTarget = regexp.MustCompile("`make ([a-z]+)")
	docTest   = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	heading   = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocs: every relative link, file, folder, make target and test that the
// documents name exists.
func TestDocs(t *testing.T) {
	root := os.DirFS("..")
	makefile := read(t, root, "Makefile")
	declared := declaredTests(t)
	for _, name := range documents(t, root) {
		text := read(t, root, name)
		for _, m := range docLink.FindAllStringSubmatch(docCode.ReplaceAllString(text, ""), -1) {
			if problem := brokenLink(root, name, m[1]); problem != "" {
				t.Errorf("%s: link %s: %s", name, m[1], problem)
			}
		}
		for _, pattern := range []*regexp.Regexp{docFile, docFolder} {
			for _, m := range pattern.FindAllStringSubmatch(text, -1) {
				_, err := fs.Stat(root, m[1])
				_, beside := fs.Stat(root, path.Join(path.Dir(name), m[1]))
				if err != nil && beside != nil {
					t.Errorf("%s names %s, which does not exist", name, m[1])
				}
			}
		}
		for _, m := range docTarget.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", name, m[1])
			}
		}
		for _, test := range docTest.FindAllString(text, -1) {
			if !declared[test] {
				t.Errorf("%s: no test is called %s", name, test)
			}
		}
	}
}

// TestDocsLinks proves that the rule can say no.
func TestDocsLinks(t *testing.T) {
	root := os.DirFS("..")
	for target, ok := range map[string]bool{
		"https://example.org/nowhere": true, "README.md": true, "../../LICENSE": true, "#decision": true,
		"../../Makefile": true, "README.md#architecture-decision-records": true,
		"MISSING.md": false, "#no-such-heading": false, "README.md#no-such-heading": false, "../../../outside.md": false,
	} {
		if got := brokenLink(root, "docs/adr/0000-template.md", target); (got == "") != ok {
			t.Errorf("link %s: got %q, want fine %v", target, got, ok)
		}
	}
}

// documents are all texts for readers.
func documents(t *testing.T, root fs.FS) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*.md"} {
		found, err := fs.Glob(root, pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 5 {
		t.Fatalf("only %q found", names)
	}
	return names
}

// brokenLink says what is wrong with a link of a document, "" for nothing.
func brokenLink(root fs.FS, document, target string) string {
	file, fragment, _ := strings.Cut(target, "#")
	if strings.Contains(file, "://") {
		return ""
	}
	at := document
	if file != "" {
		at = path.Join(path.Dir(document), file)
	}
	if _, err := fs.Stat(root, at); err != nil {
		return "does not exist"
	}
	if fragment == "" {
		return ""
	}
	text, err := fs.ReadFile(root, at)
	if err != nil {
		return err.Error()
	}
	for _, m := range heading.FindAllSubmatch(text, -1) {
		if slug(string(m[1])) == fragment {
			return ""
		}
	}
	return fmt.Sprintf("%s has no heading for #%s", at, fragment)
}

// slug is how a heading is linked to.
func slug(heading string) string {
	return strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func read(t *testing.T, root fs.FS, name string) string {
	t.Helper()
	text, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// declaredTests are the names of all functions, tests among them.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
