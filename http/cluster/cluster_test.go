package cluster_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/cluster"
)

// two is a cluster of two nodes.
type two struct {
	err     error
	drained []string
	entries []audit.Entry
	until   time.Time
}

func (s *two) View(context.Context) cluster.View {
	return cluster.View{
		Provider: "consul", Self: "a", Nodes: []cluster.Node{{ID: "a", State: cluster.Up}, {ID: "b", State: cluster.Draining}},
		Placement: cluster.Placement{Revision: 7, Streams: 1, Owners: []cluster.Owner{{Stream: "binance/spot/BTC-USDT", Node: "a", State: "settled"}}},
	}
}

func (s *two) order(what, node string) error {
	switch {
	case s.err != nil:
		return s.err
	case node != "a" && node != "b":
		return cluster.ErrNoNode
	}
	s.drained = append(s.drained, what+" "+node)
	return nil
}

func (s *two) Drain(_ context.Context, node, by, reason string) error {
	return s.order("drain", node+strings.TrimPrefix(" "+by+" "+reason, " anonymous maintenance"))
}

func (s *two) Undrain(_ context.Context, node string) error { return s.order("undrain", node) }

func (s *two) Record(_ context.Context, e audit.Entry) { s.entries = append(s.entries, e) }

func serve(t *testing.T, s *two) *chassis.Server {
	t.Helper()
	return chassistest.Serve(t, "monitoring-service", func(server *chassis.Server) error {
		return cluster.Register(server, cluster.Options{Source: s, Service: "monitoring-service", Audit: s})
	})
}

func TestView(t *testing.T) {
	server := serve(t, &two{})
	for query, owners := range map[string]int{"": 1, "?owners=false": 0} {
		a := chassistest.Call(t, server, http.MethodGet, "/api/v1/cluster"+query, "", "")
		var v cluster.View
		if err := json.Unmarshal([]byte(a.Body), &v); err != nil || a.Status != http.StatusOK {
			t.Fatalf("%d, %v: %s", a.Status, err, a.Body)
		}
		if len(v.Nodes) != 2 || v.Nodes[1].State != cluster.Draining || len(v.Placement.Owners) != owners || v.Leases == nil || v.Moves == nil {
			t.Errorf("%s: %s", query, a.Body)
		}
	}
	if a := chassistest.Call(t, server, http.MethodGet, "/api/v1/cluster?owners=perhaps", "", ""); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("answered %d", a.Status)
	}
}

func TestOrders(t *testing.T) {
	s := &two{}
	server := serve(t, s)
	for _, tc := range []struct {
		path, body string
		err        error
		status     int
		code       string
	}{
		{"b/drain", `{"reason":"maintenance"}`, nil, 200, ""},
		{"b/undrain", "", nil, 200, ""},
		{"c/drain", `{"reason":"maintenance"}`, nil, 404, "unknown_node"},
		{"a/drain", `{"reason":1}`, nil, 422, ""},
		{"a/drain", "", cluster.ErrAlone, 409, "no_cluster"},
		{"a/drain", "", context.DeadlineExceeded, 503, "broker_away"},
	} {
		s.err = tc.err
		media := ""
		if tc.body != "" {
			media = "application/json"
		}
		a := chassistest.Call(t, server, http.MethodPost, "/api/v1/cluster/nodes/"+tc.path, media, tc.body)
		if a.Status != tc.status || !strings.Contains(a.Body, tc.code) {
			t.Errorf("%s %s: answered %d %s", tc.path, tc.body, a.Status, a.Body)
		}
	}
	if got := strings.Join(s.drained, ", "); got != "drain b, undrain b" {
		t.Errorf("ordered: %s", got)
	}
	var audited []string
	for _, e := range s.entries {
		audited = append(audited, e.Action+" "+e.Target+" "+e.Outcome)
	}
	want := "node.drain b done, node.undrain b done, node.drain c failed, node.drain a failed, node.drain a failed"
	if got := strings.Join(audited, ", "); got != want {
		t.Errorf("audited\n got %s\nwant %s", got, want)
	}
}
