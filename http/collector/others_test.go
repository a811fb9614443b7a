package collector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/collector"
	"github.com/marketprism/marketprism/internal/market"
)

// circle is a cluster of façades, by name.
type circle struct {
	mu      sync.Mutex
	urls    map[string]string
	owner   string
	changed chan struct{}
	http    http.Transport
	conns   []net.Conn // between nodes
}

func newCircle(t *testing.T) *circle {
	c := &circle{urls: map[string]string{}, changed: make(chan struct{})}
	c.http.DialContext = func(ctx context.Context, network, at string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, at)
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conns = append(c.conns, conn)
		}
		return conn, err
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func (c *circle) change(edit func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit()
	close(c.changed)
	c.changed = make(chan struct{})
}

// cut ends all connections between nodes.
func (c *circle) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
}

// place is one of its nodes.
type place struct {
	*circle
	name string
}

// Name implements collector.Others, as do those below.
func (p place) Name() string { return p.name }

func (p place) Whose(exchange, _, _ string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == p.name || exchange != "binance" {
		return ""
	}
	return p.owner
}

func (p place) Nodes() (map[string]string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	urls := maps.Clone(p.urls)
	delete(urls, p.name)
	return urls, p.changed
}

func (p place) RoundTrip(r *http.Request) (*http.Response, error) { return p.http.RoundTrip(r) }

// one is a collector of one stream.
type one struct {
	fixed
	symbol string
}

func (o *one) AllQuality(context.Context) []branch.Quality {
	q := o.quality()
	q.Instrument = &market.Instrument{Exchange: "binance", Symbol: o.symbol}
	return []branch.Quality{q}
}

func (c *circle) serve(t *testing.T, name string, b collector.Branch) *chassis.Server {
	t.Helper()
	s := chassistest.Serve(t, collector.Service, func(s *chassis.Server) error {
		hub, err := live.New(live.Options{Config: live.DefaultConfig(), Directory: directory{}})
		if err != nil {
			return err
		}
		return collector.Register(s, collector.Options{Branch: b, Live: hub, Others: place{c, name}, Now: func() time.Time { return now }})
	})
	c.change(func() { c.urls[name] = s.URL() })
	return s
}

// TestAskAnyNode asks nodes for what others have.
func TestAskAnyNode(t *testing.T) {
	c := newCircle(t)
	nodes := map[string]*chassis.Server{}
	for i, name := range []string{"a", "b", "c"} {
		nodes[name] = c.serve(t, name, &one{symbol: fmt.Sprint("COIN", i, "-USDT")})
	}
	c.change(func() { c.owner = "b" })
	for _, asked := range []string{"a", "b", "c"} {
		status, body, header := call(t, nodes[asked], http.MethodGet, "/api/v1/orderbook/Binance/btc_usdt?format=simple", "")
		want := "b"
		if asked == "b" {
			want = ""
		}
		if status != http.StatusOK || !strings.HasPrefix(body, bookHead) || header.Get("X-MarketPrism-Node") != want {
			t.Errorf("%s answered %d by %q: %s", asked, status, header.Get("X-MarketPrism-Node"), body)
		}
	}
	// What is wrong with a request the owner says.
	if status, body, _ := call(t, nodes["a"], http.MethodGet, "/api/v1/orderbook/binance/nothing", ""); status != http.StatusNotFound || !strings.Contains(body, "unknown_symbol") {
		t.Errorf("answered %d: %s", status, body)
	}
	if status, _, header := call(t, nodes["a"], http.MethodPost, "/api/v1/orderbook/binance/BTCUSDT/refresh", ""); status != http.StatusOK || header.Get("X-MarketPrism-Node") != "b" {
		t.Errorf("refresh was answered %d by %q", status, header.Get("X-MarketPrism-Node"))
	}
	streams := func(query string) (list struct {
		Streams []struct{ Symbol, Node string }
		Missing []string `json:"missing_nodes"`
	}) {
		t.Helper()
		status, body, _ := call(t, nodes["a"], http.MethodGet, "/api/v1/quality"+query, "")
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
			t.Fatalf("%d, %v: %s", status, err, body)
		}
		return list
	}
	all := streams("")
	var names []string
	for _, s := range all.Streams {
		names = append(names, s.Node+" "+s.Symbol)
	}
	if want := []string{"a COIN0-USDT", "b COIN1-USDT", "c COIN2-USDT"}; !slices.Equal(names, want) || len(all.Missing) > 0 {
		t.Errorf("all nodes have %v, missing %v", names, all.Missing)
	}
	if own := streams("?scope=node"); len(own.Streams) != 1 {
		t.Errorf("one node has %v", own)
	}
	var counts struct{ Books int }
	if _, body, _ := call(t, nodes["c"], http.MethodGet, "/api/v1/orderbook/stats", ""); json.Unmarshal([]byte(body), &counts) != nil || counts.Books != 3 {
		t.Errorf("three books are counted as %s", body)
	}

	// The owner does not answer: whoever asks is told to come back, and the lists say whom
	// they lack.
	c.change(func() { c.urls["b"] = "http://127.0.0.1:1" })
	status, body, header := call(t, nodes["a"], http.MethodGet, "/api/v1/trades/binance/BTCUSDT", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "owner_away") || header.Get("Retry-After") == "" {
		t.Errorf("answered %d: %s", status, body)
	}
	if all := streams(""); len(all.Streams) != 2 || !slices.Equal(all.Missing, []string{"b"}) {
		t.Errorf("without b there is %v, missing %v", all.Streams, all.Missing)
	}
}

// TestNeverInACircle: each of two nodes believes that the other has the stream.
func TestNeverInACircle(t *testing.T) {
	c := newCircle(t)
	a := c.serve(t, "a", &fixed{})
	b := chassistest.Serve(t, collector.Service, func(s *chassis.Server) error {
		return collector.Register(s, collector.Options{Branch: &fixed{}, Others: mistaken{place{c, "b"}}})
	})
	c.change(func() { c.urls["b"], c.owner = b.URL(), "b" })
	status, body, header := call(t, a, http.MethodGet, "/api/v1/trades/binance/BTCUSDT", "")
	if status != http.StatusOK || header.Get("X-MarketPrism-Node") != "b" {
		t.Errorf("answered %d by %q: %s", status, header.Get("X-MarketPrism-Node"), body)
	}
}

// mistaken takes a for the owner of everything.
type mistaken struct{ place }

func (mistaken) Whose(_, _, _ string) string { return "a" }
