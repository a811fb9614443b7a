package monitoring_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/monitoring"
)

// worker does nothing, until it is told to panic.
type worker struct{}

type explode struct{}

func (worker) Receive(c *supervise.Context) {
	if _, ok := c.Message().(explode); ok {
		panic("told to")
	}
}

// serve starts a tree with a branch of two workers beside the one that watches, and
// the façade over it, which watches itself.
func serve(t *testing.T) (*chassis.Server, *supervise.System) {
	t.Helper()
	return serveWith(t, []string{monitoring.Service}, nil)
}

func serveWith(t *testing.T, watched []string, change func(*monitoring.Options, *supervise.System)) (*chassis.Server, *supervise.System) {
	t.Helper()
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	spec := func(name string) supervise.Spec {
		return supervise.Spec{Name: name, Kind: "worker", New: func() supervise.Actor { return worker{} }}
	}
	var server *chassis.Server
	begin := make(chan struct{})
	o := branch.Options{
		Config: branch.DefaultConfig(), Self: monitoring.Service, Services: watched, DataDir: t.TempDir(), Begin: begin,
		Instances: func(_ context.Context, service string) ([]string, error) {
			if service != monitoring.Service {
				return nil, nil
			}
			return []string{server.URL()}, nil
		},
	}
	o.Config.Health.Interval = time.Hour // tests ask for theirs
	h, err := branch.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Start(ctx, supervise.Branch("shop", supervise.DefaultStrategy(), spec("a"), spec("b")), h.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(ctx); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	server = chassistest.Serve(t, monitoring.Service, func(s *chassis.Server) error {
		o := monitoring.Options{Tree: sys.Tree(), Branch: h, Beat: 20 * time.Millisecond}
		if change != nil {
			change(&o, sys)
		}
		return monitoring.Register(s, o)
	})
	close(begin)
	return server, sys
}

func get(t *testing.T, s *chassis.Server, path string, want int, into any) string {
	t.Helper()
	a := chassistest.Call(t, s, http.MethodGet, path, "", "")
	if a.Status != want {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(a.Body), into); err != nil {
			t.Fatalf("%s: %s: %v", path, a.Body, err)
		}
	}
	return a.Body
}

func TestTree(t *testing.T) {
	s, sys := serve(t)
	var tree supervise.Snapshot
	get(t, s, "/api/v1/actors/tree", 200, &tree)
	var ids []string
	for _, a := range tree.Actors {
		ids = append(ids, a.ID)
	}
	a, ok := sys.Lookup("root/shop/a")
	if !ok || !tree.Ready || strings.Join(ids, " ") != "root root/shop root/shop/a root/shop/b root/monitoring root/monitoring/checker root/monitoring/sampler" {
		t.Fatalf("ready %v, actors %v", tree.Ready, ids)
	}
	var node supervise.Node
	get(t, s, "/api/v1/actors/root%2Fshop%2Fa", 200, &node)
	if node.ID != a.Id || node.Kind != "worker" {
		t.Errorf("the actor is %+v", node)
	}
	if body := get(t, s, "/api/v1/actors/root%2Fshop%2Fz", 404, nil); !strings.Contains(body, "not_found") {
		t.Error(body)
	}
	if body := get(t, s, "/api/v1/actors/search?q=SHOP+worker&limit=1", 200, nil); !strings.Contains(body, `{"actors":[{"id":"root/shop/a","kind":"worker","state":"running"}],"count":2}`) {
		t.Error(body)
	}
	if body := get(t, s, "/health", 200, nil); !strings.Contains(body, `"status":"pass"`) {
		t.Error(body)
	}
}

type history struct {
	Events []supervise.Event
	Count  int
	Last   uint64 `json:"last_seq"`
}

