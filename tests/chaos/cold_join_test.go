package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// joining moves rows as soon as they can, joins files as soon as there are two of a
// day, and sweeps what nothing lists at once.
func joining() harness.Settings {
	const at = harness.Storage + ".storage.cold_storage."
	return with(moving(), harness.Settings{at + "join_files": 2, at + "sweep_after": "1s", at + "checkpoint_every": 5})
}

// coldPlace is a cold store in a directory, also where that is behind an S3 service.
type coldPlace struct {
	settings harness.Settings
	// dir is where its objects are files.
	dir func(n *harness.Node) string
	// fail takes the store away for a moment; nil where it cannot be.
	fail func()
}

func coldPlaces(t *testing.T, test func(*testing.T, coldPlace)) {
	t.Run("directory", func(t *testing.T) {
		test(t, coldPlace{dir: func(n *harness.Node) string { return filepath.Join(n.Data, "cold") }})
	})
	t.Run("s3", func(t *testing.T) {
		o := newObjectStore(t)
		test(t, coldPlace{settings: o.settings(), dir: func(*harness.Node) string { return filepath.Join(o.dir, "market", "prism") }, fail: func() {
			o.kill()
			o.start()
		}})
	})
}

// files counts the files below a directory whose path has every word.
func files(dir string, words ...string) int { return len(paths(dir, words...)) }

// paths are those files.
func paths(dir string, words ...string) (list []string) {
	// Files come and go while it looks.
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		has := err == nil && d.Type().IsRegular()
		for _, w := range words {
			has = has && strings.Contains(path, w)
		}
		if has {
			list = append(list, path)
		}
		return nil
	})
	return list
}

// sight returns when a condition holds, looking without a pause: the moment is short.
func sight(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if ok() {
			return
		}
	}
	t.Logf("%s was not seen; killed all the same", what)
}

// coldWays are the moments of moving rows, in any order, and then all others.
func coldWays(p coldPlace, r *rand.Rand) []way {
	moments := []way{
		{name: "while a cold file is written", kill: func(t testing.TB, _ *rand.Rand, n *harness.Node) {
			sight(t, "a cold file on its way", func() bool {
				return files(filepath.Join(n.Data, "cold-scratch"), ".parquet") > 0 || files(p.dir(n), ".parquet", ".tmp") > 0
			})
		}},
		{name: "when a record of the manifest was made", kill: func(t testing.TB, _ *rand.Rand, n *harness.Node) {
			before := files(filepath.Join(p.dir(n), "manifest"))
			sight(t, "a record of the manifest", func() bool { return files(filepath.Join(p.dir(n), "manifest")) > before })
			harness.Pause(t, between(r, 0, 20*time.Millisecond))
		}},
		{name: "while files are deleted", early: true, kill: func(t testing.TB, _ *rand.Rand, n *harness.Node) {
			known := paths(p.dir(n), "part-", ".parquet") // those before go when it starts
			sight(t, "a file that is deleted", func() bool {
				return slices.ContainsFunc(known, func(path string) bool {
					_, err := os.Stat(path)
					return errors.Is(err, fs.ErrNotExist)
				})
			})
		}},
	}
	r.Shuffle(len(moments), func(i, j int) { moments[i], moments[j] = moments[j], moments[i] })
	return append(moments, ways...)
}

