// Command bundle makes the dashboard's files of its sources: run by `go generate ./http/ui`.
//
// It needs npm for the libraries that package-lock.json names, and fetches them when they
// are not there. Without npm it leaves dist as it is and says so: a test of package ui
// then says whether it is out of date.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run() error {
	if err := libraries(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintln(os.Stderr, "bundle: npm is not there: dist is left as it is")
			return nil
		}
		return err
	}
	if err := icons(); err != nil {
		return err
	}
	made, err := build()
	if err != nil {
		return err
	}
	sum, err := sources("web")
	if err != nil {
		return err
	}
	made["sources.sum"] = []byte(sum + "\n")
	return publish(made)
}

// libraries fetches what the page stands on, unless it is there.
func libraries() error {
	want, err := os.ReadFile("web/package-lock.json")
	if err != nil {
		return err
	}
	mark := "web/node_modules/.locked"
	sum := sha256.Sum256(want)
	if have, err := os.ReadFile(mark); err == nil && string(have) == hex.EncodeToString(sum[:]) {
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return err
	}
	c := exec.Command(npm, "ci", "--no-audit", "--no-fund", "--loglevel=error")
	c.Dir, c.Stderr = "web", os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("npm ci: %w", err)
	}
	return os.WriteFile(mark, []byte(hex.EncodeToString(sum[:])), 0o600)
}

// icons writes the shapes of the icons that the sources name as a module of their own.
func icons() error {
	text, err := os.ReadFile("web/src/parts/icons.json")
	if err != nil {
		return err
	}
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return fmt.Errorf("reading the names of the icons: %w", err)
	}
	inner := regexp.MustCompile(`(?s)<svg[^>]*>(.*)</svg>`)
	space := regexp.MustCompile(`\s+`)
	shapes := map[string]string{}
	for _, name := range names {
		svg, err := os.ReadFile("web/node_modules/lucide-static/icons/" + name + ".svg")
		if err != nil {
			return fmt.Errorf("icon %s: %w", name, err)
		}
		m := inner.FindSubmatch(svg)
		if m == nil {
			return fmt.Errorf("icon %s is no SVG", name)
		}
		shapes[name] = strings.TrimSpace(space.ReplaceAllString(string(m[1]), " "))
	}
	out, err := json.MarshalIndent(shapes, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile("web/src/parts/icon_shapes.json", append(out, '\n'), 0o600)
}

// build bundles the sources; it returns the files by name.
func build() (map[string][]byte, error) {
	web, err := filepath.Abs("web")
	if err != nil {
		return nil, err
	}
	result := api.Build(api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{{InputPath: "src/main.tsx", OutputPath: "app"}},
		AbsWorkingDir:       web, Bundle: true, Outdir: "out", Format: api.FormatESModule, Splitting: true, Metafile: true,
		EntryNames: "[name]-[hash]", ChunkNames: "[name]-[hash]", AssetNames: "[name]-[hash]", PublicPath: "/assets",
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, Charset: api.CharsetUTF8,
		Target: api.ES2022, JSX: api.JSXAutomatic, JSXImportSource: "preact",
		Loader:        map[string]api.Loader{".woff2": api.LoaderFile},
		LegalComments: api.LegalCommentsEndOfFile, LogLevel: api.LogLevelWarning,
		Define: map[string]string{"process.env.NODE_ENV": `"production"`},
	})
	if len(result.Errors) > 0 {
		return nil, errors.New("the sources have faults")
	}
	made := map[string][]byte{}
	var script, style string
	for _, f := range result.OutputFiles {
		name := filepath.Base(f.Path)
		made[name] = f.Contents
		switch {
		case strings.HasPrefix(name, "app-") && strings.HasSuffix(name, ".js"):
			script = name
		case strings.HasPrefix(name, "app-") && strings.HasSuffix(name, ".css"):
			style = name
		}
	}
	if script == "" || style == "" {
		return nil, errors.New("no script or no style was made")
	}
	page, err := os.ReadFile("web/src/index.html")
	if err != nil {
		return nil, err
	}
	made["index.html"] = []byte(strings.NewReplacer("{{script}}", "/assets/"+script, "{{style}}", "/assets/"+style).Replace(string(page)))
	return made, nil
}

// sources is the hash of everything that dist is made of.
func sources(dir string) (string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return filepath.SkipDir
		case !d.IsDir():
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.ToSlash(name), len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// publish makes dist hold these files and no others. A file that is as it should be is
// not written again.
func publish(made map[string][]byte) error {
	if err := os.MkdirAll("dist", 0o750); err != nil {
		return err
	}
	old, err := os.ReadDir("dist")
	if err != nil {
		return err
	}
	for _, e := range old {
		if _, ok := made[e.Name()]; !ok {
			if err := os.Remove(filepath.Join("dist", e.Name())); err != nil {
				return err
			}
		}
	}
	for name, text := range made {
		if err := os.WriteFile(filepath.Join("dist", name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
