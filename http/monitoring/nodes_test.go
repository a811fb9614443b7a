package monitoring_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/monitoring"
)

// neighbours are three nodes, of which one does not answer.
type neighbours struct{ done []string }

func (*neighbours) Self() string    { return "a" }
func (*neighbours) Names() []string { return []string{"a", "b", "c"} }

func (*neighbours) reach(node string) error {
	if node == "c" {
		return chassis.NewError(http.StatusBadGateway, "node_unreachable", "c: the node cannot be reached")
	}
	return nil
}

func (n *neighbours) Describe(_ context.Context, node string) (monitoring.About, error) {
	return monitoring.About{Version: "of " + node}, n.reach(node)
}

func (n *neighbours) Tree(_ context.Context, node string) ([]byte, error) {
	return []byte(`{"actors":[{"id":"root/of/` + node + `"}]}`), n.reach(node)
}

func (n *neighbours) Actor(_ context.Context, node, id string) ([]byte, error) {
	return []byte(`{"id":"` + id + `"}`), n.reach(node)
}

func (n *neighbours) Operate(_ context.Context, node, action, id, _, why string) error {
	n.done = append(n.done, strings.Join([]string{node, action, id, why}, " "))
	return n.reach(node)
}

func (*neighbours) Standing(_ context.Context, stream string) (monitoring.StreamStanding, error) {
	if stream != "x/spot/A" {
		return monitoring.StreamStanding{}, chassis.NotFound("no node owns %s", stream)
	}
	return monitoring.StreamStanding{Stream: stream, Owner: "b", State: "live", Sequence: 7}, nil
}

func (n *neighbours) Resync(_ context.Context, stream, _ string) (string, error) {
	n.done = append(n.done, "resync "+stream)
	return "b", nil
}

func TestNodes(t *testing.T) {
	log, others := &noted{}, &neighbours{}
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, system *supervise.System) {
		o.Nodes, o.Owners = others, others
		o.Operations = monitoring.Operations{Allowed: true, Supervisor: system, Audit: log}
	})
	for path, want := range map[string]string{
		"actors/tree?node=b":                        `200 "root/of/b"`,
		"actors/tree?node=a":                        `200 "root/shop"`,
		"actors/tree?node=c":                        `502 "node_unreachable"`,
		"actors/tree?node=d":                        `404 "no_such_node"`,
		"actors/root%2Fx?node=b":                    `200 "root/x"`,
		"actors/nodes":                              `200 "version":"of b"`,
		"actors/nodes?tree=true":                    `200 "error":"c: the node cannot be reached"`,
		"cluster/streams/x%2Fspot%2FA":              `200 "owner":"b"`,
		"cluster/streams/x%2Fspot%2FB":              `404 no node owns`,
		"POST actors/root%2Fx/restart?node=b":       `200 "node":"b"`,
		"POST actors/root%2Fx/stop?node=c":          `502 "node_unreachable"`,
		"POST actors/root%2Fx/stop?node=d":          `404 "no_such_node"`,
		"POST cluster/streams/x%2Fspot%2FA/resync":  `200 "owner":"b"`,
		"POST actors/root%2Fshop%2Fa/restart?node=": `200 "success":true`,
	} {
		method, rest := http.MethodGet, path
		if after, post := strings.CutPrefix(path, "POST "); post {
			method, rest = http.MethodPost, after
		}
		status, part, _ := strings.Cut(want, " ")
		a := chassistest.Call(t, s, method, "/api/v1/"+rest, "", "")
		if got := strconv.Itoa(a.Status); got != status || !strings.Contains(a.Body, part) {
			t.Errorf("%s: %s %.300s, want %s", path, got, a.Body, want)
		}
	}
	slices.Sort(others.done)
	if got := strings.Join(others.done, "; "); got != "b restart root/x ; c stop root/x ; resync x/spot/A" {
		t.Errorf("done: %s", got)
	}
	var targets []string
	for _, e := range log.entries {
		targets = append(targets, e.Action+" "+e.Target+" "+e.Outcome)
	}
	slices.Sort(targets)
	if got := strings.Join(targets, "; "); got != "actor.restart b/root/x done; actor.restart root/shop/a done; actor.stop c/root/x failed; stream.resync x/spot/A done" {
		t.Errorf("audited: %s", got)
	}
}

func TestOneNode(t *testing.T) {
	s, _ := serveWith(t, []string{monitoring.Service}, nil)
	if a := chassistest.Call(t, s, http.MethodGet, "/api/v1/actors/nodes?tree=true", "", ""); a.Status != 200 || !strings.Contains(a.Body, `"self":true`) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	if a := chassistest.Call(t, s, http.MethodGet, "/api/v1/cluster/streams/x", "", ""); a.Status != 409 {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}
