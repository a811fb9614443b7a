package storage_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/journal"
	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/storage"
)

// now is the time of all answers.
var now = time.Date(2024, 8, 8, 12, 0, 5, 0, time.UTC)

// serve starts the façade over a memory.
func serve(t testing.TB) (*chassis.Server, *memory) {
	t.Helper()
	return serveWith(t, recorders{{State: "accepting", Limit: 64, Acknowledged: now}})
}

func serveWith(t testing.TB, ways recorders) (*chassis.Server, *memory) {
	t.Helper()
	m := newMemory(t)
	clock := func() time.Time { return now }
	s, err := chassis.New(chassis.Options{Service: "data-storage-service", Listen: "127.0.0.1:0", Config: chassis.DefaultConfig()})
	if err != nil {
		t.Fatal(err)
	}
	err = storage.Register(s, storage.Options{Branch: m, Recorders: ways, Catalogue: binance(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Ready()
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, m
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	next   string // X-Next-Cursor of the trailer
}

// call sends one request; body "" sends none.
func call(t testing.TB, s *chassis.Server, method, path, media, body string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, strings.TrimSuffix(string(text), "\n"), resp.Trailer.Get("X-Next-Cursor")}
}

func get(t testing.TB, s *chassis.Server, path string) answer {
	t.Helper()
	return call(t, s, http.MethodGet, "/api/v1/storage/"+path, "", "")
}

func post(t testing.TB, s *chassis.Server, path, body string) answer {
	t.Helper()
	return call(t, s, http.MethodPost, "/api/v1/storage/"+path, "application/json", body)
}

// problem reads an error answer.
func problem(t testing.TB, a answer) chassis.Problem {
	t.Helper()
	var p chassis.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return p
}

// The real handles answer what the façade asks.
var (
	_ storage.Branch    = (*branch.Handle)(nil)
	_ storage.Recorders = (*journal.Handle)(nil)
)
