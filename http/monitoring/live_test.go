package monitoring_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/monitoring"
)

// sent is one event of the live page.
type sent struct {
	name string
	data struct {
		Seq    uint64
		Topics map[string]map[string]json.RawMessage
		Set    map[string]map[string]json.RawMessage
		Del    map[string][]string
		Errors map[string]string
	}
}

func nextEvent(t *testing.T, lines *bufio.Scanner) (e sent) {
	t.Helper()
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			e.name = name
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(data), &e.data); err != nil {
				t.Fatal(err)
			}
			return e
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return e
}

// openLive opens a page.
func openLive(t *testing.T, s *chassis.Server, topics string) *bufio.Scanner {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/api/v1/ui/live?topics="+topics, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return lines
}

// TestLive: a snapshot, what changes and nothing else, and a beat while nothing does.
func TestLive(t *testing.T) {
	var answer atomic.Pointer[string]
	say := func(text string) { answer.Store(&text) }
	say(`{"a":1,"b":{"c":2},"timestamp":"x"}`)
	var sys *supervise.System
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, system *supervise.System) {
		sys = system
		o.Fetch = func(_ context.Context, service, path string) (json.RawMessage, error) {
			if service != "data-storage-service" {
				return nil, errors.New("it is away")
			}
			return json.RawMessage(*answer.Load()), nil
		}
	})
	open := func(topics string) *bufio.Scanner { return openLive(t, s, topics) }
	fetched, away, actors := open("storage"), open("broker,services"), open("actors")

	first := nextEvent(t, fetched)
	if v := first.data.Topics["storage"]; first.name != "snapshot" || first.data.Seq != 1 || len(v) != 2 || string(v["b"]) != `{"c":2}` {
		t.Errorf("first: %+v", first)
	}
	if e := nextEvent(t, fetched); e.name != "beat" || e.data.Seq != 2 {
		t.Errorf("nothing new: %+v", e)
	}
	say(`{"b":{"c":3},"d":4}`)
	changed := nextEvent(t, fetched)
	for changed.name == "beat" {
		changed = nextEvent(t, fetched)
	}
	if set, del := changed.data.Set["storage"], changed.data.Del["storage"]; len(set) != 2 || string(set["b"]) != `{"c":3}` || len(del) != 1 || del[0] != "a" {
		t.Errorf("what changed: %+v", changed)
	}

	e := nextEvent(t, away)
	if e.data.Errors["broker"] != "it is away" || len(e.data.Topics["broker"]) != 0 || len(e.data.Topics["services"]) != 1 {
		t.Errorf("one that is away: %+v", e)
	}

	if e := nextEvent(t, actors); len(e.data.Topics["actors"]) != 7 {
		t.Errorf("actors: %+v", e)
	}
	if err := sys.StopChild(t.Context(), "root/shop", "b"); err != nil {
		t.Fatal(err)
	}
	for {
		if e := nextEvent(t, actors); len(e.data.Del["actors"]) == 1 && e.data.Del["actors"][0] == "root/shop/b" {
			break
		}
	}
	get(t, s, "/api/v1/ui/live?topics=nonsense", 422, nil)
}

// TestLiveEvents: what happens to an actor is told within a frame, without its stack.
func TestLiveEvents(t *testing.T) {
	s, sys := serve(t)
	lines := openLive(t, s, "events")
	first := nextEvent(t, lines)
	if len(first.data.Topics["events"]) == 0 {
		t.Fatalf("no history: %+v", first)
	}
	pid, _ := sys.Lookup("root/shop/a")
	if err := sys.Tell(pid, explode{}); err != nil {
		t.Fatal(err)
	}
	seen := map[supervise.EventKind]bool{}
	last := ""
	for !seen[supervise.EventFailed] || !seen[supervise.EventRestarted] {
		set := nextEvent(t, lines).data.Set["events"]
		for _, key := range slices.Sorted(maps.Keys(set)) {
			var e supervise.Event
			if err := json.Unmarshal(set[key], &e); err != nil {
				t.Fatal(err)
			}
			if key <= last || e.ID != "root/shop/a" || e.Failure != nil && (e.Failure.Stack != "" || e.Failure.Reason != "told to") {
				t.Errorf("%s after %s: %+v", key, last, e)
			}
			last, seen[e.Kind] = key, true
		}
	}
	node, _ := sys.Tree().Node("root/shop/a")
	if node.LastFailure == nil || node.LastFailure.Stack == "" {
		t.Error("the stack is gone from the tree, too")
	}
}

