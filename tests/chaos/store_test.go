package chaos

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// shard is what GET status says of the one shard.
type shard struct {
	State    string `json:"state"`
	Fault    string `json:"fault"`
	Applied  uint64 `json:"applied"`
	Position uint64 `json:"position"`
	Journal  *struct {
		First uint64 `json:"first"`
		Last  uint64 `json:"last"`
	} `json:"journal"`
}

func shardOf(t testing.TB, n *harness.Node) shard {
	t.Helper()
	var answer struct {
		Data struct {
			Shards []shard `json:"shards"`
		} `json:"data"`
	}
	harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/status"), &answer)
	if len(answer.Data.Shards) != 1 {
		t.Fatalf("%d shards, want 1", len(answer.Data.Shards))
	}
	return answer.Data.Shards[0]
}

// fill writes some messages of a few records each, and waits for their
// acknowledgement.
func fill(t testing.TB, n *harness.Node, c *client, messages int) {
	t.Helper()
	c.node.Store(n)
	before := len(c.acked)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range messages {
		c.writeOne(ctx, 5)
	}
	if got := len(c.acked) - before; got != 5*messages || len(c.odd) > 0 {
		t.Fatalf("%d of %d records were acknowledged; answers: %q", got, 5*messages, c.odd)
	}
}

// hot and broker are the directories of the store and of the journal.
func hot(n *harness.Node) string    { return filepath.Join(n.Data, "hot") }
func broker(n *harness.Node) string { return filepath.Join(n.Data, "broker") }

// block is the only file of the journal's messages while there are few.
func block(n *harness.Node) string {
	return filepath.Join(broker(n), "jetstream", "$G", "streams", "JOURNAL_0", "msgs", "1.blk")
}

// loud checks that reading the journal has stopped and that the program says so, in
// /health, in the status and in the log, while queries go on.
func loud(t *testing.T, n *harness.Node, word string) {
	t.Helper()
	var h harness.Health
	harness.Await(t, 20*time.Second, "a health that fails", func() bool {
		h = n.Health(harness.Storage)
		return h.Code == http.StatusServiceUnavailable
	})
	if !strings.Contains(h.Complaint(), word) {
		t.Errorf("/health complains of %q, not of %q", h.Complaint(), word)
	}
	if s := shardOf(t, n); s.State != "faulted" || !strings.Contains(s.Fault, word) {
		t.Errorf("the status says %+v", s)
	}
	harness.Await(t, 20*time.Second, "an error in the log that says "+word, func() bool {
		for line := range strings.Lines(n.Log()) {
			if strings.Contains(line, `"level":"error"`) && strings.Contains(line, word) {
				return true
			}
		}
		return false
	})
}

// TestFaultOlderStore: a copy of the store from before is put in its place. It is
// read on from its own position, and everything is there once.
func TestFaultOlderStore(t *testing.T) {
	saved := t.TempDir()
	c := newClient("older")
	n := harness.Start(t, t.TempDir(), slow())
	fill(t, n, c, 10)
	n.Stop()
	harness.CopyTree(t, hot(n), saved)

	n = harness.Start(t, n.Data, slow())
	fill(t, n, c, 10)
	n.Stop()
	harness.CopyTree(t, saved, hot(n))

	n = harness.Start(t, n.Data, slow())
	c.verify(t, n)
	fill(t, n, c, 1)
	c.verify(t, n)
	n.Stop()
	n = harness.Start(t, n.Data, slow())
	c.verify(t, n)
	n.Stop()
}

// TestFaultOlderStorePurged: the same, but the journal has forgotten what the older
// copy lacks. That cannot be cured by reading on, so it stops.
func TestFaultOlderStorePurged(t *testing.T) {
	saved := t.TempDir()
	c := newClient("purged")
	n := harness.Start(t, t.TempDir(), quick())
	fill(t, n, c, 10)
	n.Stop()
	had := len(c.acknowledged())
	harness.CopyTree(t, hot(n), saved)

	n = harness.Start(t, n.Data, quick())
	from := shardOf(t, n).Position
	fill(t, n, c, 10)
	harness.Await(t, 30*time.Second, "a purge beyond the copy", func() bool {
		j := shardOf(t, n).Journal
		return j != nil && j.First > from+1
	})
	n.Stop()
	whole := t.TempDir()
	harness.CopyTree(t, hot(n), whole)
	harness.CopyTree(t, saved, hot(n))

	n = harness.Start(t, n.Data, quick())
	loud(t, n, "purged beyond the position")
	if got := len(n.MustQuery("trade", "lab", c.symbol)); got != had {
		t.Errorf("%d records are read, the copy holds %d", got, had)
	}
	n.Stop()

	// The right copy in its place makes it whole.
	harness.CopyTree(t, whole, hot(n))
	n = harness.Start(t, n.Data, quick())
	c.verify(t, n)
	n.Stop()
}

