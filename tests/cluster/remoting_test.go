package cluster

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/certs/certstest"
	"github.com/marketprism/marketprism/tests/harness"
)

// ask sends a request to the monitoring of a node; status 0 is no answer.
func ask(t *testing.T, n *harness.Node, method, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.URL(harness.Monitoring, "/api/v1/"+path), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := harness.Do(t.Context(), r)
	if err != nil {
		return 0, err.Error()
	}
	return a.Status, string(a.Body)
}

// awaitAnswer asks until there is an answer that has a part.
func awaitAnswer(t *testing.T, n *harness.Node, path string, status int, part string) string {
	t.Helper()
	var got int
	var body string
	if !harness.Eventually(t, time.Minute, func() bool {
		got, body = ask(t, n, http.MethodGet, path)
		return got == status && strings.Contains(body, part)
	}) {
		t.Fatalf("%s: %d %.500s, want %d and %s", path, got, body, status, part)
	}
	return body
}

// incarnation is how often an actor of a node has been started.
func incarnation(t *testing.T, n *harness.Node, path string) (count uint64) {
	t.Helper()
	_, body := ask(t, n, http.MethodGet, path)
	var actor struct {
		Incarnation uint64 `json:"incarnation"`
	}
	if err := json.Unmarshal([]byte(body), &actor); err != nil {
		t.Fatalf("%s: %v in %.300s", path, err, body)
	}
	return actor.Incarnation
}

// TestMultiNodeRemoting: from the node that watches, the actors of the others are seen and
// operated, and the owner of a stream is asked. Neither what a stranger sends, nor a
// frozen Consul, nor the death of a node hurts the others.
func TestMultiNodeRemoting(t *testing.T) {
	t.Parallel()
	c := newNodes(t, 3)
	allow := harness.Monitoring + ".monitoring.actors.allow_operations"
	client := harness.Settings{harness.Broker + ".nats.mode": "external", harness.Broker + ".nats.url": c.url}
	c.common[allow], c.common["cluster.remoting.timeout"] = "on", "20s" // however busy the machine is
	c.start(1)
	c.all[2] = c.launch(2, client, harness.Monitoring)
	c.all[2].AwaitReady()
	watcher := c.all[2]

	of := c.awaitPlaced("two nodes", 0, 1)
	for _, node := range []string{"node-1", "node-2", "node-3"} {
		awaitAnswer(t, watcher, "actors/nodes?tree=true", 200, `"node":"`+node+`","self":`+fmt.Sprint(node == "node-3")+`,"about":{`)
	}
	awaitAnswer(t, watcher, "actors/nodes?tree=true", 200, `"root/collector/`)
	awaitAnswer(t, watcher, "actors/tree?node=node-2", 200, `"root/collector/`)
	for _, stream := range c.streams[:2] { // of whichever node
		owner := fmt.Sprint("node-", of[stream][0]+1)
		id := url.PathEscape(stream)
		awaitAnswer(t, watcher, "cluster/streams/"+id, 200, `"owner":"`+owner+`","state":"live"`)
		if status, body := ask(t, watcher, http.MethodPost, "cluster/streams/"+id+"/resync"); status != 200 || !strings.Contains(body, owner) {
			t.Errorf("resync of %s: %d %s", stream, status, body)
		}
	}
	operate(t, watcher)
	stranger(t, c.all[1])

	c.consul.Freeze()
	harness.Pause(t, outage()/2)
	for _, node := range []string{"node-1", "node-2"} {
		if status, body := ask(t, watcher, http.MethodGet, "actors/tree?node="+node); status != 200 {
			t.Errorf("Consul is frozen, and %s: %d %.300s", node, status, body)
		}
	}
	c.consul.Thaw()
	awaitAnswer(t, watcher, "actors/nodes", 200, `"count":3`)

	c.all[1].Kill()
	// Consul gives it up after a while: then it is no node.
	if status, body := ask(t, watcher, http.MethodGet, "actors/tree?node=node-2"); status != http.StatusBadGateway && status != http.StatusNotFound {
		t.Errorf("of a node that was killed: %d %.300s", status, body)
	}
	c.start(1)
	awaitAnswer(t, watcher, "actors/tree?node=node-2", 200, `"root/remoting"`)
	for _, i := range []int{2, 1, 0} {
		c.all[i].Stop()
	}
}

// operate restarts an actor of another node.
func operate(t *testing.T, watcher *harness.Node) {
	t.Helper()
	actor := "actors/" + url.PathEscape("root/placement/plan")
	before := incarnation(t, watcher, actor+"?node=node-2")
	if status, body := ask(t, watcher, http.MethodPost, actor+"/restart?node=node-2"); status != 200 {
		t.Errorf("a restart: %d %s", status, body)
	}
	if after := incarnation(t, watcher, actor+"?node=node-2"); after != before+1 {
		t.Errorf("incarnation %d, before %d", after, before)
	}
	// Node 1 began before the setting: it refuses by its own.
	if status, body := ask(t, watcher, http.MethodPost, actor+"/restart?node=node-1"); status != 403 {
		t.Errorf("where it is not allowed: %d %s", status, body)
	}
	if status, body := ask(t, watcher, http.MethodPost, "actors/root%2Fnothing/restart?node=node-2"); status != 404 {
		t.Errorf("of an actor that there is not: %d %s", status, body)
	}
}

