package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/tasks"
)

// claim takes one task of a queue, which has to be there within a moment.
func (w *world) claim(queue string) map[string]any {
	w.t.Helper()
	out := w.ask(200, "POST", "queues/"+queue+"/claim", `{"worker":"w1","wait_seconds":10}`)
	m, _ := at(out, "tasks", 0).(map[string]any)
	if m == nil {
		w.t.Fatalf("nothing to claim: %v", out)
	}
	return m
}

func (w *world) say(want int, task map[string]any, what, more string) map[string]any {
	w.t.Helper()
	return w.ask(want, "POST", "tasks/"+text(task["task_id"])+"/"+what, `{"token":"`+text(task["token"])+`"`+more+`}`)
}

func (w *world) status(id string) string {
	w.t.Helper()
	return text(w.ask(200, "GET", "tasks/"+id, "")["status"])
}

func TestTask(t *testing.T) {
	w := newWorld(t, nil)
	out := w.ask(202, "POST", "tasks", `{"queue":"reports","payload":{"day":1}}`, "Idempotency-Key", "a")
	id := text(out["task_id"])
	if out["status"] != "queued" || id == "" {
		t.Errorf("submitted: %v", out)
	}
	if again := w.ask(202, "POST", "tasks", `{"queue":"reports","payload":{"day":1}}`, "Idempotency-Key", "a"); text(again["task_id"]) != id || again["existing"] != true {
		t.Errorf("the same key again: %v", again)
	}
	w.ask(409, "GET", "tasks/"+id+"/result", "")
	task := w.claim("reports")
	if text(task["task_id"]) != id || text(at(task, "payload", "day")) != "1" || text(task["attempts"]) != "1" || w.status(id) != "running" {
		t.Errorf("claimed: %v", task)
	}
	w.say(200, task, "progress", `,"percent":40,"note":"halfway"`)
	if s := w.ask(200, "GET", "tasks/"+id, ""); text(at(s, "progress", "percent")) != "40" || s["worker"] != "w1" {
		t.Errorf("progress: %v", s)
	}
	w.say(200, task, "complete", `,"result":{"rows":7}`)
	if r := w.ask(200, "GET", "tasks/"+id+"/result", ""); text(r["rows"]) != "7" {
		t.Errorf("result: %v", r)
	}
	w.say(409, task, "complete", `,"result":{"rows":8}`)
	w.ask(409, "POST", "tasks/"+id+"/cancel", "")
	if out := w.ask(200, "POST", "queues/reports/claim", ""); text(out["count"]) != "0" {
		t.Errorf("a task that is done comes again: %v", out)
	}
	w.ask(404, "GET", "tasks/tnope", "")
	w.ask(404, "GET", "tasks/a.b", "")
	w.ask(400, "POST", "tasks", `{"queue":"a.b"}`)
	w.ask(400, "POST", "tasks", `{"queue":"a","max_attempts":99}`)
	w.ask(400, "POST", "tasks/"+id+"/complete", `{"token":"forged"}`)
}

