package deploy

import (
	"crypto/sha256"
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

var goBuild = regexp.MustCompile(`go build (-trimpath -ldflags="[^"]*") `)

// TestReproducible: the Dockerfile's build gives the same bytes twice, from two places,
// and a static binary that knows neither.
func TestReproducible(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("it builds everything anew: run by make soak (MARKETPRISM_SOAK=1)")
	}
	m := goBuild.FindStringSubmatch(text(t, filepath.Join(deployed, "Dockerfile")))
	if m == nil {
		t.Fatal("the Dockerfile builds in another way")
	}
	flags := strings.Split(strings.ReplaceAll(m[1], `"`, ""), " ")
	// -ldflags is one argument.
	arguments := []string{"build", flags[0], strings.Join(flags[1:], " "), "-buildvcs=false"}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(root, other); err != nil {
		t.Fatal(err)
	}
	var sums []string
	for i, dir := range []string{root, other} {
		path := filepath.Join(t.TempDir(), fmt.Sprint("marketprism-", i))
		c := exec.CommandContext(t.Context(), "go", append(arguments, "-o", path, ".")...)
		c.Dir, c.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "PWD="+dir)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %q: %v\n%s", arguments, err, out)
		}
		binary := text(t, path)
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256([]byte(binary))))
		if strings.Contains(binary, dir) {
			t.Errorf("the binary knows that it was built in %s", dir)
		}
		static(t, path)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds: %s", sums)
	}
}

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
