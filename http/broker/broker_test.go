package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/broker"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
)

var now = time.Date(2024, 8, 8, 12, 0, 5, 0, time.UTC)

// fixed is a branch that answers with what it was given.
type fixed struct {
	status branch.Status
	err    error
}

func (f *fixed) Up() error { return f.err }

func (f *fixed) Cluster() *branch.ClusterStatus { return f.status.Cluster }

func (f *fixed) Remove(_ context.Context, node string) error {
	switch {
	case f.status.Cluster == nil:
		return branch.ErrAlone
	case node == "node-9":
		return branch.ErrNoNode
	case node == "node-1":
		return branch.ErrNodeOnline
	}
	return f.err
}

func (f *fixed) Status(context.Context) (branch.Status, error) {
	return f.status, f.err
}
func (f *fixed) Streams(context.Context) ([]branch.StreamStatus, error) {
	return f.status.Streams, f.err
}

func serve(t *testing.T, b broker.Branch, clock func() time.Time) *chassis.Server {
	t.Helper()
	return chassistest.Serve(t, broker.Service, func(s *chassis.Server) error {
		return broker.Register(s, broker.Options{Branch: b, Now: clock})
	})
}

func call(t *testing.T, s *chassis.Server, method, path string) (int, string, http.Header) {
	t.Helper()
	a := chassistest.Call(t, s, method, path, "", "")
	return a.Status, a.Body, a.Header
}

var running = branch.Status{
	Mode: "embedded", Available: true, Since: now,
	Server:    branch.ServerStatus{ID: "N1", Name: "marketprism", Version: "2.15.2", URL: "nats://127.0.0.1:4222", Host: "127.0.0.1", Port: 4222, MaxPayload: 8 << 20, Started: now},
	JetStream: branch.JetStreamStatus{MaxMemory: -1, MaxStore: 1 << 30, Streams: 1},
	Messages:  branch.MessageStatus{Published: 10, Consumed: 7, Errors: 1, Since: now},
	Streams: []branch.StreamStatus{{Name: "MARKET_DATA", Subjects: []string{"market.>"}, Messages: 3, Bytes: 99, FirstSeq: 1, LastSeq: 3, LastTime: now,
		Consumers: 2, Retention: "limits", Storage: "file", Replicas: 1}},
}

const (
	goldenStreams = `[{"name":"MARKET_DATA","subjects":["market.>"],"messages":3,"bytes":99,"max_bytes":0,"first_seq":1,"last_seq":3,"last_time":"2024-08-08T12:00:05Z","consumer_count":2,"retention":"limits","storage":"file","discard":"","max_age_seconds":0,"replicas":1,"created_at":"0001-01-01T00:00:00Z","internal":false}]`
	goldenServer  = `{"id":"N1","name":"marketprism","version":"2.15.2","url":"nats://127.0.0.1:4222","host":"127.0.0.1","port":4222,"max_payload":8388608,"started":"2024-08-08T12:00:05Z","connections":0,"subscriptions":0,"slow_consumers":0}`
	goldenStore   = `{"memory":0,"storage":0,"max_memory":-1,"max_storage":1073741824,"reserved_storage":0,"streams":1,"consumers":0,"api_requests_total":0,"api_errors_total":0}`
)

func TestGolden(t *testing.T) {
	clock := now.Add(-5 * time.Second)
	s := serve(t, &fixed{status: running}, func() time.Time { at := clock; clock = now; return at })
	for path, want := range map[string]string{
		"status": `{"service":"message-broker-service","timestamp":"2024-08-08T12:00:05Z","uptime_seconds":5,"nats_server":{"status":"running","server_info":` + goldenServer + `,"ports":{"client":4222}},` +
			`"jetstream_streams":` + goldenStreams + `,"message_stats":{"published":10,"consumed":7,"published_bytes":0,"consumed_bytes":0,"errors":1,"start_time":"2024-08-08T12:00:05Z"},"nats_available":true,"mode":"embedded","jetstream":` + goldenStore + `}`,
		"streams":   `{"streams":` + goldenStreams + `,"total":1}`,
		"nats/info": `{"nats_available":true,"mode":"embedded","server_info":` + goldenServer + `,"jetstream":` + goldenStore + `}`,
	} {
		for _, prefix := range []string{"/api/v1/", "/api/v1/broker/"} {
			if code, got, _ := call(t, s, "GET", prefix+path); code != 200 || got != want {
				t.Errorf("%s%s\n got %d %s\nwant %s", prefix, path, code, got, want)
			}
		}
	}
}