// TestKillJoin: clients write, rows are archived and removed and small files joined and
// swept all the time, and the process is killed at moments of each, while the cold store
// is away for a moment now and then. Every acknowledged record is read once, and in the
// end there are few files, and none but those that are listed.
func TestKillJoin(t *testing.T) {
	coldPlaces(t, func(t *testing.T, p coldPlace) {
		rounds, r := harness.Rounds(t), seeded(t)
		s := with(joining(), p.settings)
		n := harness.Start(t, t.TempDir(), s)
		c := newClient("join")
		c.node.Store(n)
		c.write(t, 2, 7)
		stopOrders := keepMoving(t, c)
		all := coldWays(p, r)
		for i := range rounds {
			joined := joinedFiles(t, n)
			harness.AwaitMoving(t, stuckFor, "files that are joined", rowsMoved(t, n), func() bool { return joinedFiles(t, n) > joined })
			if p.fail != nil && r.IntN(2) == 0 {
				p.fail()
			}
			n = killed(t, i, all[i%len(all)], r, n, s)
			c.node.Store(n)
			c.verify(t, n)
		}
		c.end()
		stopOrders()
		c.verify(t, n)
		mustOrder(t, n, "cold/archive", everything)
		mustOrder(t, n, "lifecycle/cleanup", allOfIt)
		listed, there := 0, 0
		// What was joined is deleted at the next look after the store, once a minute.
		if !harness.Moving(t, 2*stuckFor, func() int64 { return int64(files(p.dir(n), "part-")) }, func() bool {
			listed, there = coldFiles(t, n), files(p.dir(n), "part-")
			return listed <= 8 && there == listed
		}) {
			t.Fatalf("%d files are listed and %d are there, and nothing moves; want the same few", listed, there)
		}
		records, err := n.Query(t.Context(), "trade", "lab", c.symbol, "tier", "cold")
		if text := compare(c.acknowledged(), records, err); text != "" {
			t.Errorf("in the cold store alone: %s", text)
		}
		if _, cold := counts(t, n); cold != int64(len(records)) {
			t.Errorf("%d trades are counted, %d are read", cold, len(records))
		}
		t.Logf("%d records acknowledged; %d files in the end", len(c.acknowledged()), coldFiles(t, n))
		n.Stop()
		n = harness.Start(t, n.Data, s)
		c.verify(t, n)
		n.Stop()
	})
}

