package consul

import (
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestVitalsUntilTheLast: who is dead stays so until no list has anything of the process,
// whichever heartbeat runs out last; and a new process of the name is not dead.
func TestVitalsUntilTheLast(t *testing.T) {
	of := func(process, service string) peer {
		return peer{Member{ID: service + "@x", Service: service, Node: "x", Meta: map[string]string{processMeta: process, lastingMeta: "true"}}, true}
	}
	n := &Node{directories: map[string]*directory{}, vital: "node"}
	for _, service := range []string{"node", "storage"} {
		n.directories[service] = newDirectory(n, service)
	}
	v := newVitals(n)
	n.vitals = v
	v.dead, v.since["x"] = map[string]string{"x": "old"}, time.Now()
	node, storage := n.directories["node"], n.directories["storage"]
	storage.peers = []peer{of("old", "storage")}

	v.round(t.Context(), zap.NewNop())
	if got := v.alive([]Member{of("old", "storage").Member}); len(got) != 0 || !v.died("x") {
		t.Errorf("its heartbeats run out one after the other: %v, dead %t", got, v.died("x"))
	}
	node.peers = []peer{{of("new", "node").Member, false}}
	if v.died("x") {
		t.Error("its name is that of a new process, and it is dead")
	}
	if got := v.alive([]Member{of("new", "node").Member}); len(got) != 1 {
		t.Errorf("the new one is not there: %v", got)
	}
	_, later := v.now()
	storage.peers = nil
	node.peers = nil
	v.round(t.Context(), zap.NewNop())
	if dead, _ := v.now(); len(dead) > 0 || later.Err() == nil {
		t.Errorf("nothing is listed of it, and %v are dead", dead)
	}
}
