package cluster

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// pretence is a way to Consul that answers what a node says of itself, and, while it is
// on, does not pass it on.
type pretence struct {
	Address string
	on      atomic.Bool
}

func pretend(t *testing.T, to string) *pretence {
	t.Helper()
	p := &pretence{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // questions end with who asks
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := strings.HasPrefix(r.URL.Path, "/v1/agent/service/register") || strings.HasPrefix(r.URL.Path, "/v1/agent/check/update/")
		if !said || !p.on.Load() {
			proxy.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // whatever it says
	}))
	t.Cleanup(server.Close)
	p.Address = server.Listener.Addr().String()
	return p
}

// unlist takes everything that a node has announced out of Consul, by hand.
func (c *nodes) unlist(i int) {
	c.t.Helper()
	var all map[string]struct {
		ID string
	}
	harness.GetJSON(c.t, "http://"+c.consul.HTTP+"/v1/agent/services", &all)
	taken := 0
	for id := range all {
		if !strings.HasSuffix(id, "@"+c.name(i)) {
			continue
		}
		r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPut, "http://"+c.consul.HTTP+"/v1/agent/service/deregister/"+id, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		if a, err := harness.Do(c.t.Context(), r); err != nil || a.Status != http.StatusOK {
			c.t.Fatalf("taking %s out of Consul: %v %+v", id, err, a)
		}
		taken++
	}
	if taken == 0 {
		c.t.Fatalf("Consul lists nothing of %s", c.name(i))
	}
}

// listed reports whether Consul lists that a node lives.
func (c *nodes) listed(ctx context.Context, i int) bool {
	a, err := harness.Get(ctx, "http://"+c.consul.HTTP+"/v1/health/service/marketprism-node?passing")
	return err == nil && a.Status == http.StatusOK && strings.Contains(string(a.Body), `"marketprism-node@`+c.name(i)+`"`)
}

// TestMultiNodeUnlisted: a node that is taken out of Consul by hand announces itself again.
// One that Consul goes on to leave out, although it answers, gives its streams to the
// others while it lives, and ends with the code of those that are to be started again; in
// the end no trade is missing and none is stored twice.
func TestMultiNodeUnlisted(t *testing.T) {
	t.Parallel()
	c := newNodes(t, 2)
	way := pretend(t, c.consul.HTTP)
	c.common["cluster.consul.grace"] = "5s"
	own := c.own(1)
	own["cluster.consul.address"] = way.Address
	c.all[1] = c.launch(1, own, c.services...)
	c.all[1].AwaitReady()
	c.awaitPlaced("two nodes", 0, 1)

	c.unlist(1)
	c.awaitMoving("the node to announce itself again", func() bool { return c.listed(t.Context(), 1) })
	c.awaitPlaced("it has announced itself again", 0, 1)
	if c.all[1].Ended() {
		t.Fatalf("it has ended:\n%s", c.all[1].Log())
	}

	way.on.Store(true)
	c.unlist(1)
	began := time.Now()
	took := c.awaitLive(began, 0)
	t.Logf("the streams of a node that Consul lists no more are live elsewhere after %v", last(took))
	if code := c.all[1].Exit(); code != 75 {
		t.Errorf("the node that Consul lists no more ended with %d:\n%s", code, c.all[1].Log())
	}
	t.Logf("it ended after %v", time.Since(began).Round(time.Millisecond))
	if !strings.Contains(c.all[1].Log(), "this node leaves to others what takes the broker") {
		t.Error("it did not give anything away before")
	}
	c.awaitPlaced("one node is left", 0)

	way.on.Store(false)
	c.all[1] = c.launch(1, own, c.services...)
	c.all[1].AwaitReady()
	c.awaitPlaced("it is started again", 0, 1)
	c.awaitStored(time.Now())
	c.complete()
	c.chains()
	for _, i := range []int{1, 0} {
		c.all[i].Stop()
		if why := c.all[i].Crashed(); why != "" {
			t.Errorf("%s: %s", c.name(i), why)
		}
	}
}