// TestFaultOlderJournal: a copy of the journal from before is put in its place. What
// follows in it would be other messages under numbers that the store has read: it
// stops, and queries go on.
func TestFaultOlderJournal(t *testing.T) {
	saved, whole := t.TempDir(), t.TempDir()
	c := newClient("rolled")
	n := harness.Start(t, t.TempDir(), slow())
	fill(t, n, c, 10)
	n.Stop()
	harness.CopyTree(t, broker(n), saved)

	n = harness.Start(t, n.Data, slow())
	fill(t, n, c, 10)
	n.Stop()
	harness.CopyTree(t, broker(n), whole)
	harness.CopyTree(t, saved, broker(n))

	n = harness.Start(t, n.Data, slow())
	loud(t, n, "journal ends before the position")
	c.verify(t, n)
	// It would be acknowledged under a number that nobody reads any more.
	a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", c.body([]string{"never"}))
	if err != nil || a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("a write to an older copy of the journal: %v %+v", err, a)
	}
	n.Stop()

	harness.CopyTree(t, whole, broker(n))
	n = harness.Start(t, n.Data, slow())
	c.verify(t, n)
	fill(t, n, c, 1)
	c.verify(t, n)
	n.Stop()
}

// change rewrites a file.
func change(t testing.TB, path string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

func flip(at func(size int) int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at(len(b))] ^= 0x40
		return b
	}
}

func middle(size int) int { return size / 2 }

// TestFaultJournalSettings: the file that says what the journal's stream is, is
// damaged. The broker then knows no such stream, which must not be taken for a
// journal that was never made.
func TestFaultJournalSettings(t *testing.T) {
	for _, published := range []bool{true, false} {
		t.Run(fmt.Sprintf("published %v", published), func(t *testing.T) {
			c := newClient("settings")
			n := harness.Start(t, t.TempDir(), slow())
			fill(t, n, c, 10)
			if published {
				n.Stop()
			}
			n.Kill()
			settings := filepath.Join(filepath.Dir(filepath.Dir(block(n))), "meta.inf")
			change(t, settings, flip(middle))
			n = harness.Launch(t, n.Data, slow(), nil)
			var complaint string
			read := 0
			harness.Eventually(t, 8*time.Second, func() bool {
				if n.Ended() {
					return true
				}
				if n.Found(); n.URLs[harness.Storage] == "" {
					return false
				}
				if h := n.Health(harness.Storage); h.Code == http.StatusServiceUnavailable {
					complaint = h.Complaint()
				}
				read = len(n.MustQuery("trade", "lab", c.symbol))
				return complaint != "" || read == len(c.acknowledged()) && !published
			})
			t.Logf("%d of %d acknowledged records are read; /health: %q, ended %v", read, len(c.acknowledged()), complaint, n.Ended())
			if complaint == "" && !n.Ended() && read < len(c.acknowledged()) {
				t.Errorf("%d acknowledged records are gone, and nobody says so", len(c.acknowledged())-read)
			}
			n.Kill()
		})
	}
}

// TestFaultJournalBlockRead: the journal's file is damaged under messages that have
// to be read again, because the store is an older copy, while the broker believes
// the file to be whole.
func TestFaultJournalBlockRead(t *testing.T) {
	c, saved := newClient("again"), t.TempDir()
	n := harness.Start(t, t.TempDir(), slow())
	fill(t, n, c, 5)
	n.Stop()
	harness.CopyTree(t, hot(n), saved)
	n = harness.Start(t, n.Data, slow())
	fill(t, n, c, 15)
	n.Stop()
	harness.CopyTree(t, saved, hot(n))
	change(t, block(n), flip(middle))

	n = harness.Start(t, n.Data, slow())
	var complaint string
	harness.Await(t, 30*time.Second, "a health that fails", func() bool {
		h := n.Health(harness.Storage)
		complaint = h.Complaint()
		return h.Code == http.StatusServiceUnavailable
	})
	t.Logf("%d of %d acknowledged records are read; /health: %q", len(n.MustQuery("trade", "lab", c.symbol)), len(c.acknowledged()), complaint)
	n.Kill()
}

func last(size int) int { return size - 1 }

