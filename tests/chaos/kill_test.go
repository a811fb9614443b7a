package chaos

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// The suites that kill run MARKETPRISM_KILL_ROUNDS rounds; MARKETPRISM_KILL_SEED
// repeats one run's moments.

func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MARKETPRISM_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MARKETPRISM_KILL_SEED: %v", err)
		}
	}
	t.Logf("MARKETPRISM_KILL_SEED=%d repeats the moments", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// way is a moment at which the process is killed.
type way struct {
	name string
	kill func(t testing.TB, r *rand.Rand, n *harness.Node)
	// early kills while the process starts; it is not waited for.
	early bool
}

var ways = []way{
	{name: "at any moment", kill: func(t testing.TB, r *rand.Rand, n *harness.Node) {
		harness.Pause(t, between(r, 100*time.Millisecond, 2500*time.Millisecond))
	}},
	{name: "while a part is written", kill: func(t testing.TB, _ *rand.Rand, n *harness.Node) {
		harness.Pause(t, 300*time.Millisecond)
		if !awaitPart(t, n.Data) {
			t.Log("no part was seen while it was written; killed all the same")
		}
	}},
	{name: "while it starts", early: true, kill: func(t testing.TB, r *rand.Rand, n *harness.Node) {
		harness.Pause(t, between(r, 20*time.Millisecond, 400*time.Millisecond))
	}},
	{name: "while it drains", kill: func(t testing.TB, r *rand.Rand, n *harness.Node) {
		harness.Pause(t, between(r, 200*time.Millisecond, 1200*time.Millisecond))
		n.Terminate()
		harness.Pause(t, between(r, 0, 150*time.Millisecond))
	}},
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// awaitPart returns the moment that a part is being written under its temporary
// name. It looks without a pause, because that moment is short.
func awaitPart(t testing.TB, data string) bool {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); {
		found := false
		// Files come and go while it looks.
		_ = filepath.WalkDir(filepath.Join(data, "hot"), func(path string, _ fs.DirEntry, err error) error {
			found = found || strings.HasSuffix(path, ".tmp")
			return nil
		})
		if found {
			return true
		}
	}
	return false
}

// round lets a process work, kills it, and starts the next one on its directory.
func round(t *testing.T, i int, r *rand.Rand, n *harness.Node, s harness.Settings) *harness.Node {
	t.Helper()
	return killed(t, i, ways[i%len(ways)], r, n, s)
}

// killed is a round that ends in a given way.
func killed(t *testing.T, i int, w way, r *rand.Rand, n *harness.Node, s harness.Settings) *harness.Node {
	t.Helper()
	t.Logf("round %d: killed %s", i+1, w.name)
	if w.early {
		n.Kill()
		n = harness.Launch(t, n.Data, s, nil)
	}
	w.kill(t, r, n)
	n.Kill()
	if why := n.Crashed(); why != "" {
		t.Fatal(why)
	}
	return harness.Start(t, n.Data, s)
}

// TestKillUnderWrites: clients write, the process is killed again and again, and
// every record that was answered with 200 is read back exactly once.
func TestKillUnderWrites(t *testing.T) {
	rounds, r := harness.Rounds(t), seeded(t)
	s := quick()
	n := harness.Start(t, t.TempDir(), s)
	c := newClient("kill")
	c.node.Store(n)
	c.write(t, 4, 7)
	for i := range rounds {
		before := len(c.acknowledged())
		n = round(t, i, r, n, s)
		c.node.Store(n)
		c.verify(t, n)
		harness.Await(t, 30*time.Second, "acknowledged writes after the start", func() bool { return len(c.acknowledged()) > before+100 })
	}
	c.end()
	c.verify(t, n)
	n.Stop()
	n = harness.Start(t, n.Data, s)
	c.verify(t, n)
	t.Logf("%d records acknowledged, %v refusals", len(c.acknowledged()), c.refusals)
}