func TestTaskFailsAndIsTriedAgain(t *testing.T) {
	w := newWorld(t, nil)
	id := text(w.ask(202, "POST", "tasks", `{"queue":"q","payload":1,"max_attempts":2}`)["task_id"])
	w.say(200, w.claim("q"), "fail", `,"error":"first"`)
	if got := w.status(id); got != "retrying" {
		t.Errorf("after the first failure it is %s", got)
	}
	second := w.claim("q")
	if text(second["attempts"]) != "2" {
		t.Errorf("the second attempt: %v", second)
	}
	if out := w.say(200, second, "fail", `,"error":"second"`); out["status"] != "dead" {
		t.Errorf("after the last attempt: %v", out)
	}
	letters := w.ask(200, "GET", "dlq?stream=TASKS", "")
	if text(letters["count"]) != "1" || at(letters, "dead_letters", 0, "reason") != "second" {
		t.Errorf("letters: %v", letters)
	}
	if out := w.ask(200, "POST", "tasks/"+id+"/retry", ""); out["status"] != "queued" || text(at(out, "task", "round")) != "2" {
		t.Errorf("retried: %v", out)
	}
	w.ask(409, "POST", "tasks/"+id+"/retry", "")
	w.say(200, w.claim("q"), "complete", `,"result":true`)
	if got := w.status(id); got != "succeeded" {
		t.Errorf("in the end it is %s", got)
	}
	// A failure that is final has no second attempt; its letter, replayed, has.
	final := text(w.ask(202, "POST", "tasks", `{"queue":"q"}`)["task_id"])
	w.say(200, w.claim("q"), "fail", `,"error":"no use","final":true`)
	if got := w.status(final); got != "dead" {
		t.Errorf("a final failure is %s", got)
	}
	w.ask(200, "POST", "dlq/replay?stream=TASKS", "")
	w.say(200, w.claim("q"), "complete", "")
	if list := w.ask(200, "GET", "tasks?status=succeeded&queue=q", ""); text(list["count"]) != "2" {
		t.Errorf("succeeded: %v", list)
	}
}

// A worker that dies is found out when its lease ends; the last time, the task is dead.
func TestTaskOfDeadWorkers(t *testing.T) {
	w := newWorld(t, func(_ *branch.Config, tc *tasks.Config) { tc.Lease, tc.MaxAttempts = 200*time.Millisecond, 2 })
	id := text(w.ask(202, "POST", "tasks", `{"queue":"q"}`)["task_id"])
	first := w.claim("q")
	if second := w.claim("q"); text(second["task_id"]) != id || text(second["attempts"]) != "2" {
		t.Errorf("the second worker has %v", second)
	}
	actorstest.Eventually(t, "the end of the task", func() bool { return w.status(id) == "dead" })
	actorstest.Eventually(t, "a letter", func() bool { return text(w.ask(200, "GET", "dlq", "")["count"]) == "1" })
	w.say(409, first, "progress", `,"percent":1`)
}

func TestTaskIsCancelled(t *testing.T) {
	w := newWorld(t, nil)
	queued := text(w.ask(202, "POST", "tasks", `{"queue":"q"}`)["task_id"])
	if out := w.ask(200, "POST", "tasks/"+queued+"/cancel", ""); out["status"] != "cancelled" {
		t.Errorf("cancelled: %v", out)
	}
	if out := w.ask(200, "POST", "queues/q/claim", ""); text(out["count"]) != "0" {
		t.Errorf("a cancelled task is given out: %v", out)
	}
	running := text(w.ask(202, "POST", "tasks", `{"queue":"q"}`)["task_id"])
	task := w.claim("q")
	w.ask(200, "POST", "tasks/"+running+"/cancel", "")
	w.say(409, task, "progress", `,"percent":1`)
	w.say(409, task, "complete", "")
	w.ask(200, "POST", "tasks/"+queued+"/retry", "")
	if task := w.claim("q"); text(task["task_id"]) != queued {
		t.Errorf("retried: %v", task)
	}
}

func TestTasksAreListedByPage(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 5 {
		w.ask(202, "POST", "tasks", fmt.Sprintf(`{"queue":"q%d"}`, i%2))
	}
	seen := map[string]bool{}
	for cursor := ""; ; {
		out := w.ask(200, "GET", "tasks?limit=2&cursor="+cursor, "")
		for i := range out["tasks"].([]any) {
			seen[text(at(out, "tasks", i, "task_id"))] = true
		}
		if out["next_cursor"] == nil {
			break
		}
		cursor = text(out["next_cursor"])
	}
	if len(seen) != 5 {
		t.Errorf("%d tasks over all pages", len(seen))
	}
	if out := w.ask(200, "GET", "tasks?queue=q1", ""); text(out["count"]) != "2" {
		t.Errorf("of one queue: %v", out)
	}
}
