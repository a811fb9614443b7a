package consul

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
)

// torn is a way to a Consul that panics at the first question to a path.
type torn struct {
	path  string
	asked atomic.Int32
	// answer is that to the questions to path that follow.
	answer string
}

func (w *torn) RoundTrip(r *http.Request) (*http.Response, error) {
	text := "true"
	if strings.HasPrefix(r.URL.Path, w.path) && r.Method == http.MethodGet {
		if w.asked.Add(1) == 1 {
			panic("torn")
		}
		text = w.answer
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"X-Consul-Index": {"7"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r,
	}, nil
}

// over makes a node whose questions go that way.
func over(t *testing.T, way *torn, probe func(context.Context, Member) error) *Node {
	t.Helper()
	c := cluster.DefaultConsul()
	c.TTL = time.Second
	n, err := New(Options{Config: c, Name: "a", Services: []string{cluster.Storage}, Probe: probe, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if n.client, err = newClient(c, way); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPanicOfDirectory: a panic in a goroutine of the directory, or in a probe, fails its
// actor, which begins anew; the process lives.
func TestPanicOfDirectory(t *testing.T) {
	const ill = `[{"Node":{"Node":"x","Address":"127.0.0.1"},"Service":{"ID":"s@b","Service":"s","Port":1,"Meta":{"node":"b"}},"Checks":[{"Status":"warning"}]}]`
	for name, way := range map[string]*torn{
		"the question": {path: "/v1/health/service/", answer: "[]"},
		"the probe":    {path: "/v1/health/service/", answer: ill},
	} {
		t.Run(name, func(t *testing.T) {
			var probes atomic.Int32
			if way.answer == ill {
				way.asked.Add(1) // only the probe panics
			}
			n := over(t, way, func(context.Context, Member) error {
				if probes.Add(1) == 1 {
					panic("torn")
				}
				return nil
			})
			system, err := supervise.NewSystem(t.Context(), supervise.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := system.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			if err := system.Start(t.Context(), n.Spec()); err != nil {
				t.Fatal(err)
			}
			for view := n.View(cluster.Storage); view.Generation == 0; view = n.View(cluster.Storage) {
				select {
				case <-view.Changed:
				case <-time.After(time.Minute):
					t.Fatal("the directory has not begun anew")
				}
			}
			for _, a := range system.Tree().Snapshot().Actors {
				if strings.HasSuffix(a.ID, "/directory-"+cluster.Storage) {
					if a.Restarts != 1 || a.LastFailure == nil || a.LastFailure.Reason != "torn" || a.LastFailure.Stack == "" {
						t.Errorf("%s was restarted %d times, failed with %+v", a.ID, a.Restarts, a.LastFailure)
					}
					return
				}
			}
			t.Error("the directory is not in the tree")
		})
	}
}

// TestPanicOfLease: a lease that nobody watches any more is lost, and given back.
func TestPanicOfLease(t *testing.T) {
	way := &torn{path: "/v1/kv/", answer: "[]"}
	n := over(t, way, nil)
	lost, release := n.NewLease("job", cluster.Storage, nil).hold(t.Context(), "session")
	select {
	case <-lost:
	case <-time.After(time.Minute):
		t.Fatal("it is not lost")
	}
	release()
	release()
}
