package storage_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/journal"
	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/storage"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
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
	s := chassistest.Serve(t, "data-storage-service", func(s *chassis.Server) error {
		return storage.Register(s, storage.Options{
			Branch: m, Recorders: ways, Catalogue: binance(), Now: func() time.Time { return now }, Files: files, Patience: 2 * time.Second,
		})
	})
	return s, m
}

// files makes Parquet as the program does.
func files(w io.Writer, kind market.Kind, fields []string) (storage.FileWriter, error) {
	schema, err := part.NewSchema(kind)
	if err != nil {
		return nil, err
	}
	return part.NewExport(w, schema, fields)
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
	a := chassistest.Call(t, s, method, path, media, body)
	return answer{a.Status, a.Header, a.Body, a.Trailer.Get("X-Next-Cursor")}
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
