package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// program is where the image has it.
const program = "/usr/local/bin/marketprism"

// TestMultiNodeCompose: what the README has one do with compose.yaml, with nothing of
// Docker but its parser. Three nodes with QuestDB and Consul come up healthy by their own
// checks, the users, secrets, volumes and read-only roots as they are deployed; the only
// difference is that the exchanges are simulated. The gateway answers a query for a trade
// and for everybody's health, a node that is killed comes back, every target of
// Prometheus is up, and all stop in order.
func TestMultiNodeCompose(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("it is three nodes and six servers: run by make soak (MARKETPRISM_SOAK=1)")
	}
	m := newMachine(t)
	dir := prepared(t)
	p := readProject(t, dir)
	c := compose(t, m, dir, p, images(t, p))
	c.trade()
	c.up()
	d := c.desk()
	d.login()
	harness.Await(t, time.Minute, "a trade, from the gateway", func() bool {
		var answer struct {
			Data []json.RawMessage `json:"data"`
		}
		return d.get("https://127.0.0.1:8083/api/v1/storage/hot/trades/binance/BTC-USDT?limit=3", &answer) == http.StatusOK && len(answer.Data) > 0
	})
	d.healthy()
	if out, code := c.all["node-1"].run(program, "status", "-c", "/etc/marketprism/services.yaml"); code != 0 {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
	if page := d.get("https://127.0.0.1:8083/", nil); page != http.StatusOK {
		t.Errorf("the dashboard: %d", page)
	}

	// As the runtime starts again what has died: it is process 1 again.
	c.all["node-2"].kill()
	c.all["node-2"].start()
	c.await("node-2", "service_healthy")

	write(t, filepath.Join(dir, "secrets/prometheus/api_key"), c.key())
	c.up("prometheus", "alertmanager")
	c.watched(d)
	c.shown(d)
	d.healthy()
	c.down("node-1", "node-2", "node-3", "questdb", "prometheus", "alertmanager")
}

// prepared is a copy of deploy/, with what `prepare` makes.
func prepared(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "deploy")
	harness.CopyTree(t, deployed, dir)
	harness.CopyTree(t, "../../config/rules", filepath.Join(root, "config/rules"))
	must(t, []string{"MARKETPRISM=" + harness.Program(t)}, filepath.Join(dir, "prepare"))
	return dir
}

// key is an API key for Prometheus, made where the first login is.
func (c *composition) key() string {
	c.t.Helper()
	for _, name := range []string{"node-1", "node-2", "node-3"} {
		if key, code := c.all[name].run(program, "apikey", "create", "prometheus", "--role", "reader", "-c", "/etc/marketprism/services.yaml"); code == 0 {
			return key
		}
	}
	c.t.Fatal("no node makes an API key")
	return ""
}

// trade has the nodes collect from simulated exchanges.
func (c *composition) trade() {
	c.t.Helper()
	sim := harness.Simulate(c.t, "--symbols", "2", "--rate", "20", "--exchange", "binance/spot,binance/perpetual,okx/spot,okx/perpetual,deribit/perpetual")
	there := map[string]string{} // where the simulator is -> where containers find it
	moved := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			c.t.Fatal(err)
		}
		if there[u.Host] == "" {
			there[u.Host] = c.m.relay(u.Host)
		}
		u.Host = there[u.Host]
		return u.String()
	}
	env := map[string]string{}
	for _, market := range sim.Markets {
		at := "MARKETPRISM_EXCHANGES__" + strings.ToUpper(market.Exchange+"__MARKETS__"+market.Market) + "__"
		env[at+"WS_URL"], env[at+"REST_URL"] = moved(market.WS), moved(market.REST)
	}
	for _, name := range []string{"node-1", "node-2", "node-3"} {
		for k, v := range env {
			c.Project.Services[name].Environment[k] = v
		}
	}
}

// relay makes a server of this machine reachable for the containers, and returns where.
func (m *machine) relay(target string) string {
	m.t.Helper()
	var l net.Listener
	m.on(m.link, func() (err error) {
		l, err = net.Listen("tcp", gatewayOf+":0")
		return err
	})
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	open.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return // closed below
			}
			open.Go(func() { carry(ctx, near, target) })
		}
	})
	m.t.Cleanup(func() { cancel(); _ = l.Close(); open.Wait() })
	return l.Addr().String()
}

// carry carries bytes until either end closes, or ctx ends.
func carry(ctx context.Context, near net.Conn, target string) {
	defer func() { _ = near.Close() }()
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return // as if nobody listened
	}
	var both sync.WaitGroup
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // however it ends, it ends
			ended <- struct{}{}
		})
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
	_ = near.Close() // which ends both ways
	_ = far.Close()
	both.Wait()
}

// desk is somebody at the machine that the ports are published on.
type desk struct {
	t      *testing.T
	client *http.Client
	data   string // below which nodes have their directories
	token  string
}

