package chaos

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// smallDisk makes a file system of so many MiB. It is mounted nowhere: there it is as long
// as this process holds its root open, also when nobody comes to clean up.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	mount(t, dir, mib)
	root, err := os.Open(dir)
	if err := errors.Join(err, syscall.Unmount(dir, syscall.MNT_DETACH)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() }) // only to be gone
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), root.Fd())
}

// mountedDisk is a [smallDisk] with a path of its own, for a Java program, which asks for
// the path of its directory. Who kills the test has to unmount it.
func mountedDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	mount(t, dir, mib)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func mount(t *testing.T, dir string, mib int) {
	t.Helper()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_TMPFS", fmt.Sprintf("no small disk can be mounted: %v", err))
}

// ballast fills a disk until so many MiB are free, and returns what takes it away.
func ballast(t *testing.T, dir string, leave int64) func() {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 256<<10)
	for free(t, dir) > leave<<20 {
		if _, err := f.Write(block); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func free(t *testing.T, dir string) int64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// TestFaultDiskFull: the disk fills up to the guard, and then to the last byte. Writes
// are refused with 503 and Retry-After, reads go on, everything acknowledged is
// there, and it recovers by itself when there is space.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		guard string
		leave int64 // MiB
	}{
		{"the guard refuses", "16MiB", 8},
		{"no byte is left", "0", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := smallDisk(t, 96)
			data := filepath.Join(disk, "data")
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			s := with(quick(), harness.Settings{
				harness.Storage + ".journal.disk_free_bytes":   tc.guard,
				harness.Storage + ".journal.disk_free_percent": 0,
				harness.Storage + ".journal.publish_timeout":   "1s",
				harness.Storage + ".recorder.give_up":          "3s",
				harness.Storage + ".recorder.probe_interval":   "200ms",
				harness.Broker + ".nats.restart_free_bytes":    "24MiB",
				harness.Broker + ".nats.probe_interval":        "200ms",
			})
			n := harness.Start(t, data, s)
			c := newClient("disk")
			c.node.Store(n)
			c.write(t, 2, 5)
			harness.Await(t, 30*time.Second, "acknowledged writes", func() bool { return len(c.acknowledged()) > 100 })
			release := ballast(t, disk, tc.leave)
			harness.Await(t, 60*time.Second, "a refusal", func() bool { return c.refused() > 3 })
			c.verify(t, n) // reads go on
			// An answer of a moment ago may still be given.
			harness.Await(t, 10*time.Second, "a complaint of /health while nothing can be written", func() bool {
				return n.Health(harness.Storage).Complaint() != ""
			})
			release()
			before := len(c.acknowledged())
			harness.Await(t, 60*time.Second, "acknowledged writes after there is space", func() bool { return len(c.acknowledged()) > before+50 })
			c.end()
			c.verify(t, n)
			harness.Await(t, 60*time.Second, "a health without complaint", func() bool { return n.Health(harness.Storage).Status == "healthy" })
			n.Stop()
			n = harness.Start(t, data, s)
			c.verify(t, n)
			n.Stop()
			t.Logf("%d records acknowledged, refusals %v", len(c.acknowledged()), c.refusals)
		})
	}
}

func (c *client) refused() (times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.refusals {
		times += n
	}
	return times
}

