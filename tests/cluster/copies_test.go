package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

// stores are processes with a store each, beside one that is the broker.
type stores struct {
	t      *testing.T
	common harness.Settings
	data   []string
	all    []*harness.Node
	acked  map[string]bool
	last   string // where the newest record is in the journal
	// gateway is the node that has one; -1 for none.
	gateway int
}

func newStores(t *testing.T, n int, common harness.Settings) *stores {
	t.Helper()
	s := &stores{t: t, common: common, all: make([]*harness.Node, n), acked: map[string]bool{}, gateway: -1}
	for range n {
		s.data = append(s.data, t.TempDir())
	}
	return s
}

func (s *stores) launch(i int) {
	s.t.Helper()
	own := harness.Settings{"node.id": name(i)}
	for path, value := range s.common {
		own[path] = value
	}
	services := []string{harness.Storage}
	if i == s.gateway {
		services = append(services, harness.Gateway)
	}
	s.all[i] = harness.Launch(s.t, s.data[i], own, nil, services...)
}

// write stores some records through a node, at once, and remembers them.
func (s *stores) write(i int, batch, rows int) {
	s.t.Helper()
	var body bytes.Buffer
	ids := make([]string, rows)
	for n := range rows {
		ids[n] = fmt.Sprintf("%d-%d", batch, n)
		sep := ','
		if n == 0 {
			sep = '['
		}
		fmt.Fprintf(&body, `%c{"timestamp":%d,"symbol":"BTC-USDT","exchange":"lab","price":"%d.%02d","amount":"1","side":"buy","trade_id":%q}`,
			sep, 1_700_000_000_000_000_000+int64(batch*rows+n)*1_000_003, 60_000+batch*7919%977, n*7919%97, ids[n])
	}
	body.WriteByte(']')
	harness.Await(s.t, time.Minute, "a write to be acknowledged", func() bool {
		a, err := harness.Post(s.t.Context(), s.all[i].URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body.Bytes())
		if err != nil || a.Status != http.StatusOK {
			return false
		}
		s.last = a.Header.Get("X-Journal-Position")
		return true
	})
	for _, id := range ids {
		s.acked[id] = true
	}
}

// read asks a node for everything, once it has a position of the journal.
func (s *stores) read(ctx context.Context, i int, position string) (*harness.Answer, error) {
	url := s.all[i].URL(harness.Storage, "/api/v1/storage/query/trade/lab/BTC-USDT?format=ndjson")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if position != "" {
		req.Header.Set("X-Journal-Position", position)
	}
	return harness.Do(ctx, req)
}

// complete checks that a node has each acknowledged record, once: at its first answer,
// where position is that of the newest, else in the end.
func (s *stores) complete(i int, position string) {
	s.t.Helper()
	var wrong string
	look := func() bool {
		a, err := s.read(s.t.Context(), i, position)
		if err != nil || a.Status != http.StatusOK {
			wrong = fmt.Sprint(err)
			if a != nil {
				wrong = fmt.Sprintf("%d %s", a.Status, a.Body)
			}
			return false
		}
		had := map[string]int{}
		records, err := harness.ParseRecords(string(a.Body))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, one := range records {
			had[one.Name()]++
		}
		missing := 0
		for id := range s.acked {
			if had[id] == 0 {
				missing++
			}
			if had[id] > 1 {
				s.t.Fatalf("%s has %s %d times", name(i), id, had[id])
			}
		}
		wrong = fmt.Sprintf("%d of %d are missing, of %d read; incomplete: %q; %.300s", missing, len(s.acked), len(records), a.Header.Get("X-Incomplete"), a.Body)
		if missing > 0 && position != "" { // it has said that it has that position
			s.t.Fatalf("%s: %s, with the position %s", name(i), wrong, position)
		}
		return missing == 0
	}
	if !harness.Eventually(s.t, time.Minute, look) {
		s.t.Fatalf("%s: %s", name(i), wrong)
	}
}

// shards are how the shards of a node's store are.
func (s *stores) shards(i int) []shardState {
	var status struct {
		Data struct {
			Shards []shardState `json:"shards"`
		} `json:"data"`
	}
	a, err := harness.Get(s.t.Context(), s.all[i].URL(harness.Storage, "/api/v1/storage/status"))
	if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &status) != nil {
		return nil
	}
	return status.Data.Shards
}

type shardState struct {
	State   string `json:"state"`
	Applied uint64 `json:"applied"`
	Journal struct {
		First uint64 `json:"first"`
	} `json:"journal"`
}

// broker starts the process that is the broker, and makes it that of the stores.
func (s *stores) broker() *harness.Node {
	s.t.Helper()
	port := freePort(s.t)
	own := harness.Settings{"node.id": "node-broker", harness.Broker + ".nats.port": port}
	for path, value := range s.common {
		own[path] = value
	}
	n := harness.Start(s.t, s.t.TempDir(), own, harness.Broker)
	s.common[harness.Broker+".nats.mode"], s.common[harness.Broker+".nats.url"] = "external", fmt.Sprintf("nats://127.0.0.1:%d", port)
	return n
}

// reads is how many questions about records a node has answered.
func (s *stores) reads(i int) int {
	s.t.Helper()
	var stats struct {
		Data struct {
			Operations struct {
				Reads int `json:"total_reads"`
			} `json:"operations"`
		} `json:"data"`
	}
	harness.GetJSON(s.t, s.all[i].URL(harness.Storage, "/api/v1/storage/stats"), &stats)
	return stats.Data.Operations.Reads
}

