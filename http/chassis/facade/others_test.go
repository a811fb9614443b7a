package facade_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// there is one other node.
type there string

// Name implements facade.Others, as do those below.
func (there) Name() string { return "here" }

func (u there) Nodes() (map[string]string, <-chan struct{}) {
	return map[string]string{"there": string(u)}, nil
}

func (there) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r)
}

// TestPassBroken: where the other node breaks off, a question may be asked again, and of
// a command it is said that it may have been carried out.
func TestPassBroken(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer broken.Close()
	s := chassistest.Serve(t, "test-service", func(s *chassis.Server) error {
		p := facade.NewPasser(there(broken.URL), "the thing", "thing_away")
		var routes []chassis.Route
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			routes = append(routes, chassis.Route{Method: method, Path: "/api/v1/thing", ID: method + "Thing", Tag: "things", Summary: "The thing", Handler: func(w http.ResponseWriter, r *http.Request) error {
				return p.Pass(w, r, "there")
			}})
		}
		return s.Handle(routes...)
	})
	for method, want := range map[string]int{http.MethodGet: http.StatusServiceUnavailable, http.MethodPost: http.StatusBadGateway} {
		if a := chassistest.Call(t, s, method, "/api/v1/thing", "", ""); a.Status != want {
			t.Errorf("%s was answered %d: %s", method, a.Status, a.Body)
		}
	}
}

// TestMay: not to itself, not to where it came through, and not for ever.
func TestMay(t *testing.T) {
	p := facade.NewPasser(there(""), "the thing", "thing_away")
	for _, c := range []struct {
		passed, node string
		want         bool
	}{
		{"", "there", true}, {"", "", false}, {"", "here", false}, {"other", "there", true}, {"there", "there", false}, {"a,b", "there", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c.passed != "" {
			r.Header.Set(facade.HeaderPassed, c.passed)
		}
		if got := p.May(r, c.node); got != c.want || facade.Passed(r) != (c.passed != "") {
			t.Errorf("through %q to %q: %v", c.passed, c.node, got)
		}
	}
}
