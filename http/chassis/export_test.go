package chassis

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
)

// Registered lists what the router serves, as the OpenAPI document writes it.
func (s *Server) Registered() []string {
	var out []string
	walk := func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		switch method {
		case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
			out = append(out, method+" "+strings.TrimSuffix(path, "*")+map[bool]string{true: "{rest}"}[strings.HasSuffix(path, "*")])
		}
		return nil
	}
	if err := chi.Walk(s.mux, walk); err != nil {
		panic(err)
	}
	return out
}

// Seal completes the routes without listening, for benchmarks.
func (s *Server) Seal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seal()
}

// ServeMetrics is for tests.
var ServeMetrics = serveMetrics
