package scheduler_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/scheduler"
)

// pair is a node's view of two schedulers.
type pair struct{ name, other, url string }

// Name implements facade.Others, as do those below.
func (p pair) Name() string { return p.name }

func (p pair) Nodes() (map[string]string, <-chan struct{}) {
	return map[string]string{p.other: p.url}, nil
}

func (p pair) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r)
}

// second stands by: it has no tasks, and believes that a node leads.
type second struct {
	scheduler.Branch // answers nothing: whatever is not below ends the test
	leader           string
}

func (s second) Leader() string        { return s.leader }
func (s second) Status() branch.Status { return branch.Status{Elsewhere: s.leader} }

func (s second) Start(context.Context) error { return branch.ErrNotLeading }

func (s second) Run(context.Context, string) (ledger.Fire, error) {
	return ledger.Fire{}, branch.ErrNotLeading
}

func standsBy(t *testing.T, b second, others pair) *chassis.Server {
	t.Helper()
	return chassistest.Serve(t, scheduler.Service, func(s *chassis.Server) error {
		return scheduler.Register(s, scheduler.Options{Branch: b, Others: others})
	})
}

// TestLeaderAnswers: whoever stands by has the scheduler that leads answer, commands
// and bodies included.
func TestLeaderAnswers(t *testing.T) {
	one, _ := serve(t, time.Now)
	two := standsBy(t, second{leader: "one"}, pair{"two", "one", one.URL()})
	by := func(h http.Header) {
		t.Helper()
		if got := h.Get("X-MarketPrism-Node"); got != "one" {
			t.Errorf("answered by %q", got)
		}
	}
	made, h := ask(t, two, 200, "POST", "tasks", `{"name":"hourly","cron_expression":"0 * * * *","target_service":"actor","target_endpoint":"ok"}`)
	by(h)
	id := made["task_id"].(string)
	_, h = ask(t, two, 200, "POST", "tasks/"+id+"/run", "")
	by(h)
	for _, path := range []string{"stop", "start"} {
		_, h = ask(t, two, 200, "POST", path, "")
		by(h)
	}
	list, h := ask(t, two, 200, "GET", "tasks", "")
	by(h)
	if list["count"] != 1.0 {
		t.Errorf("%v", list)
	}
	_, h = ask(t, two, 412, "PUT", "tasks/"+id, `{"name":"daily"}`, "If-Match", `"999999"`)
	by(h)
	status, h := ask(t, two, 200, "GET", "status", "")
	by(h)
	if d := data(t, status); d["leader"] != true || d["total_tasks"] != 1.0 {
		t.Errorf("%v", d)
	}
	own, h := ask(t, two, 200, "GET", "status?scope=node", "")
	if d := data(t, own); d["leader"] != false || d["leader_node"] != "one" || h.Get("X-MarketPrism-Node") != "" {
		t.Errorf("%v", d)
	}
	ask(t, two, 422, "GET", "status?scope=everything", "")
	_, h = ask(t, two, 200, "GET", "cron/explain?expr=@daily", "")
	if h.Get("X-MarketPrism-Node") != "" {
		t.Error("what an expression means was asked elsewhere")
	}
}

// TestLeaderAway: a leader that cannot be reached, one that is not known, and two nodes
// that take each other for it.
func TestLeaderAway(t *testing.T) {
	away := standsBy(t, second{leader: "one"}, pair{"two", "one", "http://127.0.0.1:1"})
	for _, method := range []string{"GET", "POST"} {
		path := map[string]string{"GET": "tasks", "POST": "start"}[method]
		o, h := ask(t, away, 503, method, path, "")
		if o["code"] != "leader_away" || h.Get("Retry-After") == "" || !strings.Contains(o["detail"].(string), "one") {
			t.Errorf("%s: %v", method, o)
		}
	}
	if o, _ := ask(t, standsBy(t, second{}, pair{"two", "one", "http://127.0.0.1:1"}), 503, "POST", "start", ""); o["code"] != "not_leading" {
		t.Errorf("nobody leads: %v", o)
	}
	first := standsBy(t, second{leader: "two"}, pair{"one", "two", away.URL()})
	o, _ := ask(t, standsBy(t, second{leader: "one"}, pair{"two", "one", first.URL()}), 503, "POST", "start", "")
	if o["code"] != "not_leading" {
		t.Errorf("each takes the other for the leader: %v", o)
	}
}
