package embedded

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

const (
	killDir       = "MARKETPRISM_TEST_KILL_DIR"
	killRows      = 40
	killDuplicate = 5 // rows that each message repeats from the one before
)

// killMessage is message seq of a journal that both processes know.
func killMessage(seq uint64) *market.Batch {
	b := &market.Batch{}
	for i := int64(seq-1)*killRows - killDuplicate; i < int64(seq)*killRows; i++ {
		if i < 0 {
			continue
		}
		r := market.Add[market.Trade](b)
		r.Instrument, r.ID, r.TS = btc, market.NumID(i), persistencetest.Base+i/7
		r.Price = market.NewDecimal(i, 2)
	}
	return b
}

// TestKillChild is the process that TestKill kills; alone it does nothing.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("runs as the child of TestKill")
	}
	c := newClock()
	e, err := Open(dir, DefaultConfig(), Surroundings{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for seq := e.Position(0).Seq + 1; ; seq++ {
		apply(t, e, seq, killMessage(seq))
		if seq%3 == 0 {
			publish(t, e)
			fmt.Printf("published %d\n", seq)
		}
		if seq%20 == 0 {
			c.advance(2 * time.Hour)
			if err := e.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestKill kills a process that writes, at moments of chance, and looks at what it
// leaves: everything published is there, and after the replay every record once.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range 6 {
		acknowledged := runAndKill(t, dir, 5+r.IntN(60), time.Duration(r.IntN(4000))*time.Microsecond)
		e := openTest(t, dir, newClock())
		position := e.Position(0).Seq
		if position < acknowledged {
			t.Fatalf("position %d, but %d was published", position, acknowledged)
		}
		last := position + 4
		for seq := position + 1; seq <= last; seq++ {
			apply(t, e, seq, killMessage(seq))
		}
		want := int64(last) * killRows
		checkTrades(t, e, "after the kill", persistence.Query{Kind: market.KindTrade, Stream: stream()}, 0, want-1)
		if stats, err := e.Stats(t.Context()); err != nil || stats.Tables[0].Rows != want || len(stats.Quarantined) > 0 {
			t.Fatalf("stats %+v, %v, want %d trades", stats, err, want)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill starts the child, waits for so many publications and a moment more,
// and kills it. It returns the last acknowledged position.
func runAndKill(t *testing.T, dir string, publications int, moment time.Duration) (acknowledged uint64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKillChild$", "-test.v")
	child.Env = append(os.Environ(), killDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "published %d", &acknowledged); n == 1 {
			if publications--; publications == 0 {
				time.AfterFunc(moment, func() { child.Process.Kill() })
			}
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	if acknowledged == 0 {
		t.Fatal("the child published nothing")
	}
	return acknowledged
}
