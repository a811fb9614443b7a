package chaos

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// mountAt mounts a file system of so many MiB at a directory, which is made.
func mountAt(t *testing.T, dir string, mib int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_TMPFS", fmt.Sprintf("no small disk can be mounted: %v", err))
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestFaultDirectoryFull: one directory after the other has no byte left, the others
// have room: that of the hot store, of the journal, and of cold files on their way.
// Writes are acknowledged or refused with 503, reads go on, health says where there is no
// room, and with room everything is done by itself, every acknowledged record once.
func TestFaultDirectoryFull(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, dir string
		mib       int
		// refuses says that nothing can be written meanwhile.
		refuses bool
		archive bool
	}{
		{name: "of the hot store", dir: "hot", mib: 16},
		{name: "of the journal", dir: "broker", mib: 96, refuses: true},
		{name: "of cold files on their way", dir: "cold-scratch", mib: 8, archive: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := t.TempDir()
			dir := filepath.Join(data, tc.dir)
			mountAt(t, dir, tc.mib)
			s := resting()
			if tc.refuses {
				s = with(s, harness.Settings{
					harness.Storage + ".journal.disk_free_bytes":   "0",
					harness.Storage + ".journal.disk_free_percent": 0,
					harness.Storage + ".journal.publish_timeout":   "1s",
					harness.Storage + ".recorder.give_up":          "3s",
					harness.Storage + ".recorder.probe_interval":   "200ms",
					harness.Broker + ".nats.restart_free_bytes":    "24MiB",
					harness.Broker + ".nats.probe_interval":        "200ms",
				})
			}
			n := harness.Start(t, data, s)
			c := newClient("full")
			c.node.Store(n)
			c.write(t, 2, 5)
			growth := func(by int) {
				t.Helper()
				before := len(c.acknowledged())
				harness.Await(t, 60*time.Second, "acknowledged writes", func() bool { return len(c.acknowledged()) > before+by })
			}
			growth(100)
			release := ballast(t, dir, 0)
			if tc.archive {
				a, _, err := order(t.Context(), n, "cold/archive", everything)
				if err != nil || a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
					t.Errorf("an archive without room: %v %+v", err, a)
				}
			}
			if tc.refuses {
				harness.Await(t, 60*time.Second, "a refusal", func() bool { return c.refused() > 3 })
			} else {
				growth(100)
			}
			c.verify(t, n)
			harness.Await(t, 60*time.Second, "a health that complains", func() bool {
				text := n.Health(harness.Storage).Complaint()
				return text != "" && (tc.refuses || strings.Contains(text, "no space left"))
			})
			release()
			growth(50)
			c.end()
			mustOrder(t, n, "cold/archive", everything)
			harness.Await(t, 60*time.Second, "a health without complaint", func() bool { return n.Health(harness.Storage).Status == "healthy" })
			c.verify(t, n)
			n.Stop()
			n = harness.Start(t, data, resting())
			c.verify(t, n)
			n.Stop()
		})
	}
}
