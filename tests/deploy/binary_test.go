package deploy

import (
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

var goBuild = regexp.MustCompile(`go build -trimpath -ldflags="([^"]*)" `)

// build builds the program in dir as the Dockerfile does, for this machine; env are
// variables (NAME=value) over those of the test.
func build(t *testing.T, dir, path string, env ...string) {
	t.Helper()
	m := goBuild.FindStringSubmatch(text(t, filepath.Join(deployed, "Dockerfile")))
	if m == nil {
		t.Fatal("the Dockerfile builds in another way")
	}
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags="+m[1], "-o", path, ".")
	c.Dir, c.Env = dir, append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", c.Args, err, out)
	}
}

// TestReproducible: a commit, built twice as the Dockerfile does, from clones at two
// places and with no cache of the compiler, gives the same bytes: a static binary that
// knows its commit, and neither of the places.
func TestReproducible(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("it builds everything anew, twice: run by make soak (MARKETPRISM_SOAK=1)")
	}
	root := strings.TrimSpace(must(t, nil, "git", "rev-parse", "--show-toplevel"))
	commit := strings.TrimSpace(must(t, nil, "git", "rev-parse", "HEAD"))
	var sums []string
	for i := range 2 {
		dir := t.TempDir()
		clone, path := filepath.Join(dir, fmt.Sprint("clone-", i)), filepath.Join(dir, "marketprism")
		must(t, nil, "git", "clone", "--quiet", root, clone)
		build(t, clone, path, "GOFLAGS=-buildvcs=true", "GOCACHE="+filepath.Join(dir, "cache"))
		binary := text(t, path)
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256([]byte(binary))))
		if strings.Contains(binary, dir) {
			t.Errorf("the binary knows that it was built in %s", dir)
		}
		static(t, path)
		stamped(t, path, commit)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds: %s", sums)
	}
}

// static fails when a binary needs libraries of the machine that it runs on.
func static(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is linked dynamically", path)
		}
	}
}

// stamped fails when a binary does not say that it is of a commit, and of nothing more.
func stamped(t *testing.T, path, commit string) {
	t.Helper()
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
	}
	if got["vcs.revision"] != commit || got["vcs.modified"] != "false" {
		t.Errorf("the binary says that it is of %q, changed %q; want %s, false", got["vcs.revision"], got["vcs.modified"], commit)
	}
}

// TestContainerHealth: the command by which a container tells of its health.
func TestContainerHealth(t *testing.T) {
	if !strings.Contains(text(t, filepath.Join(deployed, "Dockerfile")), `CMD ["/usr/local/bin/marketprism", "status", "--ready"]`) {
		t.Fatal("the Dockerfile asks in another way")
	}
	n := harness.Start(t, t.TempDir(), nil, harness.Broker)
	ready := func() int { return harness.Run(t, time.Minute, "status", "--ready", "-c", n.Config()).Code }
	if code := ready(); code != 0 {
		t.Errorf("with one service that is ready: exit code %d", code)
	}
	n.Kill()
	if code := ready(); code != 1 {
		t.Errorf("with none: exit code %d", code)
	}
}
