package contract

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// broker asks the message-broker-service for what the contract names. Both prefixes
// answer alike.
func broker(t *testing.T, base string) {
	a := (&client{t: t, base: base}).try("GET", "/openapi.json", "", "")
	doc, err := describe(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"/api/v1/", "/api/v1/broker/"} {
		t.Run(prefix, func(t *testing.T) {
			c := &client{t: t, base: base, doc: doc}
			brokerFigures(c, prefix)
			brokerMessages(c, prefix)
			brokerStreams(c, prefix)
			brokerTasks(c, prefix)
			brokerSettlement(c, prefix)
			brokerReply(c, prefix)
			brokerSecondThoughts(c, prefix)
			followed(t, base+prefix)
			asked.note(t.Context(), base, "GET", prefix+"subscribe", http.StatusOK)
		})
	}
	socketOpens(&client{t: t, base: base}, "/ws/v1/messages")
	hostile(&client{t: t, base: base}, "/api/v1/broker/")
}

// theirs are the documented streams.
var theirs = []string{"MARKET_DATA", "SYSTEM_EVENTS", "SERVICE_LOGS", "TASKS", "DLQ"}

func brokerFigures(c *client, prefix string) {
	t := c.t
	o := c.get(prefix + "status")
	has(t, "status", o, "service:s", "timestamp:t", "uptime_seconds:n>0", "nats_server:o", "jetstream_streams:a", "message_stats:o", "nats_available:b")
	has(t, "nats_server", sub(o, "nats_server"), "status:s", "server_info:o", "ports:o")
	has(t, "message_stats", sub(o, "message_stats"), "published:n>0", "consumed:n>0", "errors:n", "start_time:t")
	if o["nats_available"] != true || sub(o, "nats_server")["status"] != "running" || sub(o, "nats_server", "ports")["client"] == nil {
		t.Errorf("status: %v", o)
	}
	var names []string
	for _, s := range list(c.get(prefix+"streams"), "streams") {
		s, _ := s.(object)
		has(t, "a stream", s, "name:s", "subjects:a", "messages:n", "bytes:n", "first_seq:n", "last_seq:n", "consumer_count:n")
		name, _ := s["name"].(string)
		names = append(names, name)
		if s["internal"] != (strings.HasPrefix(name, "JOURNAL_") || strings.HasPrefix(name, "KV_") || !slices.Contains(theirs, name) && !strings.HasPrefix(name, "CONTRACT")) {
			t.Errorf("stream %s: internal is %v", name, s["internal"])
		}
	}
	for _, name := range append(slices.Clone(theirs), "JOURNAL_0") {
		if !slices.Contains(names, name) {
			t.Errorf("no stream %s in %q", name, names)
		}
	}
	has(t, "nats/info", c.get(prefix+"nats/info"), "nats_available:b", "server_info:o", "jetstream:o")
	has(t, "nodes", c.get(prefix+"nodes"), "clustered:b", "expected:n>0", "nodes:a")
	has(t, "stats", c.get(prefix+"stats"), "timestamp:t", "message_stats:o", "streams:a", "dead_letters:n")
}

func brokerMessages(c *client, prefix string) {
	t := c.t
	o := c.ask(200, "POST", prefix+"publish", `{"subject":"market.contract","message":{"a":[1,"b",null]}}`)
	has(t, "publish", o, "success:b", "stream:s", "seq:n>0")
	if o["success"] != true || o["stream"] != "MARKET_DATA" {
		t.Errorf("publish: %v", o)
	}
	if o := c.ask(200, "POST", prefix+"publish", `{"subject":"contract.nobody","message":"x","unheard_of":1}`); o["success"] != true || o["stream"] != nil {
		t.Errorf("a subject that no stream takes: %v", o)
	}
	for _, body := range []string{`{}`, `{"subject":"market.x"}`, `{"message":1}`, `{"subject":7,"message":1}`, `{"subject":"market.>","message":1}`} {
		c.refused(400, "", "POST", prefix+"publish", "application/json", body)
	}
	o = c.ask(200, "POST", prefix+"batch", `{"messages":[{"subject":"market.contract","message":1},{"subject":"market.contract","message":2}]}`)
	if o["success"] != true || o["published"] != 2.0 || len(list(o, "results")) != 2 {
		t.Errorf("batch: %v", o)
	}
	c.refused(404, "no_responders", "POST", prefix+"request/contract.nobody", "text/plain", "x")
	o = c.ask(200, "POST", prefix+"streams/MARKET_DATA/consumers", `{"name":"contract","filter_subjects":["market.contract"]}`)
	has(t, "a consumer", sub(o, "consumer"), "stream:s", "name:s", "filter_subjects:a", "pending:n", "unacknowledged:n", "max_deliver:n")
	o = c.ask(200, "POST", prefix+"streams/MARKET_DATA/consumers/contract/fetch", `{"max":2,"wait_seconds":5}`)
	first, _ := list(o, "messages")[0].(object)
	has(t, "a message", first, "subject:s", "stream:s", "seq:n>0", "time:t", "data:o", "encoding:s", "deliveries:n>0", "pending:n", "token:s")
	token, _ := first["token"].(string)
	if o := c.ask(200, "POST", prefix+"consumers/ack", `{"tokens":["`+token+`"]}`); o["settled"] != 1.0 {
		t.Errorf("ack: %v", o)
	}
	c.refused(400, "bad_request", "POST", prefix+"consumers/ack", "application/json", `{"tokens":["forged"]}`)
	has(t, "consumers", c.get(prefix+"streams/MARKET_DATA/consumers"), "consumers:a", "total:n>0")
	c.ask(200, "DELETE", prefix+"streams/MARKET_DATA/consumers/contract", "")
	has(t, "dlq", c.get(prefix+"dlq"), "dead_letters:a", "count:n", "total:n")
	c.refused(404, "not_found", "POST", prefix+"dlq/999999/replay", "", "")
}