// remotingPort is where a node is asked.
func remotingPort(t *testing.T, n *harness.Node, service string) string {
	t.Helper()
	var health struct {
		Checks map[string]struct {
			Port int `json:"port"`
		} `json:"checks"`
	}
	a, err := harness.Get(t.Context(), n.URL(service, "/health"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(a.Body, &health); err != nil || health.Checks["remoting"].Port == 0 {
		t.Fatalf("%v: the health does not say where the node is asked: %s", err, a.Body)
	}
	return fmt.Sprint("127.0.0.1:", health.Checks["remoting"].Port)
}

// awaitRefused waits until a node has counted a refusal.
func awaitRefused(t *testing.T, n *harness.Node, service, reason string) {
	t.Helper()
	sample := `mp_remoting_refused_total{outcome="` + reason + `"} `
	var text string
	if !harness.Eventually(t, time.Minute, func() bool {
		a, err := harness.Get(t.Context(), n.URL(service, "/metrics"))
		if err == nil {
			text = string(a.Body)
		}
		return strings.Contains(text, sample)
	}) {
		t.Fatalf("no %s in %s", sample, text)
	}
}

// stranger sends to a node what is not the protocol.
func stranger(t *testing.T, n *harness.Node) {
	t.Helper()
	conn, err := net.Dial("tcp", remotingPort(t, n, harness.Collector))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("\x16\x03\x01 this is neither TLS nor HTTP/2, of any version")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn)
	awaitRefused(t, n, harness.Collector, "malformed")
}

// TestMultiNodeRemotingCertificates: two nodes that know each other from their settings
// ask each other with certificates. Certificates of others are refused and counted; new
// ones are taken without a restart; a node that was killed is asked again when it is back.
func TestMultiNodeRemotingCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	var files [2]certs.Config
	var settings [2]harness.Settings
	ports := [2]int{freePort(t), freePort(t)}
	nats := freePort(t)
	for i := range 2 {
		name := fmt.Sprint("node-", i+1)
		files[i] = certstest.Files(t, t.TempDir(), ours.Node(name), ours.PEM())
		settings[i] = harness.Settings{
			"node.id": name, "cluster.remoting.port": ports[i], "cluster.remoting.timeout": "20s",
			"cluster.remoting.peers":         []string{fmt.Sprintf("node-%d@127.0.0.1:%d", 2-i, ports[1-i])},
			"cluster.remoting.tls.cert_file": files[i].CertFile, "cluster.remoting.tls.key_file": files[i].KeyFile, "cluster.remoting.tls.ca_file": files[i].CAFile,
			harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password",
		}
	}
	settings[0][harness.Broker+".nats.port"] = nats
	settings[1][harness.Broker+".nats.mode"], settings[1][harness.Broker+".nats.url"] = "external", fmt.Sprintf("nats://127.0.0.1:%d", nats)
	first := harness.Start(t, t.TempDir(), settings[0], harness.Broker, harness.Monitoring)
	data := t.TempDir()
	second := harness.Start(t, data, settings[1], harness.Monitoring)
	awaitAnswer(t, first, "actors/tree?node=node-2", 200, `"root/remoting"`)
	awaitAnswer(t, second, "actors/tree?node=node-1", 200, `"root/remoting"`)

	now := time.Now()
	expired := certs.NodeRequest("node-2", []string{"127.0.0.1"}, 0, now)
	expired.From, expired.Until = now.Add(-50*time.Minute), now.Add(-10*time.Minute)
	for reason, shown := range map[string]certs.Issued{"authority": theirs.Node("node-2"), "expired": ours.Issue(expired), "handshake": {}} {
		config := certstest.Client(t, shown, ours.PEM())
		config.ServerName, config.NextProtos = "127.0.0.1", []string{"h2"}
		conn, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", ports[0]), config)
		if err == nil {
			_, err = io.ReadAll(conn)
			_ = conn.Close()
		}
		if err == nil {
			t.Errorf("%s: it was let in", reason)
		}
		awaitRefused(t, first, harness.Monitoring, reason)
	}

	// Another certificate, while questions go on: it is read within seconds.
	fresh := ours.Issue(certs.NodeRequest("node-1", []string{"127.0.0.1"}, time.Hour, now))
	certstest.Replace(t, files[0].KeyFile, fresh.Key)
	certstest.Replace(t, files[0].CertFile, fresh.Certificate)
	harness.Await(t, time.Minute, "the new certificate is shown", func() bool {
		if status, body := ask(t, second, http.MethodGet, "actors/tree?node=node-1"); status != 200 {
			t.Errorf("meanwhile: %d %.300s", status, body)
			return true
		}
		// The key is replaced before the certificate: for a moment they do not match.
		config := certstest.Client(t, ours.Node("node-9"), ours.PEM())
		config.ServerName, config.NextProtos = "127.0.0.1", []string{"h2"}
		conn, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", ports[0]), config)
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].NotAfter.Before(now.Add(2 * time.Hour))
	})

	second.Kill()
	if status, body := ask(t, first, http.MethodGet, "actors/tree?node=node-2"); status != http.StatusBadGateway {
		t.Errorf("of a node that was killed: %d %.300s", status, body)
	}
	second = harness.Start(t, data, settings[1], harness.Monitoring)
	awaitAnswer(t, first, "actors/tree?node=node-2", 200, `"root/remoting"`)
	awaitAnswer(t, second, "actors/tree?node=node-1", 200, `"root/remoting"`)
	second.Stop()
	first.Stop()
}
