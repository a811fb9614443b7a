package chaos

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/tests/harness"
)

// ordered moves rows of a QuestDB server only when it is told to.
func ordered(server *questdbtest.Server, trail string) harness.Settings {
	return with(onQuestDB(server, trail), harness.Settings{
		harness.Storage + ".actors.maintain_interval":              "1s",
		harness.Storage + ".storage.lifecycle.interval":            "24h",
		harness.Storage + ".storage.cold_storage.grace":            "1s",
		harness.Storage + ".storage.cold_storage.checkpoint_every": 3,
	})
}

// TestQuestDBReadable is TestColdReadable, on a QuestDB server.
func TestQuestDBReadable(t *testing.T) {
	coldReadable(t, ordered(questdbtest.Start(t), "2m"))
}

// hourly makes a client's trades those of hours one after the other, but for one of
// seven, which is late, by up to all of them; after some days of them it begins again,
// for a server maps every column of every hour that it has, and a system has a limit.
func hourly(c *client) {
	const hour, began = int64(time.Hour), moment / int64(time.Hour) * int64(time.Hour)
	c.at = func(id string) int64 {
		n, err := strconv.ParseInt(strings.TrimPrefix(id, c.name+"-"), 10, 64)
		if err != nil {
			panic("an id of another client: " + id)
		}
		const hours = 300
		at := n / 140 % hours
		if n%7 == 0 {
			at = n * 7919 % (at + 1) &^ 1 // into every other hour: the rest can go
		}
		return began + at*hour + n%140*int64(time.Second)
	}
}

// writeOnce writes without sending anything twice: what is stored twice is the
// store's doing.
func (c *client) writeOnce(t testing.TB, batch int) {
	ctx, cancel := context.WithCancel(t.Context())
	c.stop = cancel
	c.done.Go(func() {
		for ctx.Err() == nil {
			ids, body := c.fresh(batch)
			c.post(ctx, ids, body) // whatever comes of it
			harness.Pause(t, 5*time.Millisecond)
		}
	})
	t.Cleanup(c.end)
}

// orders archives and cleans up without end.
type orders struct {
	begun                       [2]atomic.Int64 // archives, cleanups
	archives, cleanups, removed atomic.Int64
}

func (o *orders) give(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		o.begun[0].Add(1)
		if _, m, err := order(ctx, c.node.Load(), "cold/archive", everything); err == nil && m.Operation != "" {
			o.archives.Add(1)
		}
		o.begun[1].Add(1)
		if _, m, err := order(ctx, c.node.Load(), "lifecycle/cleanup", allOfIt); err == nil && m.Operation != "" {
			o.cleanups.Add(1)
			o.removed.Add(m.Cleaned)
		}
	}
}

// await returns at a random moment of a phase: any, an archive, a cleanup.
func (o *orders) await(t testing.TB, r *rand.Rand, n *harness.Node, phase int) {
	t.Helper()
	if phase == 0 {
		harness.Pause(t, between(r, 100*time.Millisecond, 2*time.Second))
		return
	}
	before := o.begun[phase-1].Load()
	harness.AwaitMoving(t, stuckFor, "an order", rowsMoved(t, n), func() bool { return o.begun[phase-1].Load() > before })
	harness.Pause(t, between(r, 0, 500*time.Millisecond))
}

