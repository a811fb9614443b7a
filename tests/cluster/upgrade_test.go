package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// earlier is the program of an earlier version: MARKETPRISM_PREVIOUS is its path, or the
// revision to build it of; else it is the newest release. It skips where there is none.
func earlier(t *testing.T) string {
	t.Helper()
	revision := os.Getenv("MARKETPRISM_PREVIOUS")
	if filepath.IsAbs(revision) {
		return revision
	}
	if revision == "" {
		tag, err := exec.Command("git", "describe", "--tags", "--abbrev=0", "--match", "v*").Output()
		if err != nil {
			t.Skip("there is no earlier release: MARKETPRISM_PREVIOUS names a revision to upgrade from")
		}
		revision = strings.TrimSpace(string(tag))
	}
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(command *exec.Cmd) {
		t.Helper()
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command.Args, err, out)
		}
	}
	archive := filepath.Join(dir, "tree.tar")
	run(exec.Command("git", "-C", strings.TrimSpace(string(root)), "archive", "-o", archive, revision))
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	run(exec.Command("tar", "-xf", archive, "-C", tree))
	path := filepath.Join(dir, "marketprism")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = tree
	run(build)
	t.Logf("upgrading from %s", revision)
	return path
}

// TestMultiNodeUpgrade: three nodes of an earlier version, with everything on each of
// them, get the new one, one after the other, under load. While versions are mixed each
// node answers for the others; in the end no trade is missing or twice, and each task
// has one fire for each of its times.
func TestMultiNodeUpgrade(t *testing.T) {
	t.Parallel()
	old := earlier(t)
	c := everywhere(t, "binance/spot,okx/spot")
	c.collect()
	begin := func(i int, under ...string) {
		c.all[i] = harness.Launch(t, c.data[i], c.settings(i, c.own(i)), under, c.services...)
	}
	for i := range 3 {
		begin(i, "bash", "-c", `shift; exec "$0" "$@"`, old) // in place of the program of this tree
	}
	for _, n := range c.all {
		n.AwaitReady()
	}
	c.awaitPlaced("three nodes of the earlier version", 0, 1, 2)
	tasks := c.makeTasks(0, 1, 2)
	made := time.Now()
	for i := range 3 {
		c.all[i].Stop()
		began := time.Now()
		begin(i)
		c.all[i].AwaitReady()
		c.awaitPlaced(fmt.Sprintf("%s has the new version", c.name(i)), 0, 1, 2)
		t.Logf("%s has the new version, and all is placed again, after %v", c.name(i), time.Since(began).Round(time.Millisecond))
		for n := range 3 {
			c.answers(n, i)
		}
	}
	c.awaitStored(time.Now())
	c.complete()
	c.chains()
	c.fired(tasks, made, time.Now(), 0, 1, 2)
	for i, n := range c.all {
		n.Stop()
		if why := n.Crashed(); why != "" {
			t.Errorf("%s: %s", c.name(i), why)
		}
	}
}

// answers checks that a node lists the three as members, and answers for a stream of
// each of them, while one was started anew.
func (c *nodes) answers(n, renewed int) {
	c.t.Helper()
	of := c.owners(0, 1, 2)
	c.awaitMoving(fmt.Sprintf("%s to answer for all, %s being renewed", c.name(n), c.name(renewed)), func() bool {
		var view struct {
			Nodes []struct {
				State string `json:"state"`
			} `json:"nodes"`
		}
		a, err := harness.Get(c.t.Context(), c.all[n].URL(harness.Monitoring, "/api/v1/cluster"))
		if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &view) != nil || len(view.Nodes) != 3 {
			return false
		}
		for s := range of {
			exchange, market, symbol := split(s)
			a, err := harness.Get(c.t.Context(), c.all[n].URL(harness.Collector, "/api/v1/quality/"+exchange+"/"+symbol+"?market="+market))
			if err != nil || a.Status != http.StatusOK {
				return false
			}
		}
		return true
	})
}
