package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// replicas are processes with a store each, whose broker is one.
type replicas struct {
	t      *testing.T
	data   []string
	routes []string
	all    []*harness.Node
	// own are the settings of a node that the others do not have, services what each runs.
	own      func(i int) harness.Settings
	services []string

	// What is written to them.
	live  atomic.Int32 // index of the node that is written to
	mu    sync.Mutex
	acked map[string]bool
	gap   time.Duration // the longest between two acknowledgements
	last  time.Time
	codes map[string]int // of refusals
	odd   []string
}

func newReplicas(t *testing.T) *replicas {
	t.Helper()
	r := newBrokers(t, 3)
	r.services = append(r.services, harness.Gateway)
	r.start(0, 1, 2)
	return r
}

// newBrokers are some processes with a broker each, which find each other by routes that
// they are told; none runs yet.
func newBrokers(t *testing.T, n int) *replicas {
	r := &replicas{t: t, all: make([]*harness.Node, n), acked: map[string]bool{}, codes: map[string]int{}, services: []string{harness.Broker, harness.Storage}}
	for range n {
		r.data = append(r.data, t.TempDir())
		r.routes = append(r.routes, fmt.Sprint("127.0.0.1:", freePort(t)))
	}
	r.own = func(i int) harness.Settings {
		const nats = harness.Broker + ".nats."
		return harness.Settings{nats + "port": -1, nats + "cluster.bootstrap_expect": n, nats + "cluster.port": r.port(i), nats + "cluster.routes": r.routes}
	}
	return r
}

// port is that of a node's route.
func (r *replicas) port(i int) json.Number {
	return json.Number(r.routes[i][strings.LastIndexByte(r.routes[i], ':')+1:])
}

// start starts nodes at once.
func (r *replicas) start(which ...int) {
	r.t.Helper()
	for _, i := range which {
		r.launch(i)
	}
	for _, i := range which {
		r.all[i].AwaitReady()
	}
}

func (r *replicas) launch(i int) {
	r.t.Helper()
	nats := harness.Broker + ".nats."
	s := harness.Settings{
		"node.id": name(i), nats + "username": "prism", nats + "password": "a password",
		harness.Storage + ".embedded.publish_interval": "1s", harness.Storage + ".journal.publish_timeout": "1s", harness.Storage + ".recorder.give_up": "10s",
	}
	maps.Copy(s, r.own(i))
	r.all[i] = harness.Launch(r.t, r.data[i], s, nil, r.services...)
}

func name(i int) string { return fmt.Sprint("node-", i+1) }

// leader is the node that leads the journal, as node i sees it; -1 when none does.
func (r *replicas) leader(i int) int {
	var list struct {
		Streams []struct {
			Name   string `json:"name"`
			Leader string `json:"leader"`
		} `json:"streams"`
	}
	a, err := harness.Get(r.t.Context(), r.all[i].URL(harness.Broker, "/api/v1/broker/streams"))
	if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &list) != nil {
		return -1
	}
	for _, s := range list.Streams {
		if s.Name == "JOURNAL_0" {
			return slices.IndexFunc(r.data, func(dir string) bool { return name(slices.Index(r.data, dir)) == s.Leader })
		}
	}
	return -1
}

// write sends one record after the other to the node that is written to, each until it
// is acknowledged, and ends with ctx.
func (r *replicas) write(ctx context.Context, writer int) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%d-%d", writer, n)
		body := fmt.Appendf(nil, `[{"timestamp":1700000000000000000,"symbol":"BTC-USDT","exchange":"lab","price":"1","amount":"1","side":"buy","trade_id":%q}]`, id)
		for done := false; !done && ctx.Err() == nil; {
			done = r.post(ctx, id, body)
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

func (r *replicas) post(ctx context.Context, id string, body []byte) bool {
	a, err := harness.Post(ctx, r.all[r.live.Load()].URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch a.Status {
	case http.StatusOK:
		now := time.Now()
		if !r.last.IsZero() {
			r.gap = max(r.gap, now.Sub(r.last))
		}
		r.last, r.acked[id] = now, true
		return true
	case http.StatusServiceUnavailable:
		p, err := a.Problem()
		if err != nil || a.Header.Get("Retry-After") == "" {
			r.odd = append(r.odd, fmt.Sprintf("503 with Retry-After %q: %v", a.Header.Get("Retry-After"), err))
		}
		r.codes[p.Code]++
	default:
		r.odd = append(r.odd, fmt.Sprintf("%d %s", a.Status, a.Body))
	}
	return false
}

func (r *replicas) count() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.acked))
}

// awaitMore waits until so many more records are acknowledged.
func (r *replicas) awaitMore(what string, more int64) {
	r.t.Helper()
	goal := r.count() + more
	harness.Await(r.t, time.Minute, what, func() bool { return r.count() >= goal })
}