// TestQuestDBKillArchive: clients write, one of them partly late, while rows are
// archived and removed without end; the program, the server or both are killed at
// random moments. Every acknowledged record is read once, and archived once.
func TestQuestDBKillArchive(t *testing.T) {
	rounds, r := harness.Rounds(t), seeded(t)
	server := questdbtest.Start(t)
	s := ordered(server, "1s")
	n := harness.Start(t, t.TempDir(), s)
	again, once := newClient("again"), newClient("once")
	hourly(once)
	clients := []*client{again, once}
	for _, c := range clients {
		c.remote = true
		c.node.Store(n)
	}
	again.write(t, 1, 7)
	once.writeOnce(t, 7)
	var given orders
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		given.give(ctx, again)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	for i := range rounds {
		before := given.cleanups.Load()
		harness.AwaitMoving(t, stuckFor, "an archive and a cleanup", rowsMoved(t, n), func() bool { return given.cleanups.Load() > before+1 })
		victim, phase := r.IntN(3), r.IntN(3)
		t.Logf("round %d: %s is killed %s", i+1, []string{"the program", "the server", "everything"}[victim], []string{"at any moment", "in an archive", "in a cleanup"}[phase])
		given.await(t, r, n, phase)
		if victim != 0 {
			server.Kill()
		}
		if victim != 1 {
			n.Kill()
			if why := n.Crashed(); why != "" {
				t.Fatal(why)
			}
		}
		if victim != 0 {
			run(t, server)
		}
		if victim != 1 {
			n = harness.Start(t, n.Data, s)
			for _, c := range clients {
				c.node.Store(n)
			}
		}
		for _, c := range clients {
			c.verify(t, n)
		}
	}
	harness.AwaitMoving(t, stuckFor, "rows removed while clients write", rowsMoved(t, n), func() bool { return given.removed.Load() > 0 })
	removed := given.removed.Load()
	for _, c := range clients {
		c.end()
	}
	cancel()
	<-ended
	mustOrder(t, n, "cold/archive", everything) // perhaps that of an order before
	mustOrder(t, n, "cold/archive", everything)
	if m := mustOrder(t, n, "cold/archive", everything); m.Archived != 0 {
		t.Errorf("%d rows are archived after everything was", m.Archived)
	}
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	if hot, _ := counts(t, n); hot != 0 {
		t.Errorf("%d trades are in the hot store after everything was archived and removed", hot)
	}
	for _, c := range clients {
		c.verify(t, n)
		records, err := n.Query(t.Context(), "trade", "lab", c.symbol, "tier", "cold")
		if text := compare(c.acknowledged(), records, err); text != "" {
			t.Errorf("in the cold store alone: %s", text)
		}
		if rows := coldRows(t, n, c.symbol); c == once && rows != int64(len(records)) {
			t.Errorf("the cold store has %d rows of %d records that were sent once", rows, len(records))
		}
	}
	t.Logf("%d and %d records acknowledged, %d archives and %d cleanups answered, %d rows removed meanwhile",
		len(again.acknowledged()), len(once.acknowledged()), given.archives.Load(), given.cleanups.Load(), removed)
}

// TestQuestDBSetBackArchived: an older copy of the server's files is put back, which
// has rows that were archived and removed since, and lacks others. Each is read once,
// and archived once.
func TestQuestDBSetBackArchived(t *testing.T) {
	server := questdbtest.Start(t)
	n := harness.Start(t, t.TempDir(), ordered(server, "2m"))
	c := newClient("older")
	c.remote = true
	hourly(c)
	c.node.Store(n)
	more := func() {
		t.Helper()
		before := len(c.acknowledged())
		harness.Await(t, time.Minute, "acknowledged writes", func() bool { return len(c.acknowledged()) > before+300 })
	}
	c.writeOnce(t, 7)
	more()
	c.verify(t, n)
	restore := keep(t, server)
	more()
	c.end()
	if m := mustOrder(t, n, "cold/archive", everything); m.Archived == 0 {
		t.Error("nothing was archived")
	}
	if m := mustOrder(t, n, "lifecycle/cleanup", allOfIt); m.Cleaned == 0 {
		t.Error("nothing was removed")
	}
	c.writeOnce(t, 7)
	more()
	c.end()
	restore()
	c.verify(t, n)
	mustOrder(t, n, "cold/archive", everything)
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	if hot, cold := counts(t, n); hot != 0 || cold != coldRows(t, n, c.symbol) {
		t.Errorf("%d trades are hot and %d cold after everything was archived and removed", hot, cold)
	}
	records, err := n.Query(t.Context(), "trade", "lab", c.symbol, "tier", "cold")
	if text := compare(c.acknowledged(), records, err); text != "" {
		t.Error(text)
	}
	if rows := coldRows(t, n, c.symbol); rows != int64(len(records)) {
		t.Errorf("the cold store has %d rows of %d records that were sent once", rows, len(records))
	}
}

// coldRows counts the rows in the files of a symbol.
func coldRows(t testing.TB, n *harness.Node, symbol string) (rows int64) {
	t.Helper()
	var answer struct {
		Data []struct {
			Path string `json:"path"`
			Rows int64  `json:"rows"`
		} `json:"data"`
	}
	harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/parts?tier=cold&kind=trade"), &answer)
	for _, p := range answer.Data {
		if strings.Contains(p.Path, "/symbol="+strings.ReplaceAll(symbol, "-", "")+"/") {
			rows += p.Rows
		}
	}
	return rows
}