// TestFaultJournalFull: the journal is as small as it may be, and the store
// publishes so seldom that it fills up. Writes are refused, the collector's stream
// stays live, what it could not record is a gap of cause journal_full, and all goes
// on when the store has published.
func TestFaultJournalFull(t *testing.T) {
	t.Parallel()
	capture := harness.Capture(t, captured)
	exchange := harness.Replay(t, capture) // for longer than the test takes on a slow machine
	s := with(quick(), exchange.Settings(capturedIn, capturedAs, "trade", "book_delta"), harness.Settings{
		harness.Storage + ".journal.max_bytes":           "18MiB",
		harness.Storage + ".embedded.publish_interval":   "25s",
		harness.Storage + ".recorder.credit_min":         "1MiB",
		harness.Storage + ".recorder.credit_max":         "1MiB",
		harness.Storage + ".recorder.probe_interval":     "200ms",
		harness.Collector + ".streams.backfill_trades":   100000,
		harness.Collector + ".streams.backfill_patience": "1m",
	})
	n := harness.Start(t, t.TempDir(), s)
	awaitGrowth(t, n)

	// Text that no compression makes smaller, until the journal is full.
	sent, refusedAt := fillJournal(t.Context(), t, n)
	for range 20 { // it stays live while nothing can be recorded
		q, err := qualityOf(n)
		if err != nil || q.BookState != "live" {
			t.Fatalf("while the journal is full the book is %q: %v", q.BookState, err)
		}
		harness.Pause(t, 100*time.Millisecond)
	}
	var gaps []harness.Record
	harness.Await(t, 60*time.Second, "writes that are taken again", func() bool {
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", []byte(noise(1)))
		return err == nil && a.Status == http.StatusOK
	})
	full := time.Since(refusedAt)
	harness.Await(t, 30*time.Second, "a gap of cause journal_full", func() bool {
		gaps = nil
		for _, g := range n.MustQuery("gap", capturedOn, capturedAs, "market", capturedIn) {
			if g.Cause == "journal_full" {
				gaps = append(gaps, g)
			}
		}
		return len(gaps) > 0
	})
	t.Logf("%d records filled the journal; after %v it took writes again; the first gap: %s", sent, full, gaps[0].Line)
	if got := len(n.MustQuery("trade", "lab", "NOISE-USDT")); got < sent {
		t.Errorf("%d of %d acknowledged records are read", got, sent)
	}
	n.Stop()

	n = harness.Start(t, n.Data, quick())
	truth := map[string]harness.Record{}
	for _, trade := range normalized(t, capture, "trade") {
		truth[trade.Name()] = trade
	}
	checkTrades(t, n, truth)
	n.Stop()
}

// fillJournal returns how many records were acknowledged before the first refusal.
func fillJournal(ctx context.Context, t *testing.T, n *harness.Node) (sent int, at time.Time) {
	t.Helper()
	const rows = 1000
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	var mu sync.Mutex
	var problems []string
	var writers sync.WaitGroup
	for range 3 {
		writers.Go(func() {
			for ctx.Err() == nil {
				a, err := harness.Post(ctx, n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", []byte(noise(rows)))
				mu.Lock()
				switch {
				case err != nil && ctx.Err() == nil:
					problems = append(problems, err.Error())
					cancel()
				case err != nil: // another writer has met the end
				case a.Status == http.StatusOK:
					sent += rows
				case strings.Contains(string(a.Body), `"journal_busy"`): // the other writers have the credit
				default:
					if what := notFull(a); what != "" {
						problems = append(problems, what)
					}
					at = time.Now()
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	if at.IsZero() || len(problems) > 0 {
		t.Fatalf("%d records did not fill the journal: %q", sent, problems)
	}
	return sent, at
}

// notFull says what is wrong with the answer of a full journal.
func notFull(a *harness.Answer) string {
	p, err := a.Problem()
	switch {
	case err != nil:
		return err.Error()
	case a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || p.Code != "journal_full" && p.Code != "journal_refuses":
		return fmt.Sprintf("%d, Retry-After %q: %s", a.Status, a.Header.Get("Retry-After"), a.Body)
	}
	return ""
}

// noise is an array of trades with random ids.
func noise(rows int) string {
	var b strings.Builder
	id := make([]byte, 90)
	for i := range rows {
		rand.Read(id) // never fails
		b.WriteByte("[,"[min(i, 1)])
		fmt.Fprintf(&b, `{"timestamp":%d,"symbol":"NOISE-USDT","exchange":"lab","price":"1","amount":"1","side":"buy","trade_id":"%s"}`,
			int64(moment), base64.RawURLEncoding.EncodeToString(id))
	}
	return b.String() + "]"
}
