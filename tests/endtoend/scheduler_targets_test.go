package endtoend

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestSchedulerTargets runs a task for every sort of target: a service, a subject that a
// stream keeps, one that nobody keeps, and an actor. What they are told, and what they
// answer, is in the history; what is the program's own, or an address, is refused.
func TestSchedulerTargets(t *testing.T) {
	n := harness.Start(t, t.TempDir(), harness.Settings{harness.Scheduler + ".scheduler.default_tasks": false},
		harness.Broker, harness.Storage, harness.Scheduler)
	api := n.URL(harness.Scheduler, "/api/v1/scheduler/")
	task := func(service, endpoint, more string, status int) string {
		t.Helper()
		body := fmt.Sprintf(`{"name":"t","cron_expression":"@yearly","target_service":%q,"target_endpoint":%q%s}`, service, endpoint, more)
		a, err := harness.Post(t.Context(), api+"tasks", "application/json", []byte(body))
		if err != nil || a.Status != status {
			t.Fatalf("%s %s: %v, %+v, want %d", service, endpoint, err, a, status)
		}
		var made struct {
			ID string `json:"task_id"`
		}
		if err := json.Unmarshal(a.Body, &made); err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	type run struct {
		ID     string `json:"run_id"`
		Status string
		Code   int `json:"http_status"`
		Answer string
		Error  string
	}
	once := func(id string) run {
		t.Helper()
		if a, err := harness.Post(t.Context(), api+"tasks/"+id+"/run", "", nil); err != nil || a.Status != 200 {
			t.Fatalf("running: %v, %+v", err, a)
		}
		var runs struct{ Data []run }
		harness.Await(t, time.Minute, "a run", func() bool {
			harness.GetJSON(t, api+"tasks/"+id+"/runs", &runs)
			return len(runs.Data) == 1 && runs.Data[0].Status != "running"
		})
		return runs.Data[0]
	}

	if r := once(task(harness.Storage, "/api/v1/storage/stats", `,"method":"GET"`, 200)); r.Status != "succeeded" || r.Code != 200 || r.Answer == "" {
		t.Errorf("a service: %+v", r)
	}
	if r := once(task(harness.Storage, "/api/v1/storage/stats", "", 200)); r.Status != "failed" || r.Code != 405 {
		t.Errorf("a service, by a method that it has not: %+v", r)
	}
	kept := once(task("subject", "market.scheduled", `,"payload":{"a":[1]}`, 200))
	if kept.Status != "succeeded" || kept.Answer != "stream MARKET_DATA, sequence 1" {
		t.Errorf("a subject that is kept: %+v", kept)
	}
	var stored struct {
		Data    struct{ A []int }
		Headers map[string][]string
	}
	harness.GetJSON(t, n.URL(harness.Broker, "/api/v1/broker/streams/MARKET_DATA/messages/1"), &stored)
	if len(stored.Data.A) != 1 || len(stored.Headers["Idempotency-Key"]) != 1 || stored.Headers["Idempotency-Key"][0] != kept.ID || len(stored.Headers["traceparent"]) != 1 {
		t.Errorf("the message: %+v, want the key %s", stored, kept.ID)
	}
	if r := once(task("subject", "nobody.keeps.it", "", 200)); r.Status != "succeeded" || r.Answer != "no stream takes the subject; whoever listens has it" {
		t.Errorf("a subject that is not kept: %+v", r)
	}
	if r := once(task("actor", "storage.archive", "", 200)); r.Status != "succeeded" || r.Answer == "" {
		t.Errorf("an actor: %+v", r)
	}
	for service, endpoint := range map[string]string{
		"subject": "journal.0.batch", "actor": "storage.nothing", "url": "http://169.254.169.254/latest/", harness.Storage: "//evil.example/x",
	} {
		task(service, endpoint, "", 422)
	}
	for _, subject := range []string{"$JS.API.STREAM.DELETE.JOURNAL_0", "$KV.scheduler.x", "md.v1.trade.x.spot.X", "dlq.x", "scheduler.ledger.fires", "a b", "a.*", ">"} {
		task("subject", subject, "", 422)
	}
	n.Stop()
}
