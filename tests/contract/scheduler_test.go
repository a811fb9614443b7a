package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// schedulerPaths are those that clients know.
var schedulerPaths = []string{
	"cron/explain", "runs", "start", "status", "stop", "tasks", "tasks/{id}", "tasks/{id}/cancel", "tasks/{id}/pause", "tasks/{id}/resume",
	"tasks/{id}/run", "tasks/{id}/runs", "upcoming",
}

var taskFields = []string{
	"task_id:s", "name:s", "cron_expression:s", "target_service:s", "target_endpoint:s", "status:s", "created_at:t", "last_run:t?", "next_run:t?",
	"run_count:n", "error_count:n",
}

// scheduled asks for everything of the scheduler-service.
func scheduled(t *testing.T, base string) {
	c := &client{t: t, base: base}
	doc, err := describe(c.try("GET", "/openapi.json", "", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	c.doc = doc
	have := openPaths(t, base)
	for _, p := range schedulerPaths {
		if !slices.Contains(have, "/api/v1/scheduler/"+p) {
			t.Errorf("%s is not described", p)
		}
	}
	const api = "/api/v1/scheduler/"
	const good = `{"name":"contract","cron_expression":"0 0 1 1 *","target_service":"data-storage-service","target_endpoint":"/api/v1/storage/lifecycle/cleanup","payload":{"retention_hours":72},"source":"an older client"}`
	defaultTasks(c, api)
	made := c.ask(200, "POST", api+"tasks", good)
	has(t, "a new task", made, "status:s", "task_id:s", "message:s", "next_run:t")
	if again := c.ask(200, "POST", api+"tasks", good); again["task_id"] == made["task_id"] {
		t.Error("two tasks of one name have one id")
	} else {
		c.ask(200, "DELETE", api+fmt.Sprint("tasks/", again["task_id"]), "")
	}
	task := api + fmt.Sprint("tasks/", made["task_id"])
	has(t, "a task", sub(c.get(task), "data"), append([]string{"payload:o", "last_error:s?"}, taskFields...)...)
	has(t, "a changed task", c.ask(200, "PUT", task, `{"cron_expression":"0 3 * * *"}`), "status:s", "message:s", "next_run:t")
	if name := sub(c.get(task), "data")["name"]; name != "contract" {
		t.Errorf("a partial change made the name %v", name)
	}
	runTask(c, task)
	status := sub(c.get(api+"status"), "data")
	has(t, "status", status, "scheduler_running:b", "total_tasks:n", "pending_tasks:n", "running_tasks:n", "completed_tasks:n", "failed_tasks:n", "cancelled_tasks:n", "timestamp:t")
	for _, word := range []string{"stop", "start"} {
		has(t, word, c.ask(200, "POST", api+word, ""), "status:s", "message:s")
		if running := sub(c.get(api+"status"), "data")["scheduler_running"]; running != (word == "start") {
			t.Errorf("after %s: running %v", word, running)
		}
	}
	explained := c.get(api + "cron/explain?expr=*/5+*+*+*+*")
	if len(list(explained, "next")) != 10 || explained["description"] != "every 5 minutes" {
		t.Errorf("explain: %v", explained)
	}
	upcoming := c.get(api + "upcoming?hours=24")
	has(t, "upcoming", upcoming, "status:s", "data:a", "count:n>0", "timestamp:t", "until:t")
	c.ask(200, "POST", task+"/run", "")
	c.ask(200, "DELETE", task, "") // right after run
	for _, call := range []string{"GET ", "DELETE ", "POST /run", "POST /cancel", "POST /pause", "POST /resume", "GET /runs"} {
		method, rest, _ := strings.Cut(call, " ")
		c.refused(404, "unknown_task", method, task+rest, "", "")
	}
	refusal := c.refused(422, "", "POST", api+"tasks", "application/json", strings.Replace(good, "0 0 1 1 *", "0 0 1 13 *", 1))
	if e := fmt.Sprint(refusal["errors"]); !strings.Contains(e, "/cron_expression") || !strings.Contains(e, "month, column 7") {
		t.Errorf("a month 13: %v", e)
	}
	refusedBodies(t, &client{base: base}, api+"tasks", good, 1<<20)
}

func defaultTasks(c *client, api string) {
	c.t.Helper()
	found := map[string]object{}
	all := c.get(api + "tasks")
	has(c.t, "tasks", all, "status:s", "data:a", "count:n>0", "timestamp:t")
	for _, one := range list(all, "data") {
		o, _ := one.(object)
		has(c.t, "a task of the list", o, taskFields...)
		found[fmt.Sprint(o["name"])] = o
	}
	for name, want := range map[string][2]string{
		"daily_data_archive":        {"0 2 * * *", harness.Storage},
		"cleanup_expired_data":      {"0 * * * *", harness.Storage},
		"health_check_all_services": {"*/5 * * * *", harness.Monitoring},
	} {
		if o := found[name]; o == nil || o["cron_expression"] != want[0] || o["target_service"] != want[1] {
			c.t.Errorf("default task %s: %v", name, o)
		}
	}
}

// runTask runs a task by hand: it is counted within two seconds, and succeeds.
func runTask(c *client, task string) {
	c.t.Helper()
	for _, change := range []string{"pause", "resume"} {
		has(c.t, change, c.ask(200, "POST", task+"/"+change, ""), "status:s", "message:s")
	}
	has(c.t, "run", c.ask(200, "POST", task+"/run", ""), "status:s", "message:s", "run_id:s")
	if n := sub(c.get(task), "data")["run_count"]; n != 1.0 {
		c.t.Errorf("run_count is %v right after run", n)
	}
	harness.Await(c.t, patience, "the end of the run", func() bool { return sub(c.get(task), "data")["status"] == "completed" })
	has(c.t, "all runs", c.get("/api/v1/scheduler/runs"), "status:s", "data:a", "count:n>0", "timestamp:t")
	runs := c.get(task + "/runs")
	has(c.t, "runs", runs, "status:s", "data:a", "count:n>0", "timestamp:t")
	first, _ := list(runs, "data")[0].(object)
	has(c.t, "a run", first, "run_id:s", "task_id:s", "scheduled_for:t", "status:s", "started_at:t", "duration_seconds:n>0", "attempts:n>0", "http_status:n>0", "answer:s")
	has(c.t, "cancel", c.ask(200, "POST", task+"/cancel", ""), "status:s", "message:s", "cancelled:n")
}