// throughGateway writes and reads through the gateway, which asks now this node and now
// that: with the position that a write was answered with a read has it, at whichever node.
func (s *stores) throughGateway() {
	s.t.Helper()
	at := s.all[s.gateway].URL(harness.Gateway, "/api/v1/storage/")
	var before []int
	for i := range s.all {
		before = append(before, s.reads(i))
	}
	for n := range 24 {
		id := fmt.Sprint("gateway-", n)
		body := fmt.Appendf(nil, `{"timestamp":%d,"symbol":"BTC-USDT","exchange":"lab","price":"1","amount":"1","side":"buy","trade_id":%q}`, 1_800_000_000_000_000_000+n, id)
		var position string
		harness.Await(s.t, time.Minute, "a write through the gateway", func() bool {
			a, err := harness.Post(s.t.Context(), at+"hot/trades", "application/json", body)
			if err != nil || a.Status != http.StatusOK {
				return false
			}
			position = a.Header.Get("X-Journal-Position")
			return true
		})
		s.acked[id], s.last = true, position
		var a *harness.Answer
		harness.Await(s.t, time.Minute, "a read through the gateway", func() bool {
			req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, at+"query/trade/lab/BTC-USDT?format=ndjson&order=desc&limit=1", nil)
			if err != nil {
				s.t.Fatal(err)
			}
			req.Header.Set("X-Journal-Position", position)
			a, err = harness.Do(s.t.Context(), req)
			return err == nil && a.Status == http.StatusOK // a node that is far behind says so
		})
		if !strings.Contains(string(a.Body), strconv.Quote(id)) || !reflects(a.Header.Get("X-Journal-Position"), position) {
			s.t.Errorf("with the position %s the answer, which reflects %q, is %s", position, a.Header.Get("X-Journal-Position"), a.Body)
		}
	}
	asked := 0
	for i := range s.all {
		if s.reads(i) > before[i] {
			asked++
		}
	}
	if asked < 2 {
		s.t.Errorf("the gateway has asked %d nodes, want several", asked)
	}
}

// reflects says whether an answer of a journal of one shard reflects a position.
func reflects(answer, position string) bool {
	has, err := strconv.Atoi(strings.TrimPrefix(answer, "0:"))
	want, bad := strconv.Atoi(strings.TrimPrefix(position, "0:"))
	return err == nil && bad == nil && has >= want
}

// TestMultiNodeCopies: a node with a store is killed, and is away while the journal, which
// is small, is purged; it comes back, is killed while it copies what it lacks from a peer,
// comes back again, and has everything, each record once. So does a node that is new.
// Through a gateway, whoever writes reads that, whichever node answers.
func TestMultiNodeCopies(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	s := newStores(t, 3, harness.Settings{
		"cluster.provider": "consul", "cluster.consul.address": consul.HTTP,
		harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password",
		harness.Storage + ".embedded.publish_interval": "1s", harness.Storage + ".journal.max_bytes": "64MiB",
		harness.Storage + ".journal.register_interval": "100ms", harness.Storage + ".journal.purge_interval": "1s",
		harness.Storage + ".actors.retire_after": "1s",
	})
	s.broker()
	s.gateway = 2
	for i := range 2 {
		s.launch(i)
	}
	for i := range 2 {
		s.all[i].AwaitReady()
	}
	const rows = 200
	batch := 0
	for ; batch < 5; batch++ {
		s.write(0, batch, rows)
	}
	s.complete(1, s.last) // what one node was given, the other has
	s.all[1].Kill()
	for ; batch < 10; batch++ {
		s.write(0, batch, rows)
	}
	s.retire("embedded-" + name(1))
	harness.Await(t, time.Minute, "the journal to be purged", func() bool {
		s.write(0, batch, rows)
		batch++
		shards := s.shards(0)
		return len(shards) == 1 && shards[0].Journal.First > 10
	})
	s.launch(1)
	harness.Await(t, time.Minute, "the node to look for what it lacks", func() bool {
		return strings.Contains(s.all[1].Log(), "parts are copied from another node")
	})
	s.all[1].Kill()
	killed := s.all[1].Log() // it may have been done by then
	s.launch(1)
	s.launch(2) // with an empty disk
	for i := 1; i < 3; i++ {
		s.all[i].AwaitReady()
		s.complete(i, "")
		said := s.all[i].Log()
		if i == 1 {
			said += killed
		}
		if !strings.Contains(said, "parts were copied from another node") {
			t.Errorf("%s has not copied anything", name(i))
		}
	}
	s.write(1, batch, rows)
	s.throughGateway()
	for i := range 3 {
		s.complete(i, s.last)
		harness.Await(t, time.Minute, name(i)+" to have no complaint", func() bool { return s.all[i].Health(harness.Storage).Complaint() == "" })
	}
	for i, n := range s.all {
		n.Stop()
		if why := n.Crashed(); why != "" {
			t.Errorf("%s: %s", name(i), why)
		}
	}
}

// retire takes a reader out of the journal's, as soon as that is allowed.
func (s *stores) retire(reader string) {
	s.t.Helper()
	var said string
	if !harness.Eventually(s.t, time.Minute, func() bool {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodDelete, s.all[0].URL(harness.Storage, "/api/v1/storage/journal/readers/"+reader), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		a, err := harness.Do(s.t.Context(), req)
		if err != nil {
			return false
		}
		said = fmt.Sprintf("%d %s", a.Status, a.Body)
		return a.Status == http.StatusOK
	}) {
		s.t.Fatalf("retiring %s: %s", reader, said)
	}
}
