package chassis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

type teapot struct{}

func (teapot) Error() string   { return "short and stout" }
func (teapot) HTTPStatus() int { return 418 }

type brownout struct{ after time.Duration }

func (brownout) Error() string               { return "secret address 10.0.0.1" }
func (brownout) HTTPStatus() int             { return 503 }
func (b brownout) RetryAfter() time.Duration { return b.after }

type flaky struct{}

func (flaky) Error() string   { return "secret" }
func (flaky) Temporary() bool { return true }

type wild struct{}

func (wild) Error() string   { return "secret" }
func (wild) HTTPStatus() int { return 200 }

func TestWriteError(t *testing.T) {
	tests := []struct {
		err    error
		status int
		code   string
		retry  string
		says   string
	}{
		{chassis.BadRequest("no %s", "way"), 400, "bad_request", "", "no way"},
		{chassis.Forbidden("no"), 403, "forbidden", "", "no"},
		{fmt.Errorf("looking: %w", chassis.NotFound("no such thing").WithCode("thing_unknown")), 404, "thing_unknown", "", "no such thing"},
		{chassis.Conflict("taken"), 409, "conflict", "", "taken"},
		{chassis.TooLarge(10), 413, "too_large", "", "10 bytes"},
		{&http.MaxBytesError{Limit: 10}, 413, "too_large", "", "10 bytes"},
		{chassis.Unprocessable(chassis.Field("/a/0", "must be %d", 1)), 422, "invalid_field", "", "/a/0 must be 1"},
		{chassis.TooMany(1500*time.Millisecond, "slow down"), 429, "too_many_requests", "2", "slow down"},
		{chassis.Unavailable(time.Minute, "full"), 503, "unavailable", "60", "full"},
		{chassis.Unavailable(0, "full").WithCause(errors.New("secret")), 503, "unavailable", "1", "full"},
		{chassis.NotImplemented("candles"), 501, "not_implemented", "", "candles is not implemented"},
		{teapot{}, 418, "http_418", "", "short and stout"},
		{fmt.Errorf("secret: %w", brownout{5 * time.Second}), 503, "unavailable", "5", "Service Unavailable"},
		{context.DeadlineExceeded, 503, "deadline_exceeded", "1", "deadline"},
		{flaky{}, 503, "unavailable", "1", "does not answer"},
		{wild{}, 500, "internal", "", "internal error"},
		{errors.New("secret"), 500, "internal", "", "internal error"},
	}
	for _, test := range tests {
		h := start(t, nil, get("/it", func(http.ResponseWriter, *http.Request) error { return test.err }))
		a := h.ask(t, "GET", "/it", "")
		p := a.problem(t)
		if a.status != test.status || p.Code != test.code || a.header.Get("Retry-After") != test.retry || !strings.Contains(p.Detail, test.says) {
			t.Errorf("%v: %d %q %q %q", test.err, a.status, p.Code, a.header.Get("Retry-After"), p.Detail)
		}
		if strings.Contains(a.body, "secret") {
			t.Errorf("%v leaks: %s", test.err, a.body)
		}
	}
	// Without a server around it, as a façade's unit test calls it.
	w := httptest.NewRecorder()
	chassis.WriteError(w, httptest.NewRequest("GET", "/", nil), errors.New("x"))
	if w.Code != 500 {
		t.Errorf("bare: %d", w.Code)
	}
}

func TestWriteJSONIsComplete(t *testing.T) {
	type inner struct {
		Rows []int            `json:"rows"`
		Skip []int            `json:"skip,omitempty"`
		At   time.Time        `json:"at"`
		Raw  json.RawMessage  `json:"raw,omitempty"`
		Next *inner           `json:"next"`
		Any  any              `json:"any"`
		ByID map[string][]int `json:"by_id"`
		Two  [2][]string      `json:"two"`
	}
	shanghai := time.FixedZone("", 8*3600)
	v := map[string]any{"list": []inner{{At: time.Date(2024, 1, 1, 8, 0, 0, 5, shanghai), Next: &inner{At: time.Unix(0, 0).UTC()},
		Any: []string(nil), ByID: map[string][]int{"a": nil}}}, "none": map[string]int(nil), "html": "<&>"}
	w := httptest.NewRecorder()
	if err := chassis.WriteJSON(w, httptest.NewRequest("GET", "/", nil), 200, v); err != nil {
		t.Fatal(err)
	}
	const want = `{"html":"<&>","list":[{"rows":[],"at":"2024-01-01T00:00:00.000000005Z","next":{"rows":[],"at":"1970-01-01T00:00:00Z","next":null,"any":null,"by_id":{},"two":[[],[]]},"any":[],"by_id":{"a":[]},"two":[[],[]]}],"none":{}}` + "\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if rows := v["list"].([]inner)[0]; rows.Rows != nil || rows.Any.([]string) != nil {
		t.Error("the value was changed")
	}
	if err := chassis.WriteJSON(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), 200, func() {}); err == nil {
		t.Error("encoded a function")
	}
}

