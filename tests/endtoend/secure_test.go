package endtoend

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestSixProcesses runs each service as a process of its own, all of them over mTLS, with
// two of storage; then it kills storage, one after the other, while clients read and
// write through the gateway.
func TestSixProcesses(t *testing.T) {
	w := newSecured(t)
	t.Run("who asks", w.whoAsks)
	t.Run("each other", w.eachOther)
	t.Run("killed under load", w.killed)
}

// secured are the processes.
type secured struct {
	nodes  map[string]*harness.Node
	spare  *harness.Node // the second storage
	admin  visitor
	node   *http.Client // shows a node's certificate
	start  func(t *testing.T, data string, port int) *harness.Node
	second string // its data
	ports  [2]int
}

func newSecured(t *testing.T) *secured {
	files, shown := harness.Secure(t, "node-1")
	w := &secured{nodes: map[string]*harness.Node{}, second: t.TempDir(), ports: [2]int{freePort(t), freePort(t)}}
	transport := &http.Transport{TLSClientConfig: shown}
	t.Cleanup(transport.CloseIdleConnections)
	w.node = &http.Client{Transport: transport}
	s := guardedSettings()
	delete(s, "http.identity") // certificates demand it
	maps.Copy(s, files)
	maps.Copy(s, harness.Settings{
		harness.Broker + ".nats.port": freePort(t), harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password",
		"cluster.services." + harness.Storage:                 []string{fmt.Sprint("127.0.0.1:", w.ports[0]), fmt.Sprint("127.0.0.1:", w.ports[1])},
		harness.Gateway + ".gateway.upstreams.probe_interval": "500ms",
	})
	for _, service := range harness.Services {
		s[service+".port"] = freePort(t)
	}
	data := t.TempDir()
	w.start = func(t *testing.T, data string, port int) *harness.Node {
		own := maps.Clone(s)
		own[harness.Storage+".port"] = port
		return harness.Start(t, data, own, harness.Storage)
	}
	w.nodes[harness.Broker] = harness.Start(t, data, s, harness.Broker)
	w.nodes[harness.Storage] = w.start(t, data, w.ports[0])
	w.spare = w.start(t, w.second, w.ports[1])
	for _, service := range []string{harness.Monitoring, harness.Scheduler, harness.Collector, harness.Gateway} {
		w.nodes[service] = harness.Start(t, data, s, service)
	}
	w.admin = firstLogin(t, w.nodes[harness.Gateway])
	return w
}

// whoAsks: without a certificate services say how they are and nothing else; with one
// they answer; the gateway asks for a credential.
func (w *secured) whoAsks(t *testing.T) {
	for service, n := range w.nodes {
		for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/health": 200, "/metrics": 401, "/api/v1/status": 401} {
			a, err := harness.Get(t.Context(), n.URL(service, path))
			if err != nil || a.Status != want {
				t.Errorf("%s%s without a certificate: %v %+v", service, path, err, a)
			}
		}
		res, err := w.node.Get(n.URL(service, "/metrics"))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 200, true: 401}[service == harness.Gateway]; res.StatusCode != want {
			t.Errorf("%s/metrics as a node: %d, want %d", service, res.StatusCode, want)
		}
		res.Body.Close()
		plain := "http://" + strings.TrimPrefix(n.URL(service, "/livez"), "https://")
		if a, err := harness.Get(t.Context(), plain); err != nil || a.Status != http.StatusBadRequest {
			t.Errorf("%s over plain HTTP: %v %+v", service, err, a)
		}
		old := tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // it is to be refused
		if c, err := tls.Dial("tcp", strings.TrimPrefix(n.URL(service, ""), "https://"), &old); err == nil {
			c.Close()
			t.Errorf("%s speaks TLS 1.2", service)
		}
	}
}

