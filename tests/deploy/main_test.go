// Package deploy holds what is in deploy/ against the programs that read it, and against
// the running system. What only a parser can judge is in parsers/, a module of its own.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// deployed is where the files are.
const deployed = "../../deploy"

// tool is the path of a program that judges; without it the test is skipped, or fails
// where servers are demanded.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_SERVERS", "there is no "+name)
	return path
}

// process runs a program until the test ends; what it says is shown when the test fails.
func process(t *testing.T, path string, args ...string) {
	t.Helper()
	said := filepath.Join(t.TempDir(), "said")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil { // the process has its own
		t.Error(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended already
		_ = c.Wait()         // a kill is how it ends
		if t.Failed() {
			text, err := os.ReadFile(said)
			t.Logf("%s said (%v):\n%s", filepath.Base(path), err, text[max(0, len(text)-4000):])
		}
	})
}

// must runs a program to its end, which has to be a good one, and returns what it prints.
func must(t *testing.T, env []string, path string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), path, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(path), args, err, out)
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
