package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
)

// watchingService answers as the monitoring-service does, of a tree of four.
func watchingService(t *testing.T) string {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	failed := supervise.Node{
		ID: "root/shop/b", Name: "b", Kind: "worker", State: supervise.InBackoff, Restarts: 3, BackoffUntil: &at,
		LastFailure: &supervise.Failure{Time: at, Reason: "no price\nmore", Message: "shop.tick", Stack: "goroutine 1"},
		Messages:    []supervise.MessageStatus{{Message: "shop.tick", Handled: 12, HandleMean: 0.0005, HandleP99: 0.0007}},
	}
	tree := supervise.Snapshot{Ready: true, Actors: []supervise.Node{
		{ID: "root", Name: "root", Kind: "supervisor", State: supervise.Running, Budget: &supervise.BudgetStatus{Restarts: 10, Left: 9}},
		{ID: "root/shop", Name: "shop", Kind: "supervisor", State: supervise.Running},
		{ID: "root/shop/a", Name: "a", Kind: "worker", State: supervise.Running, BusyRatio: 0.5, Rate: 1234, Mailbox: supervise.MailboxStatus{Depth: 7, WaitP99: 0.002}},
		failed,
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/api/v1/actors/tree":
			_ = json.NewEncoder(w).Encode(tree)
		case "/api/v1/actors/root%2Fshop%2Fb":
			_ = json.NewEncoder(w).Encode(failed)
		default:
			w.WriteHeader(404)
			_, _ = w.Write([]byte(`{"detail":"no such actor"}`))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestActorsCommands(t *testing.T) {
	at := watchingService(t)
	for name, tc := range map[string]struct {
		args []string
		code int
		want []string
		not  string
	}{
		"tree":             {[]string{"tree"}, 0, []string{"ACTOR", "\n  shop", "\n    a ", "running", "9/10", "1.23e+03", "2ms", "restarts at 12:00:00.000: no price"}, "more"},
		"below one":        {[]string{"tree", "root/shop"}, 0, []string{"\nshop", "\n  a "}, "9/10"},
		"below nobody":     {[]string{"tree", "root/z"}, 1, []string{`no actor "root/z"`}, "ACTOR"},
		"tree as JSON":     {[]string{"tree", "-o", "json"}, 0, []string{`"id":"root/shop/b"`}, "ACTOR"},
		"inspect":          {[]string{"inspect", "root/shop/b"}, 0, []string{"backoff", "shop.tick", "12", "500µs", "700µs", "no price", "goroutine 1", "3 restarts"}, "{"},
		"inspect nobody":   {[]string{"inspect", "root/z"}, 2, []string{"no such actor"}, "kind"},
		"inspect as JSON":  {[]string{"inspect", "root/shop/b", "-o", "json"}, 0, []string{`"stack":"goroutine 1"`}, "MESSAGE"},
		"in another form":  {[]string{"tree", "-o", "xml"}, 2, []string{"table or json"}, "ACTOR"},
		"of nobody at all": {[]string{"inspect"}, 2, []string{"accepts 1 arg"}, "kind"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append([]string{"actors"}, tc.args...)
			code := Run(context.Background(), append(args, "--at", at), strings.NewReader(""), &out, &errs, nil)
			text := out.String() + errs.String()
			if code != tc.code || strings.Contains(text, tc.not) {
				t.Errorf("code %d, want %d:\n%s", code, tc.code, text)
			}
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
		})
	}
}