// A broker that is down has a status, and nothing else.
func TestDown(t *testing.T) {
	for name, err := range map[string]error{"not running": branch.ErrNotRunning, "stopped": supervise.ErrStopped} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &fixed{err: err}, nil)
			code, body, _ := call(t, s, "GET", "/api/v1/status")
			var got struct {
				Available bool              `json:"nats_available"`
				Streams   []json.RawMessage `json:"jetstream_streams"`
				Server    struct{ Status string }
			}
			if jsonErr := json.Unmarshal([]byte(body), &got); jsonErr != nil || code != 200 || got.Available || got.Streams == nil {
				t.Errorf("status: %d %s", code, body)
			}
			code, body, header := call(t, s, "GET", "/api/v1/streams")
			if code != 503 || header.Get("Retry-After") == "" {
				t.Errorf("streams: %d %s", code, body)
			}
			if code, body, _ := call(t, s, "GET", "/health"); code != 503 || !strings.Contains(body, err.Error()) {
				t.Errorf("health: %d %s", code, body)
			}
		})
	}
	for _, err := range []error{branch.ErrBusy, supervise.ErrMailboxFull} {
		s := serve(t, &fixed{err: err}, nil)
		if code, body, header := call(t, s, "GET", "/api/v1/status"); code != 503 || header.Get("Retry-After") == "" {
			t.Errorf("%v: %d %s", err, code, body)
		}
	}
	s := serve(t, &fixed{err: errors.New("secret")}, nil)
	if code, body, _ := call(t, s, "GET", "/api/v1/streams"); code != 500 || strings.Contains(body, "secret") {
		t.Errorf("an unknown error: %d %s", code, body)
	}
}

func TestHostile(t *testing.T) {
	s := serve(t, &fixed{status: running}, nil)
	chassistest.Run(t, s.URL(), chassistest.Described(t, s.URL()))
}

// The real branch, with a real server.
func TestRealBroker(t *testing.T) {
	c := branch.DefaultConfig()
	c.Port, c.StoreDir = 0, t.TempDir()
	h, err := branch.New(c, branch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := sys.Start(ctx, h.Spec()); err != nil {
		t.Fatal(err)
	}
	s := serve(t, h, nil)
	code, body, _ := call(t, s, "GET", "/api/v1/broker/streams")
	if code != 200 || !strings.Contains(body, `"name":"MARKET_DATA","subjects":["market.\u003e"]`) && !strings.Contains(body, `"name":"MARKET_DATA","subjects":["market.>"]`) {
		t.Errorf("streams: %d %s", code, body)
	}
	if code, body, _ := call(t, s, "GET", "/api/v1/status"); code != 200 || !strings.Contains(body, `"nats_available":true`) {
		t.Errorf("status: %d %s", code, body)
	}
	if code, body, _ := call(t, s, "GET", "/health"); code != 200 || !strings.Contains(body, `"status":"healthy"`) {
		t.Errorf("health: %d %s", code, body)
	}
	if err := sys.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if code, body, _ := call(t, s, "GET", "/api/v1/status"); code != 200 || !strings.Contains(body, `"nats_available":false`) {
		t.Errorf("status after the end: %d %s", code, body)
	}
}

// The attack on every route, over a real server.
func TestHostileClients(t *testing.T) {
	w := newWorld(t, nil)
	w.ask(200, "POST", "streams", `{"name":"x","subjects":["x.>"]}`)
	w.ask(200, "POST", "streams/x/consumers", `{"name":"x"}`)
	endpoints := chassistest.Described(t, w.server.URL())
	for i := range endpoints {
		if strings.Contains(endpoints[i].Path, "/publish/") || strings.Contains(endpoints[i].Path, "/request/") {
			endpoints[i].Body = "" // takes any body
		}
	}
	chassistest.Run(t, w.server.URL(), endpoints)
	if code, out := w.call("GET", "status", ""); code != 200 || out["nats_available"] != true {
		t.Errorf("afterwards: %d %v", code, out)
	}
}

// TestNodes: who runs the broker, who of them is away, and how one leaves for good.
func TestNodes(t *testing.T) {
	peers := []branch.PeerStatus{{Node: "node-1", Online: true, Behind: []string{}}, {Node: "node-2", Behind: []string{}}}
	alone := serve(t, &fixed{}, nil)
	var mu sync.Mutex
	var removed []string
	several := chassistest.Serve(t, broker.Service, func(s *chassis.Server) error {
		return broker.Register(s, broker.Options{
			Branch:  &fixed{status: branch.Status{Cluster: &branch.ClusterStatus{Expected: 3, Leader: "node-1", Peers: peers}}},
			Removed: func(_ context.Context, node string) { mu.Lock(); defer mu.Unlock(); removed = append(removed, node) },
		})
	})
	for _, one := range []struct {
		server       *chassis.Server
		method, path string
		code         int
		want         string
	}{
		{alone, "GET", "nodes", 200, `{"clustered":false,"expected":1,"leader":"","nodes":[]}`},
		{several, "GET", "nodes", 200, `{"clustered":true,"expected":3,"leader":"node-1","nodes":[{"node":"node-1","online":true,"behind":[]},{"node":"node-2","online":false,"behind":[]}]}`},
		{several, "GET", "health", 200, "cannot be reached: node-2"},
		{alone, "DELETE", "nodes/node-2", 409, "no other nodes"},
		{several, "DELETE", "nodes/node-1", 409, "stop it first"},
		{several, "DELETE", "nodes/node-9", 404, "no node"},
		{several, "DELETE", "nodes/node-2", 200, `{"success":true}`},
	} {
		path := "/api/v1/broker/" + one.path
		if one.path == "health" {
			path = "/health"
		}
		code, body, _ := call(t, one.server, one.method, path)
		if code != one.code || !strings.Contains(body, one.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", one.method, path, code, body, one.code, one.want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(removed, []string{"node-2"}) {
		t.Errorf("told of %v", removed)
	}
}