// TestFaultManifest: the manifest's end is torn, or a record of it is damaged: the
// program starts, all is read, and what was more than a torn end is named by /health
// until somebody removes the copy of the damaged manifest.
func TestFaultManifest(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func([]byte) []byte
		torn   bool
	}{
		{"half a record follows", func(b []byte) []byte { return append(b, b[:20]...) }, true},
		{"the last bytes are missing", func(b []byte) []byte { return b[:len(b)-3] }, true},
		{"the last record is damaged", flip(last), true},
		{"the middle is damaged", flip(middle), false},
		{"the beginning is damaged", flip(func(int) int { return 5 }), false},
		{"nothing is left of it", func(b []byte) []byte { return b[:0] }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient("manifest")
			n := harness.Start(t, t.TempDir(), slow())
			for range 3 { // three records
				fill(t, n, c, 3)
				n.Stop()
				n = harness.Start(t, n.Data, slow())
			}
			n.Stop()
			change(t, filepath.Join(hot(n), "MANIFEST"), tc.damage)
			n = harness.Start(t, n.Data, slow())
			c.verify(t, n)
			if tc.torn {
				if !strings.Contains(n.Log(), "was cut off the manifest") {
					t.Error("the log does not say that the manifest's end was cut off")
				}
				n.Stop()
				return
			}
			harness.Await(t, 20*time.Second, "a health that names the manifest", func() bool {
				h := n.Health(harness.Storage)
				return h.Code == http.StatusServiceUnavailable && strings.Contains(h.Complaint(), "MANIFEST")
			})
			fill(t, n, c, 3)
			n.Stop()
			if err := os.Remove(filepath.Join(hot(n), "quarantine", "MANIFEST-1")); err != nil {
				t.Error(err)
			}
			n = harness.Start(t, n.Data, slow())
			c.verify(t, n)
			if h := n.Health(harness.Storage); h.Status != "healthy" {
				t.Errorf("/health complains when the copy is gone: %s", h.Complaint())
			}
			n.Stop()
		})
	}
}

// TestFaultPart: a published file is damaged. Whoever reads it is told, it is moved
// aside and said to be so, and what lies in other files is read as ever.
func TestFaultPart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"the middle is damaged", flip(func(size int) int { return size / 4 })},
		{"the end is damaged", flip(func(size int) int { return size - 20 })},
		{"the end is missing", func(b []byte) []byte { return b[:len(b)-100] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, other := newClient("damaged"), newClient("sound")
			n := harness.Start(t, t.TempDir(), slow())
			fill(t, n, c, 10)
			n.Stop()
			damaged := parts(t, n)
			n = harness.Start(t, n.Data, slow())
			fill(t, n, other, 10)
			n.Stop()
			change(t, damaged[0], tc.damage)

			n = harness.Start(t, n.Data, slow())
			met := false
			harness.Await(t, 20*time.Second, "the damage to be said", func() bool {
				a, err := harness.Get(t.Context(), n.URL(harness.Storage, "/api/v1/storage/query/trade/lab/"+c.symbol+"?format=json"))
				met = met || err != nil || a.Status != http.StatusOK
				return strings.Contains(n.Health(harness.Storage).Complaint(), "damaged")
			})
			if !met {
				t.Error("a query read the damaged file and nobody was told")
			}
			if h := n.Health(harness.Storage); h.Code != http.StatusServiceUnavailable {
				t.Errorf("/health answers %d", h.Code)
			}
			if moved, err := filepath.Glob(filepath.Join(hot(n), "quarantine", "*")); err != nil || len(moved) != 1 {
				t.Errorf("quarantined: %q %v", moved, err)
			}
			other.verify(t, n)
			n.Stop()
			n = harness.Start(t, n.Data, slow())
			harness.Await(t, 20*time.Second, "the damage to be said after a restart", func() bool {
				return strings.Contains(n.Health(harness.Storage).Complaint(), "damaged")
			})
			other.verify(t, n)
			n.Stop()
		})
	}
}

// parts are the paths of the published files of a stopped node.
func parts(t testing.TB, n *harness.Node) (paths []string) {
	t.Helper()
	err := filepath.Walk(hot(n), func(path string, _ os.FileInfo, err error) error {
		if strings.HasSuffix(path, ".parquet") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("no part: %v", err)
	}
	return paths
}

// TestFaultJournalBlock: the journal's file is damaged where nothing is published
// yet. Whatever is not read back, somebody is told of.
func TestFaultJournalBlock(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"the middle is damaged", flip(middle)},
		{"the last message is damaged", flip(func(size int) int { return size - 30 })},
		{"the last bytes are missing", func(b []byte) []byte { return b[:len(b)-5] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient("block")
			n := harness.Start(t, t.TempDir(), slow())
			fill(t, n, c, 20)
			n.Kill()
			change(t, block(n), tc.damage)
			n = harness.Launch(t, n.Data, slow(), nil)
			var complaint string
			harness.Eventually(t, 8*time.Second, func() bool {
				if n.Ended() {
					return true
				}
				if n.Found(); n.URLs[harness.Storage] == "" {
					return false
				}
				h := n.Health(harness.Storage)
				if h.Code == http.StatusServiceUnavailable {
					complaint = h.Complaint()
				}
				return complaint != ""
			})
			if n.Ended() {
				t.Logf("it refuses to start: %s", n.Log()[strings.LastIndex(strings.TrimSpace(n.Log()), "\n")+1:])
				return
			}
			read := len(n.MustQuery("trade", "lab", c.symbol))
			t.Logf("%d of %d acknowledged records are read; /health: %q", read, len(c.acknowledged()), complaint)
			if read < len(c.acknowledged()) && complaint == "" {
				t.Errorf("%d acknowledged records are gone, and nobody says so", len(c.acknowledged())-read)
			}
			n.Kill()
		})
	}
}
