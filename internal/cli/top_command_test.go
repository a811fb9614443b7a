package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTop prints tables where the output is no terminal.
func TestTop(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/ui/live" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		stream := `"streams/okx/spot/BTC-USDT":{"exchange":"okx","market":"spot","symbol":"BTC-USDT","live":true,"book_state":"live","channels":[{"records":%d}]}`
		fmt.Fprintf(w, `event: snapshot`+"\n"+`data: {"time":"2026-03-01T12:00:00Z","topics":{"quality":{`+stream+`},"actors":{"root":{"kind":"supervisor","state":"running"},"root/a":{"order":1,"busy_ratio":0.5,"state":"running"}}}}`+"\n\n", 10)
		for i := 1; i <= 9; i++ {
			fmt.Fprintf(w, "event: diff\n"+`data: {"time":"2026-03-01T12:00:0%dZ","set":{"quality":{`+stream+`}}}`+"\n\n", i, 10+50*i)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	for name, tc := range map[string]struct {
		args []string
		code int
		want []string
		not  string
	}{
		"streams":   {[]string{"--rounds", "2"}, 0, []string{"12:00:02Z  1 streams, 2 actors", "12:00:04Z", "okx/spot/BTC-USDT  live      50"}, "12:00:03Z"},
		"actors":    {[]string{"actors", "--by", "busy", "--rounds", "1", "-n", "1"}, 0, []string{"root/a", "50%"}, "supervisor"},
		"of actors": {[]string{"--by", "rate", "--rounds", "1"}, 0, []string{"root/a", "supervisor"}, "STREAM"},
		"json":      {[]string{"--rounds", "1", "-o", "json"}, 0, []string{`"rate":50`, `"id":"root/a"`}, "ACTOR"},
		"no table":  {[]string{"books"}, 2, []string{"books"}, "STREAM"},
		"no column": {[]string{"--by", "luck"}, 2, []string{`--by "luck": streams have name, state, rate`}, "STREAM"},
		"nowhere":   {[]string{"--at", "http://127.0.0.1:1", "--rounds", "1"}, 1, []string{"does it run?"}, "STREAM"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := Run(t.Context(), append(append(map[bool][]string{true: {"actors"}}[name == "of actors"], "top", "--at", server.URL), tc.args...), strings.NewReader(""), &out, &errs, nil)
			text := out.String() + errs.String()
			if code != tc.code {
				t.Errorf("exit %d, want %d: %s", code, tc.code, text)
			}
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			if strings.Contains(text, tc.not) {
				t.Errorf("%q is in\n%s", tc.not, text)
			}
		})
	}
}