// keepMoving has everything archived and removed without end, by whichever node the
// client writes to.
func keepMoving(t *testing.T, c *client) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for path, body := range map[string]string{"cold/archive": everything, "lifecycle/cleanup": allOfIt} {
				// Nobody may be there to answer: the next one is asked.
				_, _, _ = order(ctx, c.node.Load(), path, body)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// rowsMoved counts what a process has done of moving rows.
func rowsMoved(t testing.TB, n *harness.Node) func() int64 {
	return func() (done int64) {
		for _, name := range []string{"mp_storage_operations_total", "mp_storage_archived_rows_total", "mp_storage_removed_rows_total", "mp_reader_published_sequence"} {
			done += int64(metric(t, n, name))
		}
		return done
	}
}

// joinedFiles counts the files that upkeeps of a process have joined to others.
func joinedFiles(t testing.TB, n *harness.Node) float64 {
	t.Helper()
	return metric(t, n, "mp_cold_joined_files_total")
}

// coldFiles counts the files that the cold store lists.
func coldFiles(t testing.TB, n *harness.Node) int {
	t.Helper()
	var list struct {
		Data []struct{ Path string }
	}
	harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/parts?tier=cold"), &list)
	return len(list.Data)
}

// firstFile is the first file below a directory whose path has a word.
func firstFile(t testing.TB, dir, word string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && found == "" && d.Type().IsRegular() && strings.Contains(path, word) {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file of %s below %s: %v", word, dir, err)
	}
	return found
}

// harm changes a file, or takes it away where nothing is left of it, and returns what
// puts it right.
func harm(t testing.TB, path string, damage func([]byte) []byte) (restore func()) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bad := damage(bytes.Clone(whole)); bad != nil {
		err = os.WriteFile(path, bad, 0o600)
	} else {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaultCold: a file is damaged or gone. It is named in health with its path, nothing
// is deleted, what lies elsewhere is served, and when it is put right all is as it was.
func TestFaultCold(t *testing.T) {
	t.Parallel()
	cut := func(b []byte) []byte { return b[:len(b)-9] }
	gone := func([]byte) []byte { return nil }
	for _, tc := range []struct {
		name, where string
		damage      func([]byte) []byte
	}{
		{"a row group is damaged", "symbol=DAMAGED", flip(func(size int) int { return size / 4 })},
		{"a footer is damaged", "symbol=DAMAGED", flip(func(size int) int { return size - 7 })}, // its length
		{"a file is cut short", "symbol=DAMAGED", cut},
		{"a file is missing", "symbol=DAMAGED", gone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			coldPlaces(t, func(t *testing.T, p coldPlace) { coldFault(t, p, tc.where, tc.damage) })
		})
	}
}

func coldFault(t *testing.T, p coldPlace, where string, damage func([]byte) []byte) {
	n, s, all := archived(t, p)
	path := firstFile(t, p.dir(n), where)
	restore := harm(t, path, damage)

	n = harness.Start(t, n.Data, s)
	ask := func(symbol string) *harness.Answer {
		a, err := harness.Get(t.Context(), n.URL(harness.Storage, "/api/v1/storage/query/trade/lab/"+symbol+"?format=ndjson"))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	name := filepath.Base(path)
	ask("DAMAGED-USDT")
	harness.Await(t, 60*time.Second, "a health that names "+name, func() bool {
		h := n.Health(harness.Storage)
		return h.Code == http.StatusServiceUnavailable && strings.Contains(h.Complaint(), name)
	})
	records, err := n.Query(t.Context(), "trade", "lab", "SOUND-USDT")
	if text := compare(all["SOUND-USDT"], records, err); text != "" {
		t.Errorf("what is whole: %s", text)
	}
	restore()
	n.Stop() // it is looked at hourly, and by the next process
	n = harness.Start(t, n.Data, s)
	awaitAll(t, n, all, "when it is put right")
	n.Stop()
}

// archived is a node that has stopped and has everything in its cold store, by symbol.
func archived(t *testing.T, p coldPlace) (*harness.Node, harness.Settings, map[string]map[string]bool) {
	t.Helper()
	s := with(resting(), p.settings, harness.Settings{harness.Storage + ".storage.cold_storage.checkpoint_every": 100})
	n := harness.Start(t, t.TempDir(), s)
	all := map[string]map[string]bool{}
	for _, symbol := range []string{"DAMAGED-USDT", "SOUND-USDT"} {
		body, ids := tradesOf("lab", symbol, symbol, time.Date(2021, 5, 19, 0, 0, 0, 0, time.UTC), 6000)
		all[symbol] = ids
		if a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body); err != nil || a.Status != http.StatusOK {
			t.Fatalf("%v %+v", err, a)
		}
		mustOrder(t, n, "cold/archive", everything)
	}
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	n.Stop()
	return n, s, all
}

// TestFaultColdManifest: records of the manifest, or all of it, are damaged or gone. The
// program makes it again by itself: every row is served, health names what was damaged
// until somebody removes the copy from quarantine, and an archive goes on.
func TestFaultColdManifest(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, records []string){
		"a record is damaged": func(t *testing.T, records []string) { harm(t, records[1], flip(middle)) }, // the first has no files
		"a record is missing": func(t *testing.T, records []string) {
			harm(t, records[1], func([]byte) []byte { return nil })
		},
		"everything is missing": func(t *testing.T, records []string) {
			for _, path := range records {
				harm(t, path, func([]byte) []byte { return nil })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			coldPlaces(t, func(t *testing.T, p coldPlace) {
				n, s, all := archived(t, p)
				records := paths(filepath.Join(p.dir(n), "manifest"))
				slices.Sort(records)
				damage(t, records)
				n = harness.Start(t, n.Data, s)
				harness.Await(t, 60*time.Second, "a health that names the quarantine", func() bool {
					h := n.Health(harness.Storage)
					return h.Code == http.StatusServiceUnavailable && strings.Contains(h.Complaint(), "quarantine/manifest")
				})
				for symbol, ids := range all {
					records, err := n.Query(t.Context(), "trade", "lab", symbol)
					if text := compare(ids, records, err); text != "" {
						t.Errorf("%s: %s", symbol, text)
					}
				}
				body, ids := tradesOf("lab", "LATER-USDT", "LATER-USDT", time.Date(2021, 5, 20, 0, 0, 0, 0, time.UTC), 100)
				all["LATER-USDT"] = ids
				if a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body); err != nil || a.Status != http.StatusOK {
					t.Fatalf("%v %+v", err, a)
				}
				mustOrder(t, n, "cold/archive", everything)
				n.Stop()
				for _, path := range paths(filepath.Join(p.dir(n), "quarantine")) {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				}
				n = harness.Start(t, n.Data, s)
				awaitAll(t, n, all, "when the copies are removed")
				n.Stop()
			})
		})
	}
}

// awaitAll waits until every record is served and the storage service is well.
func awaitAll(t *testing.T, n *harness.Node, all map[string]map[string]bool, when string) {
	t.Helper()
	var wrong atomic.Pointer[string]
	ok := harness.Eventually(t, 60*time.Second, func() bool {
		for symbol, ids := range all {
			records, err := n.Query(t.Context(), "trade", "lab", symbol)
			if text := compare(ids, records, err); text != "" {
				text = fmt.Sprintf("%s: %s; health: %s", symbol, text, n.Health(harness.Storage).Complaint())
				wrong.Store(&text)
				return false
			}
		}
		return n.Health(harness.Storage).Status == "healthy"
	})
	if !ok {
		text := "health is not well"
		if last := wrong.Load(); last != nil {
			text = *last
		}
		t.Errorf("%s: %v", when, text)
	}
}