func TestETag(t *testing.T) {
	h := start(t, nil, get("/it", func(w http.ResponseWriter, r *http.Request) error {
		return chassis.WriteCacheable(w, r, strings.Repeat("x", 2000))
	}))
	for _, coding := range []string{"identity", "gzip"} {
		first := h.ask(t, "GET", "/it", "", "Accept-Encoding", coding)
		tag := first.header.Get("ETag")
		if first.status != 200 || !strings.HasPrefix(tag, `W/"`) {
			t.Fatalf("%d %q", first.status, tag)
		}
		for _, have := range []string{tag, "*", `"other", ` + tag, strings.TrimPrefix(tag, "W/")} {
			if a := h.ask(t, "GET", "/it", "", "If-None-Match", have, "Accept-Encoding", coding); a.status != 304 || a.body != "" {
				t.Errorf("%s: %d", have, a.status)
			}
		}
		if a := h.ask(t, "GET", "/it", "", "If-None-Match", `"other"`); a.status != 200 {
			t.Errorf("other: %d", a.status)
		}
	}
}

func TestStreams(t *testing.T) {
	const rows = 50_000
	stream := func(s *chassis.Stream) error {
		for i := range rows {
			var err error
			switch i % 3 {
			case 0:
				err = s.Write(map[string]int{"n": i})
			case 1:
				err = s.WriteRaw(fmt.Appendf(nil, `{"n":%d}`, i))
			default:
				err = s.WriteFunc(func(b []byte) ([]byte, error) { return fmt.Appendf(b, `{"n":%d}`, i), nil })
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	h := start(t, nil,
		get("/lines", func(w http.ResponseWriter, r *http.Request) error {
			s := chassis.NewLines(w, r)
			defer s.Release()
			if err := stream(s); err != nil {
				return err
			}
			return s.Close(nil)
		}),
		get("/array", func(w http.ResponseWriter, r *http.Request) error {
			s, err := chassis.NewArray(w, r, map[string]string{"status": "success"}, "data")
			if err != nil {
				return err
			}
			defer s.Release()
			if err := stream(s); err != nil {
				return err
			}
			return s.Close(struct {
				Count int `json:"count"`
			}{s.Rows()})
		}),
		get("/empty", func(w http.ResponseWriter, r *http.Request) error {
			s, err := chassis.NewArray(w, r, nil, "data")
			if err != nil {
				return err
			}
			defer s.Release()
			return s.Close(nil)
		}),
		get("/early", func(w http.ResponseWriter, r *http.Request) error {
			s := chassis.NewLines(w, r)
			defer s.Release()
			if err := s.Write(1); err != nil {
				return err
			}
			return chassis.NotFound("after all")
		}))
	a := h.ask(t, "GET", "/lines", "")
	if lines := strings.Split(strings.TrimSpace(a.body), "\n"); len(lines) != rows || lines[rows-1] != `{"n":49999}` || a.header.Get("Content-Type") != chassis.MediaNDJSON {
		t.Errorf("%d lines, %v", len(lines), a.header)
	}
	var got struct {
		Status string
		Data   []struct{ N int }
		Count  int
	}
	a = h.ask(t, "GET", "/array", "")
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Status != "success" || got.Count != rows || len(got.Data) != rows || got.Data[rows-1].N != rows-1 {
		t.Errorf("%v: %s %d %d", err, got.Status, got.Count, len(got.Data))
	}
	if a := h.ask(t, "GET", "/empty", ""); a.body != "{\"data\":[]}\n" {
		t.Errorf("empty: %q", a.body)
	}
	if a := h.ask(t, "GET", "/early", ""); a.status != 404 || a.problem(t).Detail != "after all" {
		t.Errorf("early: %d %s", a.status, a.body)
	}
}

// A stream ends when its client leaves, and when its client stops reading.
func TestStreamStopsWithItsClient(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		ended := make(chan error, 1)
		r := get("/endless", func(w http.ResponseWriter, r *http.Request) error {
			s := chassis.NewLines(w, r)
			defer s.Release()
			for {
				if err := s.Write(strings.Repeat("x", 1000)); err != nil {
					ended <- err
					return err
				}
			}
		})
		r.Timeout = chassis.NoTimeout
		h := start(t, func(o *chassis.Options) { o.Config.WriteTimeout = 200 * time.Millisecond }, r)
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.URL()+"/endless", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "identity") // so that the connection's buffers fill soon
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if leaves {
			resp.Body.Close()
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("leaves %v: still writing", leaves)
		}
		resp.Body.Close()
	}
}