// eachOther: the services find, probe, scrape and read one another.
func (w *secured) eachOther(t *testing.T) {
	v := w.admin
	v.t = t
	var services struct {
		Services map[string]struct {
			Healthy bool   `json:"healthy"`
			Base    string `json:"base_url"`
		} `json:"services"`
	}
	for _, path := range []string{"storage/stats", "scheduler/tasks", "collector/status", "monitoring/overview", "broker/status", "gateway/stats"} {
		var any map[string]any
		harness.Await(t, time.Minute, path, func() bool { return w.send(t.Context(), "GET", "/api/v1/"+path, "").status == http.StatusOK })
		v.ask("GET", "/api/v1/"+path, "", &any)
	}
	v.ask("GET", "/api/v1/gateway/services", "", &services)
	if len(services.Services) < 6 {
		t.Errorf("the gateway knows %v", services.Services)
	}
	harness.Await(t, time.Minute, "every service scraped", func() bool {
		var up struct {
			Data struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		v.ask("GET", "/api/v1/monitoring/query?query=up", "", &up)
		n := 0
		for _, r := range up.Data.Result {
			if r.Value[1] == "1" {
				n++
			}
		}
		return n == 7 // two of storage
	})
	status := harness.Run(t, time.Minute, "status", "-c", w.nodes[harness.Gateway].Config(), "-o", "json")
	if n := strings.Count(status.Out, "https://"); n < 6 {
		t.Errorf("status: %s%s", status.Out, status.Errors)
	}
	if o := harness.Run(t, time.Minute, "user", "list", "-c", w.nodes[harness.Gateway].Config()); o.Code != 0 || !strings.Contains(o.Out, "admin") {
		t.Errorf("user list: %d %s%s", o.Code, o.Out, o.Errors)
	}
}

// outcome is what became of one request.
type outcome struct {
	id     string
	status int
	code   string
	err    error
}

// writer posts trades one after the other and remembers what became of each.
type writer struct {
	seen []outcome
	n    atomic.Int64
}

// killed: of requests through the gateway while one of two instances is killed, none that
// may be repeated fails; a POST may, if it was under way or had just been sent, and says
// so. What was acknowledged is stored, once.
func (w *secured) killed(t *testing.T) {
	v := w.admin
	v.t = t
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	stop := sync.OnceFunc(func() { cancel(); clients.Wait() })
	defer stop()
	readers, writers := make([]writer, 3), make([]writer, 2)
	for i := range readers {
		clients.Go(func() {
			for ctx.Err() == nil {
				readers[i].note(w.send(t.Context(), "GET", "/api/v1/storage/stats", ""), "")
			}
		})
	}
	for i := range writers {
		clients.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				id := fmt.Sprintf("%d%06d", i+1, k)
				body := fmt.Sprintf(`{"timestamp":%d,"symbol":"BTC-USDT","exchange":"lab","price":1.25,"amount":"0.5","side":"buy","trade_id":%q}`,
					time.Date(2021, 5, 19, 0, 0, k, i, time.UTC).UnixNano(), id)
				writers[i].note(w.send(t.Context(), "POST", "/api/v1/storage/hot/trades", body), id)
			}
		})
	}
	more := func(n int64) {
		t.Helper()
		until := map[*writer]int64{}
		for _, all := range [][]writer{readers, writers} {
			for i := range all {
				until[&all[i]] = all[i].n.Load() + n
			}
		}
		harness.AwaitMoving(t, time.Minute, "more requests", func() (sum int64) {
			for c := range until {
				sum += c.n.Load()
			}
			return sum
		}, func() bool {
			for c, want := range until {
				if c.n.Load() < want {
					return false
				}
			}
			return true
		})
	}
	more(10)
	w.nodes[harness.Storage].Kill()
	more(15)
	w.nodes[harness.Storage] = w.start(t, w.nodes[harness.Storage].Data, w.ports[0])
	harness.Await(t, time.Minute, "both instances", func() bool { return w.usable(v) == 2 })
	more(5)
	w.spare.Kill()
	more(15)
	stop()

	for i := range readers {
		for _, o := range readers[i].seen {
			if o.status != http.StatusOK {
				t.Errorf("a GET: %d %s %v", o.status, o.code, o.err)
			}
		}
	}
	acknowledged := map[string]bool{}
	for i := range writers {
		checkWriter(t, &writers[i], acknowledged)
	}
	stored := map[string]int{}
	a, err := w.get(t, v, "/api/v1/storage/query/trade/lab/BTC-USDT?format=ndjson")
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("reading what is stored: %v %+v", err, a)
	}
	records, err := harness.ParseRecords(string(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		stored[records[i].Name()]++
	}
	for id := range acknowledged {
		if stored[id] != 1 {
			t.Errorf("trade %s was acknowledged, and is stored %d times", id, stored[id])
		}
	}
	for id, n := range stored {
		if n != 1 {
			t.Errorf("trade %s is stored %d times", id, n)
		}
	}
}

// checkWriter: a POST fails clearly, and only around a kill: two in a row of one client,
// of which the second had been put on a connection that was closed at that moment.
func checkWriter(t *testing.T, c *writer, acknowledged map[string]bool) {
	t.Helper()
	spells, length := 0, 0
	for _, o := range c.seen {
		if o.status == http.StatusOK {
			acknowledged[o.id], length = true, 0
			continue
		}
		if length++; length == 1 {
			spells++
		}
		clear := o.err == nil && o.status == http.StatusBadGateway && o.code == "upstream_failed" ||
			o.err == nil && o.status == http.StatusServiceUnavailable && o.code != ""
		if !clear || length > 2 {
			t.Errorf("a POST, failure %d in a row: %d %s %v", length, o.status, o.code, o.err)
		}
	}
	if spells > 2 {
		t.Errorf("a client that posts failed %d times with two kills", spells)
	}
}

func (c *writer) note(o outcome, id string) {
	o.id = id
	c.seen = append(c.seen, o)
	c.n.Add(1)
}

// send sends a request to the gateway as the admin. A failure is an outcome.
func (w *secured) send(ctx context.Context, method, path, body string) outcome {
	r, err := http.NewRequestWithContext(ctx, method, w.admin.base+path, strings.NewReader(body))
	if err != nil {
		return outcome{err: err}
	}
	maps.Copy(r.Header, w.admin.header)
	r.Header.Set("Content-Type", "application/json")
	a, err := harness.Do(ctx, r)
	if err != nil {
		return outcome{err: err}
	}
	if a.Status == http.StatusOK {
		return outcome{status: a.Status}
	}
	p, err := a.Problem()
	return outcome{status: a.Status, code: p.Code, err: err}
}

func (w *secured) get(t *testing.T, v visitor, path string) (*harness.Answer, error) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base+path, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, v.header)
	return harness.Do(t.Context(), r)
}

// usable is how many instances of storage the gateway would ask.
func (w *secured) usable(v visitor) (n int) {
	var services struct {
		Services map[string]struct {
			Instances []struct {
				State string `json:"state"`
			} `json:"instances"`
		} `json:"services"`
	}
	v.ask("GET", "/api/v1/gateway/services", "", &services)
	for _, i := range services.Services[harness.Storage].Instances {
		if i.State == "healthy" {
			n++
		}
	}
	return n
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
