package parsers

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// stages parses a Dockerfile as BuildKit does, with its linter.
func stages(t *testing.T, text []byte) (all []instructions.Stage, warnings []string) {
	t.Helper()
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range tree.Warnings {
		warnings = append(warnings, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warnings = append(warnings, rule+": "+message)
	}})
	all, _, err = instructions.Parse(tree.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return all, warnings
}

// TestDockerfile: BuildKit parses it without a warning; the image is made of nothing but
// the program, is nobody's root, and checks its health by itself.
func TestDockerfile(t *testing.T) {
	all, warnings := stages(t, read(t, "Dockerfile"))
	if len(warnings) > 0 {
		t.Errorf("warnings: %q", warnings)
	}
	if len(all) != 2 || all[1].BaseName != "scratch" {
		t.Fatalf("%d stages, the last from %q", len(all), all[len(all)-1].BaseName)
	}
	var user, health, stop, entry string
	for _, c := range all[1].Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.HealthCheckCommand:
			health = strings.Join(c.Health.Test, " ")
		case *instructions.StopSignalCommand:
			stop = c.Signal
		case *instructions.EntrypointCommand:
			entry = strings.Join(c.CmdLine, " ")
		case *instructions.RunCommand:
			t.Error("the image runs something while it is built, and has nothing that could run")
		case *instructions.CopyCommand:
			if c.From != "build" {
				t.Errorf("copied from %q", c.From)
			}
		}
	}
	if user != "65532:65532" || stop != "SIGTERM" || entry != "/usr/local/bin/marketprism" {
		t.Errorf("user %q, stop signal %q, entrypoint %q", user, stop, entry)
	}
	if health != "CMD /usr/local/bin/marketprism status --ready" {
		t.Errorf("health: %q", health)
	}
}

// TestDockerfileLinter proves that the linter can say no.
func TestDockerfileLinter(t *testing.T) {
	if _, warnings := stages(t, []byte("from scratch as A\nMAINTAINER nobody\nENTRYPOINT marketprism\n")); len(warnings) < 2 {
		t.Errorf("warnings: %q", warnings)
	}
}
