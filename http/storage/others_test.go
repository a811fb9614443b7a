package storage_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/storage"
)

// others are the stores of other nodes, by name.
type others map[string]string

// Name implements facade.Others, as do those below.
func (others) Name() string { return "here" }

func (o others) Nodes() (map[string]string, <-chan struct{}) { return o, nil }

func (others) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r)
}

// TestOperationElsewhere: any node answers for an operation that another one runs; where
// nobody knows it that is said, and where somebody may it is not denied.
func TestOperationElsewhere(t *testing.T) {
	runs, _ := serve(t)
	idle, _ := serve(t)
	begun := call(t, runs, http.MethodPost, "/api/v1/storage/cold/archive", "", "")
	if begun.status != http.StatusOK {
		t.Fatalf("%d %s", begun.status, begun.body)
	}
	const id = "op1"
	ask := func(id string, o others) answer {
		t.Helper()
		return get(t, chassistest.Serve(t, "data-storage-service", func(s *chassis.Server) error {
			return storage.Register(s, storage.Options{
				Branch: newMemory(t), Recorders: recorders{}, Catalogue: binance(), Now: func() time.Time { return now }, Files: files, Others: o,
			})
		}), "operations/"+id)
	}
	all := others{"one": idle.URL(), "two": runs.URL(), "three": "http://127.0.0.1:1"}
	if a := ask(id, all); a.status != http.StatusOK || a.header.Get("X-MarketPrism-Node") != "two" || !strings.Contains(a.body, `"operation_id":"`+id+`"`) {
		t.Errorf("%d by %q: %s", a.status, a.header.Get("X-MarketPrism-Node"), a.body)
	}
	if a := ask("none", all); a.status != http.StatusServiceUnavailable || problem(t, a).Code != "owner_away" || !strings.Contains(a.body, "three may") {
		t.Errorf("a node that may know it does not answer: %d %s", a.status, a.body)
	}
	delete(all, "three")
	if a := ask("none", all); a.status != http.StatusNotFound || problem(t, a).Code != "unknown_operation" {
		t.Errorf("nobody knows it: %d %s", a.status, a.body)
	}
}

// TestOperationsOfAll: a list has the operations of all nodes, newest first, says who runs
// each, and who was not heard.
func TestOperationsOfAll(t *testing.T) {
	runs, _ := serve(t)
	if begun := call(t, runs, http.MethodPost, "/api/v1/storage/cold/archive", "", ""); begun.status != http.StatusOK {
		t.Fatalf("%d %s", begun.status, begun.body)
	}
	branch := newMemory(t)
	asked := chassistest.Serve(t, "data-storage-service", func(s *chassis.Server) error {
		return storage.Register(s, storage.Options{
			Branch: branch, Recorders: recorders{}, Catalogue: binance(), Now: func() time.Time { return now }, Files: files,
			Others: others{"two": runs.URL(), "three": "http://127.0.0.1:1"},
		})
	})
	if begun := call(t, asked, http.MethodPost, "/api/v1/storage/cold/archive", "", ""); begun.status != http.StatusOK {
		t.Fatalf("%d %s", begun.status, begun.body)
	}
	for query, want := range map[string][]string{
		"operations": {"here", "two"}, "operations?limit=1": {"here"}, "operations?scope=node": {""},
	} {
		a := get(t, asked, query)
		var list struct {
			Data []struct {
				ID   string `json:"operation_id"`
				Node string `json:"node"`
			} `json:"data"`
			Count   int      `json:"count"`
			Missing []string `json:"missing_nodes"`
		}
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK {
			t.Fatalf("%s: %d %s: %v", query, a.status, a.body, err)
		}
		var nodes []string
		for _, o := range list.Data {
			nodes = append(nodes, o.Node)
		}
		if !slices.Equal(nodes, want) || list.Count != len(want) {
			t.Errorf("%s: of %q, want %q: %s", query, nodes, want, a.body)
		}
		if all := !strings.Contains(query, "scope"); all != slices.Equal(list.Missing, []string{"three"}) {
			t.Errorf("%s: missing %q", query, list.Missing)
		}
	}
}
