// Package forest is a monitoring service over more actors than a machine of tests could
// give work to: they are real, supervised and alive, and some of them are told things all
// the time, but they collect nothing.
package forest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/monitoring"
	"github.com/marketprism/marketprism/http/ui"
)

// Forest is a tree of very many actors, and the dashboard that shows it.
type Forest struct {
	URL    string
	System *supervise.System
	// Actors are all of them, supervisors included.
	Actors int
}

// leaf is an actor that takes what it is told.
type leaf struct{}

// Receive does nothing.
func (leaf) Receive(*supervise.Context) {}

// word is what leaves are told.
type word struct{}

// Supervisor is where the leaves are: of the n-th one, the ids begin with it.
func Supervisor(n int) string { return fmt.Sprintf("root/forest/market-%02d", n) }

// Grow starts a tree of supervisors with leaves each, and a monitoring service with the
// dashboard over it; both end with the test. Each second so many leaves are told something,
// one after the other.
func Grow(t testing.TB, supervisors, leaves, toldEachSecond int) *Forest {
	t.Helper()
	var markets []supervise.Spec
	for m := range supervisors {
		var specs []supervise.Spec
		for s := range leaves {
			specs = append(specs, supervise.Spec{Name: fmt.Sprintf("LEAF%04d-USDT", s), Kind: "stream", New: func() supervise.Actor { return leaf{} }})
		}
		markets = append(markets, supervise.Branch(fmt.Sprintf("market-%02d", m), supervise.DefaultStrategy(), specs...))
	}
	server, sys := watched(t, nil, nil, supervise.Branch("forest", supervise.DefaultStrategy(), markets...))
	tell(t, sys, supervisors, leaves, toldEachSecond)
	return &Forest{URL: server.URL(), System: sys, Actors: len(sys.Tree().Snapshot().Actors)}
}

// watched starts a system of actors, with a monitoring service that has the dashboard,
// the services beside it by their addresses, and a Prometheus if there is one.
func watched(t testing.TB, beside map[string]string, prometheus *branch.Prometheus, specs ...supervise.Spec) (*chassis.Server, *supervise.System) {
	t.Helper()
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := chassis.New(chassis.Options{Service: monitoring.Service, Listen: "127.0.0.1:0", Config: chassis.DefaultConfig()})
	if err != nil {
		t.Fatal(err)
	}
	at := func(_ context.Context, service string) ([]string, error) {
		switch url, ok := beside[service]; {
		case service == monitoring.Service:
			return []string{s.URL()}, nil
		case ok:
			return []string{url}, nil
		}
		return nil, nil
	}
	begin := make(chan struct{})
	watch, err := branch.New(branch.Options{
		Config: branch.DefaultConfig(), Self: monitoring.Service, Services: []string{monitoring.Service}, DataDir: t.TempDir(), Begin: begin, Instances: at,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := monitoring.Options{Tree: sys.Tree(), Branch: watch, Mount: at, Fetch: fetcher(at)}
	var further []supervise.Spec
	if prometheus != nil {
		further = prometheus.Specs()
		o.Prometheus = &monitoring.Prometheus{
			Queries: prometheus.Engine, Scraped: prometheus.Scraper, Ruled: prometheus.Rules,
			Interval: prometheus.Config.Scrape.Interval, Timeout: prometheus.Config.Scrape.Timeout,
		}
	}
	if err := sys.Start(t.Context(), append(specs, watch.Spec(further...))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		watch.Close()
	})
	if err := errors.Join(monitoring.Register(s, o), ui.Register(s)); err != nil {
		t.Fatal(err)
	}
	listen(t, s)
	close(begin)
	return s, sys
}

// listen starts a server that ends with the test.
func listen(t testing.TB, s *chassis.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Ready()
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

// fetcher asks the services for live pages.
func fetcher(at monitoring.Whereabouts) monitoring.Fetch {
	return func(ctx context.Context, service, path string) (json.RawMessage, error) {
		found, err := at(ctx, service)
		if err != nil || len(found) == 0 {
			return nil, errors.Join(err, fmt.Errorf("%s runs nowhere", service))
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, found[0]+path, nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return io.ReadAll(resp.Body)
	}
}

// tell tells leaves something until the test ends.
func tell(t testing.TB, sys *supervise.System, supervisors, leaves, eachSecond int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var telling sync.WaitGroup
	t.Cleanup(func() { cancel(); telling.Wait() })
	telling.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for range eachSecond / 10 {
				id := fmt.Sprintf("%s/LEAF%04d-USDT", Supervisor(n%supervisors), n/supervisors%leaves)
				if pid, ok := sys.Lookup(id); ok {
					_ = sys.Tell(pid, word{}) // one that has just stopped is told nothing
				}
				n++
			}
		}
	})
}
