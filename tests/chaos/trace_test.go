package chaos

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// call is one system call of the traced process: begin and end are places in the
// order in which the kernel saw calls begin and return.
type call struct {
	name, text string
	begin, end int
	failed     bool
}

var (
	callBegins  = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\((.*)$`)
	callResumes = regexp.MustCompile(`^(\d+) +<\.\.\. ([a-z0-9_]+) resumed>(.*)$`)
)

const unfinished = " <unfinished ...>"

func readTrace(t *testing.T, path string) []*call {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*call
	open := map[string]*call{} // by thread
	at := 0
	for line := range strings.Lines(string(text)) {
		at++
		line = strings.TrimSuffix(line, "\n")
		if m := callResumes.FindStringSubmatch(line); m != nil {
			if c := open[m[1]]; c != nil && c.name == m[2] {
				c.text, c.end = c.text+m[3], at
				delete(open, m[1])
			}
			continue
		}
		m := callBegins.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		c := &call{name: m[2], text: m[3], begin: at, end: at}
		if rest, cut := strings.CutSuffix(c.text, unfinished); cut {
			c.text, open[m[1]] = rest, c
		}
		all = append(all, c)
	}
	for _, c := range all {
		c.failed = strings.Contains(c.text, " = -1 ")
	}
	return all
}

// traced is a trace with questions.
type traced struct {
	t     *testing.T
	calls []*call
}

// next is the first call that begins behind a place and fits.
func (x *traced) next(behind int, what string, fits func(c *call) bool) *call {
	x.t.Helper()
	for _, c := range x.calls {
		if c.begin > behind && !c.failed && fits(c) {
			return c
		}
	}
	x.t.Fatalf("the trace has no %s behind call %d", what, behind)
	return nil
}

func named(c *call, names ...string) bool {
	for _, n := range names {
		if c.name == n {
			return true
		}
	}
	return false
}

func writes(c *call, path string) bool {
	return named(c, "write", "writev", "pwrite64", "pwritev", "pwritev2") && strings.Contains(c.text, path)
}

func syncs(c *call, path string) bool {
	return named(c, "fsync", "fdatasync") && strings.Contains(c.text, path)
}

// before fails the test unless a has returned before b began.
func (x *traced) before(a, b *call, why string) {
	x.t.Helper()
	if a.end >= b.begin {
		x.t.Errorf("%s: call %d\n%s(%s\nhas not returned before call %d\n%s(%s", why, a.begin, a.name, a.text, b.begin, b.name, b.text)
	}
}

// TestTraceOrder: a call that another thread overlaps has returned when strace says
// that it resumed, not when it began.
func TestTraceOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	text := `11 fsync(7</data/1.blk> <unfinished ...>
12 write(9<socket:[1]>, "HTTP/1.1 200 OK", 15) = 15
11 <... fsync resumed>)  = 0
12 write(9<socket:[1]>, "HTTP/1.1 200 OK", 15 <unfinished ...>
12 <... write resumed>) = 15
12 fsync(8</data/2.blk>) = -1 EIO (Input/output error)
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	calls := readTrace(t, path)
	if len(calls) != 4 {
		t.Fatalf("%d calls, want 4", len(calls))
	}
	sync, early, late, failed := calls[0], calls[1], calls[2], calls[3]
	if sync.end < early.begin || sync.end >= late.begin || !failed.failed || !syncs(sync, "/1.blk>") || syncs(late, "/1.blk>") {
		t.Errorf("read as %+v %+v %+v %+v", *sync, *early, *late, *failed)
	}
}

// TestFaultNothingIsAcknowledgedUnsynced: the system calls themselves show that the
// journal's sync returns before the answer, and that those of part, directory and
// manifest return before the journal may forget anything.
func TestFaultNothingIsAcknowledgedUnsynced(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_STRACE", "strace is not installed")
	trial := exec.Command(strace, "-f", "-o", filepath.Join(t.TempDir(), "trial"), "true").Run()
	harness.Unless(t, trial == nil, "MARKETPRISM_REQUIRE_STRACE", "this system allows no ptrace")

	out := filepath.Join(t.TempDir(), "trace")
	n := harness.Launch(t, t.TempDir(), quick(), []string{
		strace, "-D", "-f", "-y", "-s", "160", "-o", out,
		"-e", "trace=pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate",
	})
	n.AwaitReady()
	c := newClient("traced")
	for range 3 { // three messages in three publications, so that something is purged
		at := shardOf(t, n).Position
		body := c.body([]string{"traced-" + time.Now().String()})
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body)
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("POST: %v %+v", err, a)
		}
		harness.Await(t, 30*time.Second, "a publication", func() bool { return shardOf(t, n).Position > at })
	}
	harness.Await(t, 30*time.Second, "a purge", func() bool {
		j := shardOf(t, n).Journal
		return j != nil && j.First > 1
	})
	n.Stop()

	x := &traced{t: t, calls: readTrace(t, out)}
	const journal, manifest, registry = "/JOURNAL_0/msgs/", "/hot/MANIFEST>", "/KV_journal_readers/msgs/"
	at := 0
	for range 3 {
		// The journal's block, then the answer.
		batch := x.next(at, "write of a batch", func(c *call) bool { return writes(c, journal) && strings.Contains(c.text, "MPJ") })
		synced := x.next(batch.begin, "sync of the journal", func(c *call) bool { return syncs(c, journal) })
		answer := x.next(at, "answer to the POST", func(c *call) bool {
			return named(c, "write", "writev", "sendto", "sendmsg") && strings.Contains(c.text, "HTTP/1.1 200") && c.begin > batch.begin
		})
		x.before(batch, synced, "the sync of the journal follows the write")
		x.before(synced, answer, "200 is answered after the sync")

		// The part, its name, the directory, the manifest, and only then the journal is told.
		file := x.next(batch.begin, "write of a part", func(c *call) bool { return writes(c, ".parquet.tmp>") })
		fileSynced := x.next(file.end, "sync of the part", func(c *call) bool { return syncs(c, ".parquet.tmp>") })
		renamed := x.next(file.end, "rename of the part", func(c *call) bool {
			return named(c, "rename", "renameat", "renameat2") && strings.Contains(c.text, ".parquet.tmp")
		})
		dir := x.next(renamed.end, "sync of the directory", func(c *call) bool { return syncs(c, "/hot/trades>") })
		record := x.next(file.end, "manifest record", func(c *call) bool { return writes(c, manifest) })
		committed := x.next(record.end, "sync of the manifest", func(c *call) bool { return syncs(c, manifest) })
		told := x.next(file.end, "registered position", func(c *call) bool { return writes(c, registry) })
		x.before(fileSynced, renamed, "a part gets its name after its sync")
		x.before(dir, record, "the manifest names a part whose name is synced")
		x.before(committed, told, "the journal learns a position after the manifest's sync")
		at = told.end
	}
	// What takes away from the journal follows the position that allows it.
	var told, purges []*call
	for _, c := range x.calls {
		switch {
		case writes(c, registry):
			told = append(told, c)
		case named(c, "unlink", "unlinkat", "ftruncate") && strings.Contains(c.text, journal) && strings.Contains(c.text, ".blk"),
			writes(c, journal) && strings.Contains(c.text, ".blk") && !strings.Contains(c.text, "MPJ"):
			purges = append(purges, c)
		}
	}
	if len(told) < 2 || len(purges) == 0 {
		t.Fatalf("%d registered positions and %d calls that take away from the journal are in the trace", len(told), len(purges))
	}
	x.before(told[1], purges[0], "the journal is purged after a position was registered") // the first says 0
}