// complete checks that a node has each acknowledged record, once.
func (r *replicas) complete(i int) {
	r.t.Helper()
	var missing, twice []string
	harness.Await(r.t, time.Minute, name(i)+" to have all that was acknowledged", func() bool {
		found, err := r.all[i].Query(r.t.Context(), "trade", "lab", "BTC-USDT", "limit", "1000000")
		if err != nil {
			return false
		}
		had := map[string]bool{}
		missing, twice = nil, nil
		for _, one := range found {
			id := strings.Trim(string(one.ID), `"`)
			if had[id] {
				twice = append(twice, id)
			}
			had[id] = true
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for id := range r.acked {
			if !had[id] {
				missing = append(missing, id)
			}
		}
		return len(missing) == 0
	})
	if len(twice) > 0 {
		r.t.Errorf("%s has twice: %v", name(i), twice)
	}
}

// remove takes a node out for good, which is refused while it runs.
func (r *replicas) remove(i int) {
	r.t.Helper()
	ask := func() *harness.Answer {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodDelete, r.all[0].URL(harness.Broker, "/api/v1/broker/nodes/"+name(i)), nil)
		if err != nil {
			r.t.Fatal(err)
		}
		a, err := harness.Do(r.t.Context(), req)
		if err != nil {
			r.t.Fatal(err)
		}
		return a
	}
	if a := ask(); a.Status != http.StatusConflict {
		r.t.Errorf("a node that runs was taken out: %d %s", a.Status, a.Body)
	}
	r.all[i].Stop()
	harness.Await(r.t, time.Minute, "a node that was stopped to be taken out", func() bool { return ask().Status == http.StatusOK })
	harness.Await(r.t, time.Minute, "two nodes to be left", func() bool {
		var list struct {
			Nodes []struct {
				Node string `json:"node"`
			} `json:"nodes"`
		}
		a, err := harness.Get(r.t.Context(), r.all[0].URL(harness.Broker, "/api/v1/broker/nodes"))
		return err == nil && json.Unmarshal(a.Body, &list) == nil && len(list.Nodes) == 2
	})
}

// says waits until a node, asked itself and through its gateway, says that its answers may
// be old, or does not say so.
func (r *replicas) says(i int, what string, old bool) {
	r.t.Helper()
	const query = "query/trade/lab/BTC-USDT?limit=1"
	for _, url := range []string{r.all[i].URL(harness.Storage, "/api/v1/storage/"+query), r.all[i].URL(harness.Gateway, "/api/v1/storage/"+query)} {
		var said string
		if !harness.Eventually(r.t, time.Minute, func() bool {
			a, err := harness.Get(r.t.Context(), url)
			if err != nil || a.Status != http.StatusOK {
				said = fmt.Sprint(err, a)
				return false
			}
			said = fmt.Sprintf("%q, reflects %s: %s", a.Header.Get("X-Stale"), a.Header.Get("X-Journal-Position"), a.Body)
			listed := strings.Contains(string(a.Body), `"stale":{"age_seconds":`)
			return (a.Header.Get("X-Stale") != "") == old && listed == old
		}) {
			r.t.Fatalf("%s: waited in vain for it to say that %s: %s", url, what, said)
		}
		r.t.Logf("%s says that %s: %s", name(i), what, said)
	}
}

// TestMultiNodeJournal: the journal is on three nodes. The one that leads it is killed
// under load, one loses its disk, and two are away at once: whatever was acknowledged is
// on every node in the end, once. While two are away the third answers what it has, and
// says that it may be old.
func TestMultiNodeJournal(t *testing.T) {
	t.Parallel()
	r := newReplicas(t)
	var leader int
	harness.Await(t, 30*time.Second, "a leader of the journal", func() bool { leader = r.leader(0); return leader >= 0 })
	r.live.Store(int32((leader + 1) % 3))
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	for w := range 4 {
		writers.Go(func() { r.write(ctx, w) })
	}
	r.awaitMore("records before the kill", 100)

	r.mu.Lock()
	r.gap = 0
	r.mu.Unlock()
	r.all[leader].Kill()
	r.awaitMore("records after the leader was killed", 100)
	r.mu.Lock()
	t.Logf("the leader of the journal was killed: acknowledged again after %v, refused meanwhile: %v", r.gap.Round(time.Millisecond), r.codes)
	r.mu.Unlock()

	// Its disk is lost with it.
	if err := os.RemoveAll(filepath.Join(r.data[leader], "broker")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.start(leader)
	t.Logf("a node without its journal was ready after %v", time.Since(began).Round(time.Millisecond))
	// Until it has caught up it does not vote: what it was given before, it has forgotten.
	harness.Await(t, time.Minute, "the node to have caught up", func() bool { return r.all[leader].Health(harness.Broker).Complaint() == "" })
	t.Logf("it had the journal again after %v", time.Since(began).Round(time.Millisecond))

	// Two are away.
	live := int(r.live.Load())
	away := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == live })
	r.mu.Lock()
	clear(r.codes)
	r.mu.Unlock()
	for _, i := range away {
		r.all[i].Kill()
	}
	harness.Await(t, time.Minute, "a refusal while two of three are away", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.codes) > 0
	})
	harness.Await(t, time.Minute, "a health that names who is away", func() bool {
		text := r.all[live].Health(harness.Broker).Complaint()
		return strings.Contains(text, name(away[0])) && strings.Contains(text, name(away[1]))
	})
	r.says(live, "what it answers may be old", true)
	r.start(away[0])
	r.awaitMore("records after one was back", 50)
	r.says(live, "what it answers is not old", false)
	r.start(away[1])
	r.awaitMore("records after all were back", 50)
	stop()
	writers.Wait()
	for i := range r.all {
		r.complete(i)
	}
	t.Logf("%d records were acknowledged", r.count())
	for _, odd := range r.odd {
		t.Errorf("a write was answered %s", odd)
	}
	r.remove(2)
	for i, n := range r.all {
		n.Stop()
		if why := n.Crashed(); why != "" {
			t.Errorf("%s: %s", name(i), why)
		}
	}
}
