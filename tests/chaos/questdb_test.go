package chaos

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/tests/harness"
)

func onQuestDB(server *questdbtest.Server, trail string) harness.Settings {
	return with(quick(), harness.Settings{
		harness.Storage + ".engine":                  "questdb",
		harness.Storage + ".questdb.http":            server.HTTP,
		harness.Storage + ".questdb.pg":              server.PG,
		harness.Storage + ".questdb.password":        "quest",
		harness.Storage + ".questdb.trail":           trail,
		harness.Storage + ".questdb.request_timeout": "3s",
		harness.Storage + ".actors.publish_retry":    "500ms",
	})
}

func run(t *testing.T, server *questdbtest.Server) {
	t.Helper()
	if err := server.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestQuestDBKills: the program starts without its server, then the program, the
// server and both are killed under writes; every record that was answered with 200 is
// read back exactly once.
func TestQuestDBKills(t *testing.T) {
	rounds, r := harness.Rounds(t), seeded(t)
	server := questdbtest.Start(t)
	server.Kill()
	s := onQuestDB(server, "1s")
	n := harness.Start(t, t.TempDir(), s)
	c := newClient("questdb")
	c.remote = true
	c.node.Store(n)
	c.write(t, 2, 7)
	harness.Await(t, 30*time.Second, "acknowledged writes without the server", func() bool { return len(c.acknowledged()) > 100 })
	run(t, server)
	c.verify(t, n)
	for i := range rounds {
		victim := r.IntN(3)
		t.Logf("round %d: %s", i+1, []string{"the program", "the server", "both"}[victim])
		before := len(c.acknowledged())
		harness.Pause(t, between(r, 100*time.Millisecond, 1500*time.Millisecond))
		if victim != 0 {
			server.Kill()
		}
		if victim != 1 {
			n.Kill()
			if why := n.Crashed(); why != "" {
				t.Fatal(why)
			}
			n = harness.Start(t, n.Data, s)
			c.node.Store(n)
		}
		harness.Await(t, 30*time.Second, "acknowledged writes after the kill", func() bool { return len(c.acknowledged()) > before+100 })
		if victim != 0 {
			run(t, server)
		}
		c.verify(t, n)
	}
	c.end()
	c.verify(t, n)
	t.Logf("%d records acknowledged, %v refusals", len(c.acknowledged()), c.refusals)
}

// TestQuestDBSetBack: an older copy of the server's files is put back, as after a
// power cut, while the program runs; the rows come back from the journal.
func TestQuestDBSetBack(t *testing.T) {
	server := questdbtest.Start(t)
	n := harness.Start(t, t.TempDir(), onQuestDB(server, "2m"))
	c := newClient("setback")
	c.remote = true
	c.node.Store(n)
	c.write(t, 2, 7)
	harness.Await(t, 30*time.Second, "acknowledged writes", func() bool { return len(c.acknowledged()) > 100 })
	c.verify(t, n)
	restore := keep(t, server)
	before := len(c.acknowledged())
	harness.Await(t, 30*time.Second, "more writes", func() bool { return len(c.acknowledged()) > before+100 })
	c.verify(t, n)
	c.end()
	restore()
	c.verify(t, n)
}

// keep copies the server's files as they are; restore puts them back.
func keep(t *testing.T, server *questdbtest.Server) (restore func()) {
	t.Helper()
	server.Kill()
	db, older := filepath.Join(server.Root, "db"), filepath.Join(t.TempDir(), "db")
	if err := os.CopyFS(older, os.DirFS(db).(fs.ReadDirFS)); err != nil {
		t.Fatal(err)
	}
	run(t, server)
	return func() {
		t.Helper()
		server.Kill()
		if err := os.RemoveAll(db); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(older, db); err != nil {
			t.Fatal(err)
		}
		run(t, server)
	}
}
