package chaos

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// objectStore is a real S3 service that can be killed and started again.
type objectStore struct {
	t       *testing.T
	binary  string
	dir     string
	address string
	cmd     *exec.Cmd
	exited  chan struct{}
}

func newObjectStore(t *testing.T) *objectStore {
	t.Helper()
	c := exec.Command(filepath.Join("..", "..", ".ci", "versitygw"))
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_SERVERS", fmt.Sprintf("no S3 server: %v %s", err, said.String()))
	o := &objectStore{t: t, binary: strings.TrimSpace(string(out)), dir: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	// A bucket is a directory of its root.
	if err := os.Mkdir(filepath.Join(o.dir, "market"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.start()
	t.Cleanup(o.kill)
	return o
}

func (o *objectStore) start() {
	o.t.Helper()
	o.cmd = exec.Command(o.binary, "--port", o.address, "posix", o.dir)
	o.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY=testtesttest")
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	exited := make(chan struct{})
	o.exited = exited
	go func() {
		defer close(exited)
		_ = o.cmd.Wait() // a kill is how it ends
	}()
	harness.Await(o.t, 30*time.Second, "the S3 server", func() bool {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", o.address)
		return err == nil && conn.Close() == nil
	})
}

func (o *objectStore) kill() {
	_ = o.cmd.Process.Kill() // it may be dead already
	<-o.exited
}

func (o *objectStore) settings() harness.Settings {
	const at = harness.Storage + ".storage.cold_storage.s3."
	return harness.Settings{
		at + "endpoint": o.address, at + "tls": false, at + "bucket": "market", at + "prefix": "prism",
		at + "access_key": "test", at + "secret_key": "testtesttest",
	}
}

// TestColdS3Away: the S3 service of the cold store goes away and comes back: while
// rows are archived, while they are read, and while the program starts. Writes go on,
// no answer lacks a row silently, and all are there once afterwards.
func TestColdS3Away(t *testing.T) {
	t.Parallel()
	o := newObjectStore(t)
	s := with(resting(), o.settings())
	n := harness.Start(t, t.TempDir(), s)
	all := map[string]bool{}
	write := func(prefix string, rows int) {
		t.Helper()
		body, ids := tradesOf("lab", "S3-USDT", prefix, time.Date(2021, 5, 19, 0, 0, 0, 0, time.UTC), rows)
		if a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/hot/trades"), "application/json", body); err != nil || a.Status != http.StatusOK {
			t.Fatalf("%v %+v", err, a)
		}
		for id := range ids {
			all[id] = true
		}
	}
	ask := func(params string) *harness.Answer {
		t.Helper()
		a, err := harness.Get(t.Context(), n.URL(harness.Storage, "/api/v1/storage/query/trade/lab/S3-USDT?format=ndjson"+params))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	refused := func(what string, a *harness.Answer) {
		t.Helper()
		if p, err := a.Problem(); a.Status != http.StatusServiceUnavailable || err != nil || p.Code != "cold_unavailable" {
			t.Errorf("%s: %d %.300s", what, a.Status, a.Body)
		}
	}
	write("a", 500)
	if m := mustOrder(t, n, "cold/archive", everything); m.Archived != 500 {
		t.Fatalf("archived %d rows to S3, want 500", m.Archived)
	}
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	write("b", 500)

	o.kill()
	a, _, err := order(t.Context(), n, "cold/archive", everything)
	if err != nil {
		t.Fatal(err)
	}
	refused("an archive", a)
	write("c", 100) // and becomes visible
	refused("a query that needs what is away", ask(""))
	if a := ask("&tier=hot"); a.Status != http.StatusOK || bytes.Count(a.Body, []byte("\n")) < 599 {
		t.Errorf("the hot rows: %d, %d lines", a.Status, bytes.Count(a.Body, []byte("\n")))
	}
	harness.Await(t, 60*time.Second, "a degraded health that says why", func() bool {
		h := n.Health(harness.Storage)
		return h.Status == "degraded" && h.Code == http.StatusOK && strings.Contains(h.Complaint(), "cold store")
	})

	// It starts without the service.
	n.Stop()
	n = harness.Start(t, n.Data, s)
	write("d", 100)
	refused("a query after a start without S3", ask(""))
	if a := ask("&tier=hot"); a.Status != http.StatusOK {
		t.Errorf("the hot rows after a start without S3: %d %.300s", a.Status, a.Body)
	}
	a, _, err = order(t.Context(), n, "cold/archive", everything)
	if err != nil {
		t.Fatal(err)
	}
	refused("an archive after a start without S3", a)

	o.start()
	harness.Await(t, 90*time.Second, "a healthy service", func() bool { return n.Health(harness.Storage).Status == "healthy" })
	records, err := n.Query(t.Context(), "trade", "lab", "S3-USDT")
	if text := compare(all, records, err); text != "" {
		t.Errorf("when it is back: %s", text)
	}
	if m := mustOrder(t, n, "cold/archive", everything); m.Archived < 700 {
		t.Errorf("archived %d rows when it was back, want 700", m.Archived)
	}
	mustOrder(t, n, "lifecycle/cleanup", allOfIt)
	records, err = n.Query(t.Context(), "trade", "lab", "S3-USDT")
	if text := compare(all, records, err); text != "" {
		t.Errorf("in the end: %s", text)
	}
}
