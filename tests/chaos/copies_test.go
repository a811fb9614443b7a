package chaos

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
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

// TestFaultLaterVersion: a program that is older than the one which wrote the store says
// so, ends, and changes nothing; the other one goes on from there.
func TestFaultLaterVersion(t *testing.T) {
	c := newClient("later")
	n := harness.Start(t, t.TempDir(), slow())
	fill(t, n, c, 3)
	n.Stop()
	path := filepath.Join(hot(n), "MANIFEST")
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	later := append(bytes.Clone(now), frameOf([]byte{2, 0})...) // a record of version 2
	change(t, path, func([]byte) []byte { return later })
	older := harness.Launch(t, n.Data, slow(), nil)
	if code := older.Exit(); code != 1 || !strings.Contains(older.Log(), "a later version of the program") {
		t.Errorf("exit code %d; it says:\n%s", code, older.Log())
	}
	if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, later) {
		t.Errorf("the manifest is another: %v", err)
	}
	change(t, path, func([]byte) []byte { return now })
	n = harness.Start(t, n.Data, slow())
	c.verify(t, n)
	n.Stop()
}

// frameOf is a record of the embedded store's manifest: magic, length, checksum of what it
// holds and of what precedes it.
func frameOf(payload []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	frame := append([]byte("MPM\x01"), binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))...)
	frame = binary.LittleEndian.AppendUint32(frame, crc32.Checksum(payload, table))
	frame = binary.LittleEndian.AppendUint32(frame, crc32.Checksum(frame, table))
	return append(frame, payload...)
}
