package chassistest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
)

type trade struct {
	Symbol string      `json:"symbol" required:"true" maxLength:"64"`
	Price  json.Number `json:"price" required:"true"`
	At     time.Time   `json:"at"`
	Note   any         `json:"note"`
}

func facade(t *testing.T) *chassis.Server {
	t.Helper()
	return chassistest.Serve(t, "test-service", func(s *chassis.Server) error {
		return s.Handle(
			chassis.Route{Method: "POST", Path: "/trades/{exchange}", Request: trade{}, Handler: func(w http.ResponseWriter, r *http.Request) error {
				exchange, err := chassis.PathParam(r, "exchange")
				if err != nil {
					return err
				}
				var got trade
				if err := chassis.Decode(r, &got); err != nil {
					return err
				}
				return chassis.WriteJSON(w, r, 200, map[string]any{"exchange": exchange, "got": got})
			}},
			chassis.Route{Method: "GET", Path: "/trades/{exchange}/{symbol}", Params: []chassis.Param{{Name: "limit"}, {Name: "from"}, {Name: "cursor"}},
				Handler: func(w http.ResponseWriter, r *http.Request) error {
					q := chassis.QueryOf(r)
					limit, from := q.Limit(100, 1000), q.Time("from")
					var at int
					q.Cursor("trades", &at)
					if err := q.Err(); err != nil {
						return err
					}
					symbol, err := chassis.PathParam(r, "symbol")
					if err != nil {
						return err
					}
					return chassis.WriteJSON(w, r, 200, map[string]any{"symbol": symbol, "limit": limit, "from": from})
				}},
			chassis.Route{Method: "GET", Path: "/live", Live: true, Handler: func(w http.ResponseWriter, r *http.Request) error {
				if _, err := chassis.NewEvents(w, r); err != nil {
					return err
				}
				<-r.Context().Done()
				return nil
			}},
			chassis.Route{Method: "GET", Path: "/later", Handler: func(http.ResponseWriter, *http.Request) error {
				return chassis.NotImplemented("it")
			}},
		)
	})
}

func TestTheChassisStaysPolite(t *testing.T) {
	s := facade(t)
	described := chassistest.Described(t, s.URL())
	if len(described) < 10 {
		t.Errorf("only %d endpoints described", len(described))
	}
	chassistest.Run(t, s.URL(), append(described, chassistest.Endpoint{
		Method: "POST", Path: "/trades/{exchange}", Params: map[string]string{"exchange": "binance"},
		Body: `{"symbol":"BTC-USDT","price":62345.1,"at":"2024-02-29T12:00:00Z","note":{"a":1}}`,
	}))
}

// verdicts collects what the suite reports of a bad server.
type verdicts struct {
	testing.TB
	lines []string
}

func (v *verdicts) Errorf(format string, args ...any) {
	v.lines = append(v.lines, fmt.Sprintf(format, args...))
}
func (v *verdicts) Error(args ...any) { v.lines = append(v.lines, fmt.Sprint(args...)) }
func (v *verdicts) Helper()           {}

// The suite finds a server that does it wrong.
func TestTheSuiteFindsFaults(t *testing.T) {
	tests := map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"accepts everything": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Write([]byte("{}"))
		}, "body NaN: accepted with 200"},
		"fails inside": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			http.Error(w, "SQL syntax error near 'DROP'", 500)
		}, "answered 500"},
		"refuses without a problem": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			http.Error(w, "no", 400)
		}, "not JSON"},
		"refuses with half a problem": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(400)
			w.Write([]byte(`{"status":400,"detail":"no"}`))
		}, "incomplete"},
		"drops the connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/health" {
					w.Write([]byte(`{"status":"healthy"}`))
					return
				}
				test.serve(w, r)
			}))
			defer s.Close()
			v := &verdicts{TB: t}
			chassistest.Run(v, s.URL, []chassistest.Endpoint{{Method: "POST", Path: "/it/{id}", Body: `{"a":1}`}})
			if !strings.Contains(strings.Join(v.lines, "\n"), test.want) {
				t.Errorf("%d findings, none says %q: %.500s", len(v.lines), test.want, strings.Join(v.lines, "\n"))
			}
		})
	}
}