// TestLiveRows: entries of lists have keys of their own, envelopes are taken off, and
// one that fails keeps what it said.
func TestLiveRows(t *testing.T) {
	var away atomic.Bool
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, _ *supervise.System) {
		o.Fetch = func(_ context.Context, _, path string) (json.RawMessage, error) {
			if away.Load() {
				return nil, errors.New("it is away")
			}
			return map[string]json.RawMessage{
				"/api/v1/quality":                json.RawMessage(`{"streams":[{"exchange":"okx","market":"spot","symbol":"BTC-USDT","live":true}],"timestamp":"x"}`),
				"/api/v1/quality?channels=false": json.RawMessage(`{"streams":[{"exchange":"okx","market":"spot","symbol":"BTC-USDT","sum":{}}],"count":1}`),
				"/api/v1/scheduler/tasks":        json.RawMessage(`{"status":"success","data":[{"task_id":"t1","name":"a"},{"name":"no id"}]}`),
				"/api/v1/scheduler/status":       json.RawMessage(`{"status":"success","data":{"total_tasks":3,"timestamp":"x"}}`),
				"/api/v1/orderbook/health":       json.RawMessage(`{"books":15,"not_live":[]}`),
				"/api/v1/storage/status":         json.RawMessage(`{"status":"success","data":{"shards":[{"shard":0,"state":"reading"}]}}`),
				"/api/v1/status":                 json.RawMessage(`{"jetstream_streams":[]}`),
				"/api/v1/exchanges":              json.RawMessage(`[1]`),
				"/api/v1/gateway/stats":          json.RawMessage(`{}`),
				"/api/v1/nobody/asks/this/":      nil,
			}[path], nil
		}
	})
	lines := openLive(t, s, "quality,streams,tasks,scheduler,books,storage,exchanges,broker")
	first := nextEvent(t, lines)
	for topic, want := range map[string]string{
		"quality": "streams/okx/spot/BTC-USDT", "streams": "count streams/okx/spot/BTC-USDT", "tasks": "data status", "scheduler": "total_tasks", "books": "books not_live", "storage": "shards/0",
		"exchanges": "", "broker": "",
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(first.data.Topics[topic])), " "); got != want {
			t.Errorf("%s: %q, want %q", topic, got, want)
		}
	}
	if first.data.Errors["exchanges"] == "" || len(first.data.Errors) != 1 {
		t.Errorf("errors: %v", first.data.Errors)
	}
	away.Store(true)
	e := nextEvent(t, lines)
	for e.data.Errors["scheduler"] == "" {
		e = nextEvent(t, lines)
	}
	if len(e.data.Del) != 0 {
		t.Errorf("one that is away took along what it had said: %+v", e.data.Del)
	}
}

func TestSettings(t *testing.T) {
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, _ *supervise.System) {
		o.Settings = func() monitoring.InForce {
			return monitoring.InForce{Reload: &monitoring.Reload{Why: "SIGHUP"}, Settings: []monitoring.Setting{
				{Path: "log.level", Value: "info", Source: "default", Origin: "default"},
				{Path: "node.listen", Value: "127.0.0.1", Source: "file", Origin: "services.yaml:3:11"},
				{Path: "node.users[0].name", Value: "a", Source: "flag", Origin: "flag --x"},
			}}
		}
	})
	for query, want := range map[string]int{"": 3, "?changed=true": 2, "?path=node": 2, "?path=node.users": 1, "?path=nod": 0, "?path=log&changed=true": 0} {
		var a struct {
			Settings []monitoring.Setting
			Count    int
			Reload   *monitoring.Reload
		}
		get(t, s, "/api/v1/config"+query, 200, &a)
		if a.Count != want || len(a.Settings) != want || a.Reload == nil || a.Reload.Why != "SIGHUP" {
			t.Errorf("%q: %+v, want %d", query, a, want)
		}
	}
}

// entries is an audit log of five.
type entries struct{}

func (entries) Recent(_ context.Context, f audit.Filter) (found []audit.Entry, next uint64, err error) {
	if f.Target == "away" {
		return nil, 0, errors.New("no broker")
	}
	for seq := uint64(5); seq > 0; seq-- {
		if f.Before > 0 && seq >= f.Before {
			continue
		}
		if len(found) == f.Limit {
			return found, found[len(found)-1].Sequence, nil
		}
		found = append(found, audit.Entry{Sequence: seq, Action: "actor.stop"})
	}
	return found, 0, nil
}

func TestAudit(t *testing.T) {
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, _ *supervise.System) { o.AuditLog = entries{} })
	cursor, seen := "", 0
	for {
		var a struct {
			Entries []audit.Entry
			Next    string `json:"next_cursor"`
		}
		get(t, s, "/api/v1/audit?limit=2&cursor="+cursor, 200, &a)
		for _, e := range a.Entries {
			if seen++; e.Sequence != uint64(6-seen) {
				t.Errorf("entry %d has number %d", seen, e.Sequence)
			}
		}
		if cursor = a.Next; cursor == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("%d entries on all pages", seen)
	}
	get(t, s, "/api/v1/audit?outcome=odd", 422, nil)
	get(t, s, "/api/v1/audit?target=away", 503, nil)
}
