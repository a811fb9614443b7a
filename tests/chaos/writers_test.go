package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// client POSTs records with ids of their own, remembers which were acknowledged,
// and sends a body of unknown outcome again until it knows.
type client struct {
	name   string
	symbol string
	// at is the event time of a trade by its id; nil is the same moment for all.
	at func(id string) int64
	// remote says that another process has the rows, which is killed or hindered: a query
	// may be refused with 503, and is made again when the answer says.
	remote bool
	node   atomic.Pointer[harness.Node]

	mu       sync.Mutex
	sent     map[string]bool // whatever was sent at all
	acked    map[string]bool // and answered with 200
	odd      []string        // answers that a client must never see
	refusals map[string]int  // 503, by code

	next atomic.Int64
	stop context.CancelFunc
	done sync.WaitGroup
}

func newClient(name string) *client {
	return &client{name: name, symbol: strings.ToUpper(name) + "-USDT", sent: map[string]bool{}, acked: map[string]bool{}, refusals: map[string]int{}}
}

// write begins to write with some writers at once; end ends it.
func (c *client) write(t testing.TB, writers, batch int) {
	ctx, cancel := context.WithCancel(t.Context())
	c.stop = cancel
	for range writers {
		c.done.Go(func() {
			for ctx.Err() == nil {
				c.writeOne(ctx, batch)
			}
		})
	}
	t.Cleanup(c.end)
}

func (c *client) end() {
	c.stop()
	c.done.Wait()
}

// fresh is an array of new trades.
func (c *client) fresh(batch int) (ids []string, body []byte) {
	ids = make([]string, batch)
	for i := range ids {
		ids[i] = c.name + "-" + strconv.FormatInt(c.next.Add(1), 10)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.sent[id] = true
	}
	return ids, c.body(ids)
}

// writeOne sends an array of new trades until it is acknowledged or ctx ends.
func (c *client) writeOne(ctx context.Context, batch int) {
	ids, body := c.fresh(batch)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		if c.post(ctx, ids, body) {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// post sends a body once and says whether it was acknowledged.
func (c *client) post(ctx context.Context, ids []string, body []byte) bool {
	a, err := harness.Post(ctx, c.node.Load().URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body)
	if err != nil {
		return false // nobody there, or gone before the answer
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch a.Status {
	case http.StatusOK:
		for _, id := range ids {
			c.acked[id] = true
		}
		return true
	case http.StatusServiceUnavailable:
		p, err := a.Problem()
		if err != nil || a.Header.Get("Retry-After") == "" {
			c.odd = append(c.odd, fmt.Sprintf("503 with Retry-After %q: %v", a.Header.Get("Retry-After"), err))
		}
		c.refusals[p.Code]++
	default:
		c.odd = append(c.odd, fmt.Sprintf("%d %s", a.Status, a.Body))
	}
	return false
}

// moment is the event time of every trade of a client: it is part of the key, so
// that a body that is sent again is the same record.
const moment = 1_700_000_000_000_000_000

func (c *client) body(ids []string) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		at := int64(moment)
		if c.at != nil {
			at = c.at(id)
		}
		fmt.Fprintf(&b, `{"timestamp":%d,"symbol":%q,"exchange":"lab","price":"%s","amount":"1","side":"buy","trade_id":%q}`, at, c.symbol, priceOf(id), id)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// priceOf makes a record checkable by its id alone.
func priceOf(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return strconv.FormatUint(uint64(h.Sum32()%1_000_000)+1, 10)
}

func (c *client) acknowledged() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.acked)
}

// stuckFor is how long a store that catches up may show no more rows from look to look;
// how fast it is depends on the machine.
const stuckFor = 45 * time.Second

// verify reads everything back: what had been acknowledged when it was called is
// there once, nothing is there twice, and nothing that was never sent.
func (c *client) verify(t testing.TB, n *harness.Node) {
	t.Helper()
	want := c.acknowledged()
	lost, refused := []string{"any of them"}, error(nil)
	found, again := int64(-1), time.Time{}
	ok := harness.Moving(t, stuckFor, func() int64 { return found }, func() bool { // the reader catches up after a start
		if time.Now().Before(again) {
			return false
		}
		records, err := n.Query(t.Context(), "trade", "lab", c.symbol, "origin", "external")
		if refused = err; err != nil && !errors.Is(err, harness.ErrNotStored) {
			var answer *harness.RefusedError
			if !c.remote || !errors.As(err, &answer) {
				t.Fatal(err)
			}
			later, asked := answer.Later()
			if !asked {
				t.Fatal(err)
			}
			again = time.Now().Add(later) // the server may not be back yet
			return false
		}
		seen := map[string]int{}
		for _, r := range records {
			id := r.Name()
			if seen[id]++; seen[id] > 1 {
				t.Fatalf("%s is read back twice", id)
			}
			if r.Price != priceOf(id) {
				t.Fatalf("%s has price %s, %s was sent", id, r.Price, priceOf(id))
			}
		}
		c.mu.Lock()
		for id := range seen {
			if !c.sent[id] {
				t.Errorf("%s was never sent", id)
			}
		}
		c.mu.Unlock()
		lost = lost[:0]
		for id := range want {
			if seen[id] == 0 {
				lost = append(lost, id)
			}
		}
		found = int64(len(seen))
		return len(lost) == 0
	})
	if !ok {
		t.Fatalf("%d of %d acknowledged records are not read back: %v; the last answer: %v", len(lost), len(want), lost[:min(1, len(lost))], refused)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, what := range c.odd {
		t.Errorf("a client was answered: %s", what)
	}
	c.odd = nil
}
