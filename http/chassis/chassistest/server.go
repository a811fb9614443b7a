package chassistest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/http/chassis"
)

// Serve starts a façade on a free port of the loopback interface, ready, and
// stops it when the test ends. register gives it its routes; change, if any, other
// options.
func Serve(t testing.TB, service string, register func(*chassis.Server) error, change ...func(*chassis.Options)) *chassis.Server {
	t.Helper()
	o := chassis.Options{Service: service, Listen: "127.0.0.1:0", Config: chassis.DefaultConfig()}
	for _, c := range change {
		c(&o)
	}
	s, err := chassis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := register(s); err != nil {
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
	return s
}

// Answer is what came back.
type Answer struct {
	Status  int
	Header  http.Header
	Body    string // without the newline at its end
	Trailer http.Header
}

// Call sends one request; body "" sends none, media "" names no content type.
func Call(t testing.TB, s *chassis.Server, method, path, media, body string) Answer {
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
	defer func() { _ = resp.Body.Close() }() // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, strings.TrimSuffix(string(text), "\n"), resp.Trailer}
}
