package cluster

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// writes sends records of a client to each of three nodes all the time, and knows which
// were acknowledged where, and when.
type writes struct {
	c    *nodes
	stop func()

	mu    sync.Mutex
	acked map[string]time.Time
	last  [3]time.Time // acknowledgement of each node
	odd   []string
}

// writeEvery is the pause between two records of a node.
const writeEvery = 100 * time.Millisecond

func (c *nodes) writing() *writes {
	w := &writes{c: c, acked: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(c.t.Context())
	var all sync.WaitGroup
	for i := range w.last {
		all.Go(func() { w.write(ctx, i) })
	}
	w.stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	c.t.Cleanup(w.stop)
	return w
}

func (w *writes) write(ctx context.Context, node int) {
	for n := 0; ctx.Err() == nil; n++ {
		w.post(ctx, node, fmt.Sprintf("%d-%d", node, n))
		select {
		case <-ctx.Done():
		case <-time.After(writeEvery):
		}
	}
}

func (w *writes) post(ctx context.Context, node int, id string) {
	body := fmt.Appendf(nil, `[{"timestamp":1700000000000000000,"symbol":"BTC-USDT","exchange":"lab","price":"1","amount":"1","side":"buy","trade_id":%q}]`, id)
	a, err := harness.Post(ctx, w.c.all[node].URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body)
	if err != nil {
		return // the node is away, or the test ends
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch a.Status {
	case http.StatusOK:
		w.acked[id], w.last[node] = time.Now(), time.Now()
	case http.StatusServiceUnavailable:
	default:
		w.odd = append(w.odd, fmt.Sprintf("%d %s", a.Status, a.Body))
	}
}

// since counts the acknowledgements of a node after a time.
func (w *writes) since(node int, at time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, when := range w.acked {
		if when.After(at) && strings.HasPrefix(id, fmt.Sprint(node, "-")) {
			n++
		}
	}
	return n
}

// resumed waits for an acknowledgement of each of some nodes, and says how long the
// last of them took since a time.
func (w *writes) resumed(what string, since time.Time, which ...int) time.Duration {
	w.c.t.Helper()
	w.c.awaitMoving(what+": an acknowledgement", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, i := range which {
			if !w.last[i].After(since) {
				return false
			}
		}
		return true
	})
	return time.Since(since)
}

// complete ends the writing, and checks that each of the nodes has every acknowledged
// record, once.
func (w *writes) complete() {
	w.c.t.Helper()
	w.stop()
	for _, odd := range w.odd {
		w.c.t.Errorf("a write was answered %s", odd)
	}
	for i, n := range w.c.all {
		var missing int
		had := map[string]int{}
		if !harness.Eventually(w.c.t, time.Minute, func() bool {
			found, err := n.Query(w.c.t.Context(), "trade", "lab", "BTC-USDT", "limit", "1000000")
			if err != nil {
				return false
			}
			clear(had)
			for _, one := range found {
				had[strings.Trim(string(one.ID), `"`)]++
			}
			missing = 0
			for id := range maps.Keys(w.acked) {
				if had[id] == 0 {
					missing++
				}
			}
			return missing == 0
		}) {
			w.c.t.Errorf("%s lacks %d of %d acknowledged records", w.c.name(i), missing, len(w.acked))
		}
		for id, times := range had {
			if times > 1 {
				w.c.t.Errorf("%s has record %s %d times", w.c.name(i), id, times)
			}
		}
	}
	w.c.t.Logf("%d records of clients were acknowledged: each is on every node, once", len(w.acked))
}