func brokerStreams(c *client, prefix string) {
	const form = `{"name":"CONTRACT","subjects":["contract.kept.>"],"max_bytes":1048576}`
	o := c.ask(200, "POST", prefix+"streams", form)
	has(c.t, "a new stream", sub(o, "stream"), "name:s", "subjects:a", "retention:s", "max_bytes:n>0", "created_at:t")
	c.ask(200, "POST", prefix+"streams", form)
	c.refused(409, "conflict", "POST", prefix+"streams", "application/json", `{"name":"CONTRACT2","subjects":["contract.kept.x"]}`)
	c.refused(422, "invalid_field", "POST", prefix+"streams", "application/json", `{"name":"CONTRACT3"}`)
	if o := c.ask(200, "DELETE", prefix+"streams/CONTRACT", ""); o["success"] != true {
		c.t.Errorf("removed: %v", o)
	}
	c.refused(404, "not_found", "DELETE", prefix+"streams/CONTRACT", "", "")
	c.refused(409, "conflict", "DELETE", prefix+"streams/MARKET_DATA", "", "")
	c.refused(403, "forbidden", "DELETE", prefix+"streams/JOURNAL_0", "", "")
}

func brokerTasks(c *client, prefix string) {
	t := c.t
	o := c.ask(202, "POST", prefix+"tasks", `{"queue":"contract","payload":{"n":1}}`)
	has(t, "a task", o, "success:b", "task_id:s", "status:s", "task:o")
	id, _ := o["task_id"].(string)
	has(t, "where it stands", c.get(prefix+"tasks/"+id), "task_id:s", "queue:s", "status:s", "attempts:n", "max_attempts:n>0", "created_at:t", "updated_at:t")
	c.refused(409, "not_finished", "GET", prefix+"tasks/"+id+"/result", "", "")
	claimed := list(c.ask(200, "POST", prefix+"queues/contract/claim", `{"wait_seconds":5}`), "tasks")
	if len(claimed) != 1 {
		t.Fatalf("claimed: %v", claimed)
	}
	token, _ := claimed[0].(object)["token"].(string)
	if o := c.ask(200, "POST", prefix+"tasks/"+id+"/progress", `{"token":"`+token+`","percent":50}`); o["status"] != "running" {
		t.Errorf("progress: %v", o)
	}
	if o := c.ask(200, "POST", prefix+"tasks/"+id+"/complete", `{"token":"`+token+`","result":{"m":2}}`); o["status"] != "succeeded" {
		t.Errorf("complete: %v", o)
	}
	if o := c.ask(200, "GET", prefix+"tasks/"+id+"/result", ""); o["m"] != 2.0 {
		t.Errorf("result: %v", o)
	}
	c.refused(409, "conflict", "POST", prefix+"tasks/"+id+"/cancel", "", "")
	c.refused(409, "conflict", "POST", prefix+"tasks/"+id+"/retry", "", "")
	c.refused(404, "not_found", "GET", prefix+"tasks/tnone", "", "")
	has(t, "tasks", c.get(prefix+"tasks?status=succeeded"), "tasks:a", "count:n>0")
}

// followed reads the events of the services' own start.
func followed(t *testing.T, base string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"subscribe?from=first&subject=system.*.service.started", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if media := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || media != "text/event-stream" {
		t.Fatalf("subscribe: %s %s", resp.Status, media)
	}
	started := map[any]bool{}
	for lines := bufio.NewScanner(resp.Body); len(started) < len(harness.Services) && lines.Scan(); {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		var m struct {
			Subject string
			Data    object
		}
		if !ok || json.Unmarshal(data, &m) != nil || m.Data == nil {
			continue
		}
		has(t, "an event", m.Data, "specversion:s", "id:s", "source:s", "type:s", "time:t", "data:o")
		started[sub(m.Data, "data")["service"]] = true
	}
	for _, service := range harness.Services {
		if !started[service] {
			t.Errorf("no event tells that %s has started: %v", service, started)
		}
	}
}

// hostile subjects and messages.
func hostile(c *client, prefix string) {
	for _, subject := range []string{">", "*", "market.*", "a b", "a..b", "", strings.Repeat("x", 1<<20)} {
		body, _ := json.Marshal(object{"subject": subject, "message": 1})
		c.refused(400, "bad_request", "POST", prefix+"publish", "application/json", string(body))
	}
	for _, subject := range []string{"$JS.API.STREAM.PURGE.JOURNAL_0", "$KV.scheduler.x", "$SYS.x", "journal.0.batch", "md.v1.trade.x.spot.X", "dlq.x"} {
		body, _ := json.Marshal(object{"subject": subject, "message": 1})
		c.refused(403, "forbidden", "POST", prefix+"publish", "application/json", string(body))
	}
	c.refused(413, "too_large", "POST", prefix+"publish/market.x", "application/octet-stream", strings.Repeat("x", 8<<20+1))
	c.refused(415, "unsupported_media_type", "POST", prefix+"publish", "text/xml", "<a/>")
}
