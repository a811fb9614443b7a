package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger/ledgertest"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/scheduler"
)

const base = "/api/v1/scheduler/"

// serve runs a façade over a real branch, whose ledger is in memory.
func serve(t *testing.T, now func() time.Time) (*chassis.Server, *ledgertest.Memory) {
	t.Helper()
	store := ledgertest.New()
	o := branch.Options{
		Config: branch.DefaultConfig(), Store: store, Services: []string{"data-storage-service"},
		Resolve: func(context.Context, string) ([]string, error) { return nil, nil },
		Messages: map[string]branch.Message{
			"ok":   func(context.Context, json.RawMessage) (string, error) { return "fine", nil },
			"bad":  func(context.Context, json.RawMessage) (string, error) { return "", errors.New("it is broken") },
			"hang": func(ctx context.Context, _ json.RawMessage) (string, error) { <-ctx.Done(); return "", ctx.Err() },
		},
	}
	h, err := branch.New(o)
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sys.Start(ctx, h.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return chassistest.Serve(t, scheduler.Service, func(s *chassis.Server) error {
		return scheduler.Register(s, scheduler.Options{Branch: h, Now: now})
	}), store
}

type object = map[string]any

// ask sends a request that has to be answered with a status.
func ask(t *testing.T, s *chassis.Server, status int, method, path, body string, header ...string) (object, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" { // as older clients send an empty body
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %s (%v)", method, path, resp.StatusCode, status, text, err)
	}
	return o, resp.Header
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

func data(t *testing.T, o object) object {
	t.Helper()
	d, ok := o["data"].(object)
	if !ok {
		t.Fatalf("no data in %v", o)
	}
	return d
}

// A task's life as a client sees it.
func TestLife(t *testing.T) {
	s, _ := serve(t, nil)
	made, header := ask(t, s, 200, "POST", "tasks", `{"name":"nightly","cron_expression":"0 2 * * *","target_service":"actor","target_endpoint":"ok","payload":{"a":[1,2.50]},
		"timezone":"Asia/Tokyo","retry":{"max_attempts":3},"misfire":"once","something_new":1}`)
	id, _ := made["task_id"].(string)
	if made["status"] != "success" || id == "" || made["message"] == "" || !strings.HasSuffix(fmt.Sprint(made["next_run"]), "T17:00:00Z") || header.Get("ETag") == "" {
		t.Fatalf("made: %v, ETag %q", made, header.Get("ETag"))
	}
	one, header := ask(t, s, 200, "GET", "tasks/"+id, "")
	d := data(t, one)
	for name, want := range map[string]any{
		"task_id": id, "name": "nightly", "cron_expression": "0 2 * * *", "target_service": "actor", "target_endpoint": "ok", "status": "pending",
		"last_run": nil, "run_count": 0.0, "error_count": 0.0, "last_error": nil, "timezone": "Asia/Tokyo", "misfire": "once", "overlap": "skip",
		"schedule": "at 02:00, Asia/Tokyo time", "paused": false, "method": "POST",
	} {
		if got, there := d[name]; !there || got != want {
			t.Errorf("%s: got %v (%v), want %v", name, got, there, want)
		}
	}
	if fmt.Sprint(d["payload"]) != "map[a:[1 2.5]]" || d["retry"].(object)["max_attempts"] != 3.0 {
		t.Errorf("payload %v, retry %v", d["payload"], d["retry"])
	}
	tag := header.Get("ETag")
	changed, header := ask(t, s, 200, "PUT", "tasks/"+id, `{"target_endpoint":"bad","timezone":"UTC"}`, "If-Match", tag)
	if header.Get("ETag") == tag || !strings.HasSuffix(fmt.Sprint(changed["next_run"]), "T02:00:00Z") {
		t.Errorf("changed: %v, ETag %s", changed, header.Get("ETag"))
	}
	ask(t, s, 412, "PUT", "tasks/"+id, `{"name":"x"}`, "If-Match", tag)
	ask(t, s, 412, "DELETE", "tasks/"+id, "", "If-Match", tag)
	ask(t, s, 412, "POST", "tasks/"+id+"/pause", "", "If-Match", `"nonsense"`)
	window := func() string {
		one, _ := ask(t, s, 200, "GET", "tasks/"+id, "")
		return fmt.Sprint(data(t, one)["start_at"], " ", data(t, one)["end_at"])
	}
	ask(t, s, 200, "PUT", "tasks/"+id, `{"start_at":"2020-01-01","end_at":"2099-01-01T00:00:00Z"}`)
	if w := window(); w != "2020-01-01T00:00:00Z 2099-01-01T00:00:00Z" {
		t.Errorf("window %s", w)
	}
	ask(t, s, 200, "PUT", "tasks/"+id, `{"start_at":null}`)
	if w := window(); w != "<nil> 2099-01-01T00:00:00Z" {
		t.Errorf("without its begin: %s", w)
	}
	if o, _ := ask(t, s, 422, "PUT", "tasks/"+id, `{"end_at":"soon"}`); !strings.Contains(fmt.Sprint(o["errors"]), "/end_at") {
		t.Errorf("refused: %v", o)
	}
	run, _ := ask(t, s, 200, "POST", "tasks/"+id+"/run", "")
	if !strings.HasPrefix(fmt.Sprint(run["run_id"]), id+"@") {
		t.Errorf("run: %v", run)
	}
	eventually(t, "a failed run", func() bool {
		one, _ := ask(t, s, 200, "GET", "tasks/"+id, "")
		d := data(t, one)
		return d["status"] == "failed" && d["run_count"] == 1.0 && d["error_count"] == 1.0 && d["last_error"] == "it is broken" && d["last_run"] != nil
	})
	runs, _ := ask(t, s, 200, "GET", "tasks/"+id+"/runs", "")
	first := runs["data"].([]any)[0].(object)
	if runs["count"] != 1.0 || first["status"] != "failed" || first["cause"] != "manual" || first["attempts"] != 3.0 || first["task_name"] != "nightly" {
		t.Errorf("runs: %v", runs)
	}
	if paused, _ := ask(t, s, 200, "POST", "tasks/"+id+"/pause", ""); paused["next_run"] != nil {
		t.Errorf("paused: %v", paused)
	}
	if resumed, _ := ask(t, s, 200, "POST", "tasks/"+id+"/resume", ""); resumed["next_run"] == nil {
		t.Errorf("resumed: %v", resumed)
	}
	ask(t, s, 200, "DELETE", "tasks/"+id, "")
	for _, path := range []string{"GET tasks/" + id, "DELETE tasks/" + id, "POST tasks/" + id + "/run", "POST tasks/" + id + "/cancel", "GET tasks/" + id + "/runs", "POST tasks/" + id + "/pause"} {
		method, path, _ := strings.Cut(path, " ")
		if gone, _ := ask(t, s, 404, method, path, ""); gone["code"] != "unknown_task" {
			t.Errorf("%s %s: %v", method, path, gone)
		}
	}
}

func TestCancel(t *testing.T) {
	s, _ := serve(t, nil)
	made, _ := ask(t, s, 200, "POST", "tasks", `{"name":"long","cron_expression":"@yearly","target_service":"actor","target_endpoint":"hang"}`)
	id := fmt.Sprint(made["task_id"])
	ask(t, s, 200, "POST", "tasks/"+id+"/run", "")
	status, _ := ask(t, s, 200, "GET", "status", "")
	for _, name := range []string{"pending_tasks", "completed_tasks", "failed_tasks", "cancelled_tasks", "timestamp", "paused_tasks"} {
		if _, there := data(t, status)[name]; !there {
			t.Errorf("status has no %s", name)
		}
	}
	if d := data(t, status); d["scheduler_running"] != true || d["total_tasks"] != 1.0 || d["running_tasks"] != 1.0 || d["active_runs"] != 1.0 {
		t.Errorf("status: %v", d)
	}
	if c, _ := ask(t, s, 200, "POST", "tasks/"+id+"/cancel", ""); c["cancelled"] != 1.0 {
		t.Errorf("cancelled: %v", c)
	}
	eventually(t, "the end of the run", func() bool {
		status, _ := ask(t, s, 200, "GET", "status", "")
		return data(t, status)["cancelled_tasks"] == 1.0
	})
	ask(t, s, 200, "POST", "tasks/"+id+"/run", "")
	ask(t, s, 200, "DELETE", "tasks/"+id, "") // right after run
	ask(t, s, 200, "POST", "stop", "")
	if d, _ := ask(t, s, 200, "GET", "status", ""); data(t, d)["scheduler_running"] != false {
		t.Errorf("stopped: %v", d)
	}
	ask(t, s, 200, "POST", "start", "")
}

func TestRefused(t *testing.T) {
	s, store := serve(t, nil)
	for body, want := range map[string][2]string{
		`{"name":"x","cron_expression":"*/75 * * * *","target_service":"actor","target_endpoint":"ok"}`:                                            {"/cron_expression", "minute, column 3"},
		`{"name":"x","cron_expression":"* * * *","target_service":"actor","target_endpoint":"ok"}`:                                                 {"/cron_expression", "4 fields"},
		`{"name":"x","cron_expression":"0 0 30 2 *","target_service":"actor","target_endpoint":"ok"}`:                                              {"/cron_expression", "never due"},
		`{"name":"x","cron_expression":"* * * * *","target_service":"nobody","target_endpoint":"/x"}`:                                              {"/target_service", "data-storage-service"},
		`{"name":"x","cron_expression":"* * * * *","target_service":"data-storage-service","target_endpoint":"http://evil/"}`:                      {"/target_endpoint", "a path"},
		`{"name":"x","cron_expression":"* * * * *","target_service":"url","target_endpoint":"http://169.254.169.254/"}`:                            {"/target_endpoint", "not allowed"},
		`{"name":"x","cron_expression":"* * * * *","target_service":"actor","target_endpoint":"ok","timezone":"Mars"}`:                             {"/timezone", "no time zone"},
		`{"name":"x","cron_expression":"* * * * *","target_service":"actor","target_endpoint":"ok","retry":{"max_attempts":99}}`:                   {"/retry/max_attempts", ""},
		`{"name":"x","cron_expression":"* * * * *","target_service":"actor","target_endpoint":"ok","overlap":"perhaps"}`:                           {"/overlap", "skip, queue"},
		`{"cron_expression":"* * * * *","target_service":"actor","target_endpoint":"ok"}`:                                                          {"/name", ""},
		`{"name":"x","cron_expression":"* * * * *","target_service":"actor","target_endpoint":"ok","start_at":"2030-01-01","end_at":"2029-01-01"}`: {"/end_at", "after start_at"},
	} {
		o, _ := ask(t, s, 422, "POST", "tasks", body)
		list, _ := o["errors"].([]any)
		if len(list) != 1 || list[0].(object)["pointer"] != want[0] || !strings.Contains(fmt.Sprint(list[0].(object)["message"]), want[1]) {
			t.Errorf("%s: %v, want %v", body, o["errors"], want)
		}
	}
	ask(t, s, 400, "POST", "tasks", "")
	ask(t, s, 422, "GET", "tasks?status=odd", "")
	ask(t, s, 422, "GET", "runs?limit=0", "")
	if o, _ := ask(t, s, 422, "GET", "cron/explain?expr=5+*+*+*+13", ""); !strings.Contains(fmt.Sprint(o["errors"]), "day of week, column 9") {
		t.Errorf("explain: %v", o)
	}
	ask(t, s, 422, "GET", "cron/explain", "")
	store.Break(errors.New("away"))
	if o, header := ask(t, s, 503, "POST", "tasks", `{"name":"x","cron_expression":"* * * * *","target_service":"actor","target_endpoint":"ok"}`); header.Get("Retry-After") == "" {
		t.Errorf("without a ledger: %v", o)
	}
}

func TestPages(t *testing.T) {
	s, _ := serve(t, nil)
	for i := range 5 {
		ask(t, s, 200, "POST", "tasks", fmt.Sprintf(`{"name":"t%d","cron_expression":"@every 1s","target_service":"actor","target_endpoint":"ok"}`, i))
	}
	names, path := "", "tasks?limit=2"
	for path != "" {
		page, _ := ask(t, s, 200, "GET", path, "")
		for _, one := range page["data"].([]any) {
			names += fmt.Sprint(one.(object)["name"], " ")
		}
		path = ""
		if cursor, more := page["next_cursor"]; more {
			path = "tasks?limit=2&cursor=" + fmt.Sprint(cursor)
		}
	}
	if names != "t0 t1 t2 t3 t4 " {
		t.Errorf("listed %s", names)
	}
	eventually(t, "runs", func() bool {
		o, _ := ask(t, s, 200, "GET", "runs?limit=3&status=succeeded", "")
		return o["count"] == 3.0 && o["next_cursor"] != nil
	})
	up, _ := ask(t, s, 200, "GET", "upcoming?hours=1&per_task=3", "")
	first := up["data"].([]any)[0].(object)
	if up["count"] != 5.0 || len(first["fires"].([]any)) != 3 || first["more"] != true || first["schedule"] != "every second" {
		t.Errorf("upcoming: %v", first)
	}
}

func TestExplain(t *testing.T) {
	now := time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)
	s, _ := serve(t, func() time.Time { return now })
	a := chassistest.Call(t, s, "GET", base+"cron/explain?expr=30+2+*+*+*&tz=America/New_York&limit=3", "", "")
	const want = `{"status":"success","expression":"30 2 * * *","timezone":"America/New_York","description":"at 02:30, America/New_York time",` +
		`"next":["2026-03-08T07:00:00Z","2026-03-09T06:30:00Z","2026-03-10T06:30:00Z"],` +
		`"next_local":["2026-03-08T03:00:00-04:00","2026-03-09T02:30:00-04:00","2026-03-10T02:30:00-04:00"],"timestamp":"2026-03-07T12:00:00Z"}`
	if a.Status != 200 || a.Body != want {
		t.Errorf("\n got %d %s\nwant %s", a.Status, a.Body, want)
	}
	if o, _ := ask(t, s, 200, "GET", "cron/explain?expr=0+0+30+2+*", ""); len(o["next"].([]any)) != 0 || !strings.Contains(fmt.Sprint(o["note"]), "never due") {
		t.Errorf("30 February: %v", o)
	}
	for seed, noted := range map[string]bool{"": true, "some-task": false} {
		if o, _ := ask(t, s, 200, "GET", "cron/explain?expr=@every+5s&seed="+seed, ""); (o["note"] != nil) != noted {
			t.Errorf("seed %q: %v", seed, o)
		}
	}
	if o, _ := ask(t, s, 200, "GET", "cron/explain?expr=*/5+*+*+*+*", ""); len(o["next"].([]any)) != 10 {
		t.Errorf("the next ten: %v", o)
	}
}

func TestHealth(t *testing.T) {
	s, store := serve(t, nil)
	ask(t, s, 200, "POST", "tasks", `{"name":"x","cron_expression":"@every 1s","target_service":"actor","target_endpoint":"ok"}`)
	health := func(status int, says string) func() bool {
		return func() bool {
			a := chassistest.Call(t, s, "GET", "/health", "", "")
			return a.Status == status && strings.Contains(a.Body, says)
		}
	}
	eventually(t, "health", health(200, `"result":{"tasks":1}`))
	store.Break(errors.New("the disk is full"))
	eventually(t, "failing health", health(503, "the disk is full"))
	store.Break(nil)
	eventually(t, "health again", health(200, `"status":"healthy"`))
}

func TestHostile(t *testing.T) {
	s, _ := serve(t, nil)
	chassistest.Run(t, s.URL(), chassistest.Described(t, s.URL()))
}
