package endtoend

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestSchedulerReload changes settings of the scheduler while it runs: they hold at
// once, and those that cannot are named.
func TestSchedulerReload(t *testing.T) {
	settings := func(more harness.Settings) harness.Settings {
		s := harness.Settings{harness.Scheduler + ".scheduler.default_tasks": false}
		for path, value := range more {
			s[harness.Scheduler+".scheduler."+path] = value
		}
		return s
	}
	n := harness.Start(t, t.TempDir(), settings(nil), harness.Broker, harness.Scheduler)
	api := n.URL(harness.Scheduler, "/api/v1/scheduler/")
	post := func(path, body string, status int) string {
		t.Helper()
		a, err := harness.Post(t.Context(), api+path, "application/json", []byte(body))
		if err != nil || a.Status != status {
			t.Fatalf("POST %s: %v, %+v, want %d", path, err, a, status)
		}
		return string(a.Body)
	}
	const task = `{"name":"t","cron_expression":"@yearly","target_service":"message-broker-service","target_endpoint":"/api/v1/status","method":"GET"}`
	made := post("tasks", task, 200)
	_, id, _ := strings.Cut(made, `"task_id":"`)
	id, _, _ = strings.Cut(id, `"`)
	for range 8 {
		post("tasks/"+id+"/run", "", 200)
	}
	remembered := func(status string) (count int) {
		t.Helper()
		var list struct{ Count int }
		harness.GetJSON(t, api+"tasks/"+id+"/runs?status="+status, &list)
		return list.Count
	}
	harness.Await(t, time.Minute, "eight runs", func() bool { return remembered("succeeded") == 8 })

	const external = `{"name":"t","cron_expression":"@yearly","target_service":"url","target_endpoint":"https://api.example.com/"}`
	post("tasks", external, 422)
	harness.WriteConfig(t, n.Config(), n.Data, settings(harness.Settings{
		"history.count": 3, "urls.allow": true, "max_concurrent_tasks": 7, "max_tasks": 2, "ledger_max_bytes": "300MiB", "stop_timeout": "3s",
	}))
	if err := syscall.Kill(n.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, time.Minute, "the reload", func() bool {
		log := n.Log()
		return strings.Contains(log, `"configuration read again"`) && strings.Contains(log, `"settings were changed that need a restart"`)
	})
	for line := range strings.Lines(n.Log()) {
		if strings.Contains(line, "need a restart") != strings.Contains(line, "scheduler.stop_timeout") {
			t.Errorf("said of what needs a restart: %s", line)
		}
	}
	if got := remembered("succeeded"); got != 3 {
		t.Errorf("%d runs are remembered, want 3", got)
	}
	post("tasks", external, 200)
	post("tasks", task, 409) // there are two
	n.Stop()
}
