package chaos

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// guided runs the block of commands of the operations guide that has a word in it, with
// data/ and /backup/ elsewhere.
func guided(t *testing.T, word, data, backup string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range shell.FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(m[1], word) {
			continue
		}
		script := strings.NewReplacer("data/", data+"/", "/backup/", backup+"/").Replace(m[1])
		if out, err := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s\nprints\n%s", err, script, out)
		}
		return
	}
	t.Fatalf("no commands with %s in the guide", word)
}

// TestCopies: copies that are made as the operations guide says are good for what it says.
// The cold store, copied file by file while clients write and rows are archived, removed
// and joined, has what it had when the copy began, each record once, and a system that
// starts beside nothing else is well. The directory of a node that has stopped has
// everything, elsewhere.
func TestCopies(t *testing.T) {
	const at = harness.Storage + ".storage.cold_storage."
	s := with(joining(), harness.Settings{at + "grace": "10m", at + "sweep_after": "10m"}) // as long as a copy may take
	n := harness.Start(t, t.TempDir(), s)
	c := newClient("copies")
	c.node.Store(n)
	c.write(t, 2, 7)
	stopOrders := keepMoving(t, c)
	harness.AwaitMoving(t, stuckFor, "files that are joined", rowsMoved(t, n), func() bool { return joinedFiles(t, n) > 0 })
	before := map[string]bool{}
	for _, r := range n.MustQuery("trade", "lab", c.symbol, "tier", "cold") {
		before[r.Name()] = true
	}
	backup := t.TempDir()
	guided(t, "data/cold/manifest", n.Data, backup)
	c.end()
	stopOrders()
	n.Stop()

	beside := t.TempDir()
	harness.CopyTree(t, filepath.Join(backup, "cold"), filepath.Join(beside, "cold"))
	m := harness.Start(t, beside, s)
	records, err := m.Query(t.Context(), "trade", "lab", c.symbol)
	if text := compare(before, records, err); len(before) == 0 || text != "" {
		t.Errorf("of %d records that were archived: %s", len(before), text)
	}
	if h := m.Health(harness.Storage); h.Status != "healthy" {
		t.Errorf("beside a copy of the cold store: %s: %s", h.Status, h.Complaint())
	}
	m.Stop()

	whole := t.TempDir()
	harness.CopyTree(t, n.Data, whole)
	m = harness.Start(t, whole, s)
	c.verify(t, m)
	m.Stop()
}
