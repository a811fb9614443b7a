package monitoring_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/monitoring"
)

// noted keeps what was audited.
type noted struct {
	mu      sync.Mutex
	entries []audit.Entry
}

func (n *noted) Record(_ context.Context, e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries = append(n.entries, e)
}

// paused notes which streams were paused.
type paused struct{ done []string }

func (*paused) Owns(id string) bool { return strings.HasPrefix(id, "root/collector/x-spot/") }
func (p *paused) Pause(_ context.Context, id string) error {
	if strings.HasSuffix(id, "BAD") {
		return errors.New("it would not")
	}
	p.done = append(p.done, "pause "+id)
	return nil
}

func (p *paused) Resume(_ context.Context, id string) error {
	p.done = append(p.done, "resume "+id)
	return nil
}

func TestOperations(t *testing.T) {
	log, streams := &noted{}, &paused{}
	var sys *supervise.System
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, system *supervise.System) {
		sys = system
		o.Operations = monitoring.Operations{Allowed: true, Supervisor: system, Streams: streams, Audit: log}
	})
	post := func(path, body string) chassistest.Answer {
		media := ""
		if body != "" {
			media = "application/json"
		}
		return chassistest.Call(t, s, http.MethodPost, "/api/v1/actors/"+path, media, body)
	}
	before, _ := sys.Tree().Node("root/shop/a")
	if a := post("root%2Fshop%2Fa/restart", `{"reason":"it hangs"}`); a.Status != 200 || !strings.Contains(a.Body, `"success":true`) {
		t.Fatalf("restart: %d %s", a.Status, a.Body)
	}
	after, _ := sys.Tree().Node("root/shop/a")
	shop, _ := sys.Tree().Node("root/shop")
	if after.Incarnation != before.Incarnation+1 || after.State != supervise.Running || shop.Budget.Left != shop.Budget.Restarts {
		t.Errorf("after the restart: incarnation %d, %s, budget %+v", after.Incarnation, after.State, shop.Budget)
	}
	happens, done := sys.Tree().Subscribe(64)
	defer done()
	if a := post("root%2Fshop%2Fb/kill", `{"reason":"a rehearsal"}`); a.Status != 200 {
		t.Errorf("kill: %d %s", a.Status, a.Body)
	}
	for e := range happens { // until its supervisor has started it again
		if e.ID == "root/shop/b" && e.Kind == supervise.EventReady {
			break
		}
	}
	if b, _ := sys.Tree().Node("root/shop/b"); b.Failures != 1 || b.LastFailure.Reason != "killed by hand: a rehearsal" {
		t.Errorf("after the kill: %+v", b)
	}
	if a := post("root%2Fshop%2Fb/stop", ""); a.Status != 200 {
		t.Errorf("stop: %d %s", a.Status, a.Body)
	}
	if _, there := sys.Lookup("root/shop/b"); there {
		t.Error("a stopped actor is still there")
	}
	for path, want := range map[string]int{
		"root%2Fshop%2Fb/restart": 404, "root%2Fshop%2Fz/stop": 404, "nobody/restart": 404, "root/restart": 409, "root/stop": 409, "root/kill": 409, "root%2Fshop%2Fz/kill": 404,
		"root%2Fshop/stop": 409, "root%2Fshop/restart": 200, "root%2Fshop%2Fa%2Fx/restart": 404, "root%2Fshop%2Fa/pause": 409,
		"root%2Fcollector%2Fx-spot%2FBTC/pause": 200, "root%2Fcollector%2Fx-spot%2FBTC/resume": 200,
		"root%2Fcollector%2Fx-spot%2FBAD/pause": 500,
	} {
		if a := post(path, ""); a.Status != want {
			t.Errorf("%s: %d %s, want %d", path, a.Status, a.Body, want)
		}
	}
	if a := post("root%2Fshop%2Fa/restart", `{"reason":`); a.Status != 400 {
		t.Errorf("half a body: %d", a.Status)
	}
	if len(streams.done) != 2 {
		t.Errorf("streams: %q", streams.done)
	}
	first := log.entries[0]
	if len(log.entries) != 17 || first.Action != "actor.restart" || first.Target != "root/shop/a" || first.Outcome != audit.Done ||
		first.Detail != "it hangs" || first.Principal == "" || first.RequestID == "" || first.Address == "" {
		t.Errorf("%d audited, the first %+v", len(log.entries), first)
	}
	failed := 0
	for _, e := range log.entries {
		if e.Outcome == audit.Failed && e.Detail != "" {
			failed++
		}
	}
	if failed != 11 {
		t.Errorf("%d audited as failed", failed)
	}
}

// TestOperationsAreOff: unless they are allowed, and then the attempt is audited.
func TestOperationsAreOff(t *testing.T) {
	log := &noted{}
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, sys *supervise.System) {
		o.Operations = monitoring.Operations{Supervisor: sys, Audit: log}
	})
	for _, op := range []string{"restart", "stop", "kill", "pause", "resume"} {
		a := chassistest.Call(t, s, http.MethodPost, "/api/v1/actors/root%2Fshop%2Fa/"+op, "", "")
		if a.Status != 403 || !strings.Contains(a.Body, "allow_operations") {
			t.Errorf("%s: %d %s", op, a.Status, a.Body)
		}
	}
	if len(log.entries) != 5 || log.entries[0].Outcome != audit.Refused {
		t.Errorf("audited: %+v", log.entries)
	}
}
