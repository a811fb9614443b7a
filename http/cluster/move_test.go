package cluster_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/cluster"
)

func (s *two) Move(_ context.Context, o cluster.PinOrder) error {
	if err := s.order("move "+o.Stream+" to", o.Node); err != nil {
		return err
	}
	s.until = o.Until
	return nil
}

func (s *two) Unpin(_ context.Context, stream string) error {
	if s.err == nil {
		s.drained = append(s.drained, "unpin "+stream)
	}
	return s.err
}

func TestMoves(t *testing.T) {
	s := &two{}
	server := serve(t, s)
	const stream = "binance%2Fspot%2FBTC-USDT"
	for _, tc := range []struct {
		act, body string
		err       error
		status    int
		code      string
	}{
		{"move", `{"node":"b","for":"2h","reason":"closer"}`, nil, 200, `"until":"`},
		{"move", `{"node":"a"}`, nil, 200, `"until":null`},
		{"unpin", "", nil, 200, "as any other"},
		{"move", `{}`, nil, 422, "/node"},
		{"move", `{"node":"a","for":"-1s"}`, nil, 422, "/for"},
		{"move", `{"node":"a","for":"soon"}`, nil, 422, "/for"},
		{"move", `{"node":"c"}`, nil, 404, "unknown_node"},
		{"move", `{"node":"a"}`, cluster.ErrNoStream, 404, "unknown_stream"},
		{"move", `{"node":"a"}`, cluster.ErrDrained, 409, "node_drained"},
		{"move", `{"node":"a"}`, cluster.ErrCannot, 409, "node_cannot"},
		{"move", `{"node":"a"}`, cluster.ErrAlone, 409, "no_cluster"},
		{"move", `{"node":"a"}`, context.DeadlineExceeded, 503, "broker_away"},
		{"unpin", "", cluster.ErrNoStream, 404, "unknown_stream"},
	} {
		s.err = tc.err
		media := ""
		if tc.body != "" {
			media = "application/json"
		}
		a := chassistest.Call(t, server, http.MethodPost, "/api/v1/cluster/streams/"+stream+"/"+tc.act, media, tc.body)
		if a.Status != tc.status || !strings.Contains(a.Body, tc.code) {
			t.Errorf("%s %s: answered %d %s", tc.act, tc.body, a.Status, a.Body)
		}
		if strings.Contains(tc.body, "2h") && time.Until(s.until) < time.Hour {
			t.Errorf("it is to end at %v", s.until)
		}
	}
	want := "move binance/spot/BTC-USDT to b, move binance/spot/BTC-USDT to a, unpin binance/spot/BTC-USDT"
	if got := strings.Join(s.drained, ", "); got != want {
		t.Errorf("ordered\n got %s\nwant %s", got, want)
	}
	if e := s.entries[0]; e.Action != "stream.move" || e.Target != "binance/spot/BTC-USDT to b" || e.Outcome != "done" {
		t.Errorf("audited %+v", e)
	}
}
