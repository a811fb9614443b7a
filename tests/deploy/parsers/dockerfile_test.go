package parsers

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// TestDockerfile: the image is made of nothing but the program, is nobody's root, and
// checks its health by itself.
func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	all, err := Stages(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Fatalf("%d stages", len(all))
	}
	for _, c := range all[1].Commands {
		switch c := c.(type) {
		case *instructions.RunCommand:
			t.Error("the image runs something while it is built, and has nothing that could run")
		case *instructions.CopyCommand:
			if c.From != "build" {
				t.Errorf("copied from %q", c.From)
			}
		}
	}
	i, err := ImageOf(text)
	if err != nil {
		t.Fatal(err)
	}
	entry, health := strings.Join(i.Entrypoint, " "), strings.Join(i.Health, " ")
	if i.Base != "scratch" || i.User != "65532:65532" || i.StopSignal != "SIGTERM" || entry != "/usr/local/bin/marketprism" {
		t.Errorf("from %q, user %q, stop signal %q, entrypoint %q", i.Base, i.User, i.StopSignal, entry)
	}
	if health != "CMD /usr/local/bin/marketprism status --ready" {
		t.Errorf("health: %q", health)
	}
}

// TestDockerfileIgnored: nothing that the build copies is kept from it, and what is secret
// or built here is.
func TestDockerfileIgnored(t *testing.T) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, "Dockerfile.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"go.mod": false, "go.sum": false, "main.go": false, ".git/HEAD": false, "config/services.yaml": false, "http/ui/dist/index.html": false,
		"deploy/.env": true, "deploy/certs/ca.key": true, "deploy/secrets/prometheus/api_key": true, "data/dev/hot/x": true, "bin/marketprism": true,
		"tests/browser/node_modules/axe-core/axe.js": true,
	} {
		if ignored, err := patternmatcher.MatchesOrParentMatches(path, patterns); err != nil || ignored != want {
			t.Errorf("%s: ignored %v, %v; want %v", path, ignored, err, want)
		}
	}
	stages, err := Stages(read(t, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range stages[0].Commands {
		if c, ok := c.(*instructions.CopyCommand); ok && slices.ContainsFunc(c.SourcePaths, func(p string) bool {
			ignored, err := patternmatcher.MatchesOrParentMatches(p, patterns)
			return err != nil || ignored
		}) {
			t.Errorf("%s: what is copied is ignored", c)
		}
	}
}