func TestHistory(t *testing.T) {
	s, _ := serve(t)
	var all, rest, none history
	get(t, s, "/api/v1/actors/events", 200, &all)
	if all.Count == 0 || all.Count != len(all.Events) || all.Last != all.Events[all.Count-1].Seq {
		t.Fatalf("history is %+v", all)
	}
	get(t, s, "/api/v1/actors/events?limit=2&after=1", 200, &rest)
	if rest.Count != 2 || rest.Events[0].Seq != 2 || rest.Last != 3 {
		t.Errorf("after 1: %+v", rest)
	}
	body := get(t, s, "/api/v1/actors/events?after="+strconv.FormatUint(all.Last, 10), 200, &none)
	if none.Last != all.Last || !strings.Contains(body, `"events":[]`) {
		t.Errorf("after the last: %s", body)
	}
	get(t, s, "/api/v1/actors/events?after=x", 422, nil)
	var shop, ready history
	get(t, s, "/api/v1/actors/events?actor=root/shop", 200, &shop)
	get(t, s, "/api/v1/actors/events?actor=root%2Fshop&event=ready,failed", 200, &ready)
	if shop.Count != 6 || ready.Count != 3 || ready.Last != all.Last { // started and ready, each
		t.Errorf("of the shop: %d events, %d of them ready, last %d", shop.Count, ready.Count, ready.Last)
	}
	for _, e := range slices.Concat(shop.Events, ready.Events) {
		if e.ID != "root/shop" && !strings.HasPrefix(e.ID, "root/shop/") {
			t.Errorf("of the shop: %+v", e)
		}
	}
	get(t, s, "/api/v1/actors/events?event=odd", 422, nil)
}

// followed reads server-sent events.
type followed struct {
	lines *bufio.Scanner
	beats int
}

func follow(t *testing.T, s *chassis.Server, query string, header map[string]string) *followed {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/api/v1/actors/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != chassis.MediaEvents {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return &followed{lines: bufio.NewScanner(resp.Body)}
}

// next is the next event; its id must be its sequence number.
func (f *followed) next(t *testing.T) supervise.Event {
	t.Helper()
	var id string
	for f.lines.Scan() {
		line := f.lines.Text()
		switch {
		case strings.HasPrefix(line, ":"):
			f.beats++
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "data: "):
			var e supervise.Event
			if err := json.Unmarshal([]byte(line[6:]), &e); err != nil {
				t.Fatal(err)
			}
			if id != strconv.FormatUint(e.Seq, 10) {
				t.Fatalf("event %d has id %s", e.Seq, id)
			}
			return e
		}
	}
	t.Fatalf("the stream ended: %v", f.lines.Err())
	return supervise.Event{}
}

// A kill is seen live: failed, backoff, restarted; and a follower that comes back
// misses nothing.
func TestFollow(t *testing.T) {
	s, sys := serve(t)
	live := follow(t, s, "?follow=true", nil)
	back := follow(t, s, "", map[string]string{"Accept": "text/event-stream", "Last-Event-ID": "2"})
	if e := back.next(t); e.Seq != 3 {
		t.Errorf("a follower that had 2 gets %d", e.Seq)
	}
	pid, ok := sys.Lookup("root/shop/b")
	if !ok {
		t.Fatal("no actor b")
	}
	if err := sys.Tell(pid, explode{}); err != nil {
		t.Fatal(err)
	}
	kinds := map[supervise.EventKind]bool{}
	last := uint64(0)
	for !kinds[supervise.EventRestarted] {
		e := live.next(t)
		if last != 0 && e.Seq != last+1 {
			t.Errorf("event %d follows %d", e.Seq, last)
		}
		last = e.Seq
		if e.ID == "root/shop/b" {
			kinds[e.Kind] = true
		}
		if e.Kind == supervise.EventFailed && (e.Failure == nil || e.Failure.Reason == "" || e.Failure.Stack == "") {
			t.Errorf("the failure is %+v", e.Failure)
		}
	}
	if !kinds[supervise.EventFailed] || !kinds[supervise.EventBackoff] {
		t.Errorf("seen: %v", kinds)
	}
	for seq := uint64(4); seq <= last; seq++ {
		if e := back.next(t); e.Seq != seq {
			t.Fatalf("the follower that came back gets %d, want %d", e.Seq, seq)
		}
	}
}

// Draining ends a follower at once.
func TestFollowEndsWithTheServer(t *testing.T) {
	s, _ := serve(t)
	f := follow(t, s, "?follow=true", nil)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for f.lines.Scan() {
	}
}

func TestHostile(t *testing.T) {
	s, _ := serve(t)
	endpoints := chassistest.Described(t, s.URL())
	for i := range endpoints {
		if strings.HasSuffix(endpoints[i].Path, "actors/events") {
			endpoints[i].Query = []string{"after", "limit"} // follow=true never ends
		}
	}
	chassistest.Run(t, s.URL(), endpoints)
}