func (c *composition) desk() *desk {
	c.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(text(c.t, filepath.Join(c.dir, "certs/ca.crt")))) {
		c.t.Fatal("there is no authority")
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots},
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			at, published := c.published[address]
			if !published {
				return nil, fmt.Errorf("nothing is published at %s", address)
			}
			return c.m.dial(at)
		},
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &desk{t: c.t, client: &http.Client{Transport: transport, Timeout: time.Minute}, data: c.volumes}
}

// ask sends a request, and reads the JSON of an answer that is 200 if into is not nil.
func (d *desk) ask(method, address, body string, into any) int {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if d.token != "" {
		r.Header.Set("Authorization", "Bearer "+d.token)
	}
	a, err := d.client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }() // read to its end
	var said bytes.Buffer
	if _, err := said.ReadFrom(a.Body); err != nil {
		d.t.Fatal(err)
	}
	if a.StatusCode == http.StatusOK && into != nil {
		if err := json.Unmarshal(said.Bytes(), into); err != nil {
			d.t.Fatalf("%s %s: %v in %.300s", method, address, err, said.Bytes())
		}
	}
	return a.StatusCode
}

func (d *desk) get(address string, into any) int { return d.ask("GET", address, "", into) }

// login logs in by the file that the gateway that was up first has written.
func (d *desk) login() {
	d.t.Helper()
	path := ""
	harness.Await(d.t, time.Minute, "the first login", func() bool {
		found, err := filepath.Glob(filepath.Join(d.data, "*/first-login.json"))
		if err != nil || len(found) == 0 {
			return false
		}
		path = found[0]
		return true
	})
	var login struct {
		Access string `json:"access_token"`
	}
	if code := d.ask("POST", "https://127.0.0.1:8083/api/v1/auth/login", text(d.t, path), &login); code != http.StatusOK {
		d.t.Fatalf("the login is answered with %d", code)
	}
	d.token = login.Access
}

// healthy waits until monitoring, asked through the gateway, finds all services well, on
// all nodes.
func (d *desk) healthy() {
	d.t.Helper()
	var health harness.Health
	if !harness.Eventually(d.t, 2*time.Minute, func() bool {
		health = harness.Health{}
		ok := d.get("https://127.0.0.1:8083/api/v1/monitoring-service/health", &health) == http.StatusOK && health.Status == "healthy" && len(health.Checks) > 0
		if !ok {
			harness.Pause(d.t, time.Second)
		}
		return ok
	}) {
		d.t.Fatalf("health: %s: %s", health.Status, health.Complaint())
	}
}

// shown waits until what dashboards show of such a deployment alone is there: of brokers
// that are several, of QuestDB, Consul, certificates, and what nodes ask one another.
func (c *composition) shown(d *desk) {
	c.t.Helper()
	var asked time.Time
	get := func(path string, into any) {
		if time.Since(asked) > 5*time.Second { // so that there are questions to show
			asked = time.Now()
			d.get("https://127.0.0.1:8083/api/v1/monitoring-service/actors/tree?node=node-2", nil)
		}
		if code := d.get("http://127.0.0.1:9090"+path, into); code != http.StatusOK {
			c.t.Fatalf("Prometheus answers %s with %d", path, code)
		}
	}
	dashboards(c.t, get, func(p panel) bool { return p.quiet != "" && !unheard.MatchString(p.quiet+p.expr) })
}

// unheard is what nothing happens for here, as little as elsewhere.
var unheard = regexp.MustCompile(`until it has happened|clock|mp_remoting_refused_total|mp_certificate_reloads_total`)

// watched waits until every target of Prometheus is up, and no more than there are.
func (c *composition) watched(d *desk) {
	c.t.Helper()
	type target struct {
		Labels            struct{ Job, Instance string }
		Health, LastError string
	}
	var want []string
	for _, job := range harness.Services {
		for i := range 3 {
			// A service that a node has not is asked of one that has it, by that node's gateway.
			want = append(want, fmt.Sprintf("%s node-%d:8083", job, i+1))
		}
	}
	want = append(want, "questdb questdb:9003")
	slices.Sort(want)
	var last []target
	if !harness.Eventually(c.t, 2*time.Minute, func() bool {
		var answer struct {
			Data struct{ ActiveTargets []target }
		}
		if d.get("http://127.0.0.1:9090/api/v1/targets", &answer) != http.StatusOK {
			return false
		}
		last = answer.Data.ActiveTargets
		var up []string
		for _, at := range last {
			if at.Health == "up" {
				up = append(up, at.Labels.Job+" "+at.Labels.Instance)
			}
		}
		slices.Sort(up)
		return slices.Equal(up, want)
	}) {
		for _, at := range last {
			c.t.Errorf("%s %s: %s %s", at.Labels.Job, at.Labels.Instance, at.Health, at.LastError)
		}
		c.t.FailNow()
	}
}
