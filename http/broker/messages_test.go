package broker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestPublish(t *testing.T) {
	w := newWorld(t, nil)
	out := w.ask(200, "POST", "publish", `{"subject":"market.a","message":{"x":1}}`)
	if out["success"] != true || out["stream"] != "MARKET_DATA" || text(out["seq"]) != "1" {
		t.Errorf("publish: %v", out)
	}
	if out := w.ask(200, "POST", "publish", `{"subject":"nobody.listens","message":"x"}`); out["success"] != true || out["stream"] != nil || out["seq"] != nil {
		t.Errorf("a subject that no stream keeps: %v", out)
	}
	for i, duplicate := range []any{nil, true} {
		out := w.ask(200, "POST", "publish/market.raw", "as it is", "Content-Type", "text/plain", "Idempotency-Key", "once")
		if out["duplicate"] != duplicate || text(out["seq"]) != "2" {
			t.Errorf("publish %d with a key: %v", i, out)
		}
	}
	stored := w.ask(200, "GET", "streams/MARKET_DATA/messages/2", "")
	if stored["data"] != "as it is" || stored["encoding"] != "text" || at(stored, "headers", "Content-Type", 0) != "text/plain" {
		t.Errorf("stored: %v", stored)
	}
	if stored := w.ask(200, "GET", "streams/MARKET_DATA/messages/1", ""); text(at(stored, "data", "x")) != "1" {
		t.Errorf("stored: %v", stored)
	}
	w.ask(404, "GET", "streams/MARKET_DATA/messages/99", "")
}

func TestBatch(t *testing.T) {
	w := newWorld(t, nil)
	out := w.ask(200, "POST", "batch", `{"messages":[{"subject":"market.a","message":1,"id":"m"},{"subject":"free.b","message":2},{"subject":"market.a","message":1,"id":"m"}]}`)
	if text(out["published"]) != "3" || at(out, "results", 0, "stream") != "MARKET_DATA" || at(out, "results", 1, "stream") != nil || at(out, "results", 2, "duplicate") != true {
		t.Errorf("batch: %v", out)
	}
	bad := w.ask(400, "POST", "batch", `{"messages":[{"subject":"market.a","message":1},{"subject":"market.>","message":2}]}`)
	if !strings.HasPrefix(text(at(bad, "errors", 0, "pointer")), "/messages/1/") {
		t.Errorf("a bad batch: %v", bad)
	}
	if s := w.ask(200, "GET", "streams/MARKET_DATA", ""); text(s["messages"]) != "1" {
		t.Errorf("after a batch and one that was refused: %v", s)
	}
}

func TestCloudEvents(t *testing.T) {
	w := newWorld(t, nil)
	const event = `{"specversion":"1.0","id":"e1","source":"/test","type":"x.y","time":"2024-08-08T12:00:00Z","data":{"a":1}}`
	structured := func(want int, body string) map[string]any {
		return w.ask(want, "POST", "publish/system.e", body, "Content-Type", "application/cloudevents+json; charset=utf-8")
	}
	if out := structured(200, event); out["stream"] != "SYSTEM_EVENTS" || out["duplicate"] != nil {
		t.Errorf("structured: %v", out)
	}
	if out := structured(200, event); out["duplicate"] != true {
		t.Errorf("the same event again: %v", out)
	}
	if m := w.ask(200, "GET", "streams/SYSTEM_EVENTS/messages/1", ""); at(m, "headers", "Content-Type", 0) != "application/cloudevents+json" || at(m, "data", "id") != "e1" {
		t.Errorf("the message of a structured event: %v", m)
	}
	out := w.ask(200, "POST", "publish/system.e", `{"b":2}`, "ce-specversion", "1.0", "ce-id", "e2", "ce-source", "/test", "ce-type", "x.y")
	if out["duplicate"] != nil {
		t.Errorf("binary: %v", out)
	}
	if m := w.ask(200, "GET", "streams/SYSTEM_EVENTS/messages/2", ""); at(m, "headers", "ce-id", 0) != "e2" || text(at(m, "data", "b")) != "2" {
		t.Errorf("the message of a binary event: %v", m)
	}
	both := w.ask(200, "POST", "publish/system.e", `[`+event+`,{"specversion":"1.0","id":"e3","source":"/test","type":"x.y"}]`, "Content-Type", "application/cloudevents-batch+json")
	if text(both["published"]) != "2" || at(both, "results", 0, "duplicate") != true {
		t.Errorf("batched: %v", both)
	}
	for name, body := range map[string]string{
		"no id":          `{"specversion":"1.0","source":"/test","type":"x.y"}`,
		"empty source":   `{"specversion":"1.0","id":"e","source":"","type":"x.y"}`,
		"another spec":   `{"specversion":"0.3","id":"e","source":"/t","type":"x.y"}`,
		"bad time":       `{"specversion":"1.0","id":"e","source":"/t","type":"x","time":"today"}`,
		"bad attribute":  `{"specversion":"1.0","id":"e","source":"/t","type":"x","My_Ext":"1"}`,
		"object as one":  `{"specversion":"1.0","id":"e","source":"/t","type":"x","ext":{}}`,
		"two payloads":   `{"specversion":"1.0","id":"e","source":"/t","type":"x","data":1,"data_base64":"AQ=="}`,
		"not an object":  `[]`,
		"malformed JSON": `{"specversion":`,
	} {
		if out := structured(400, body); out["error"] == "" {
			t.Errorf("%s: %v", name, out)
		}
	}
	w.ask(400, "POST", "publish/system.e", "x", "ce-id", "alone")
}

// Subjects that are none, or the program's own.
func TestHostileSubjects(t *testing.T) {
	w := newWorld(t, nil)
	for subject, want := range map[string]int{
		">": 400, "*": 400, "market.>": 400, "market.*.x": 400, "a b": 400, "a..b": 400, ".a": 400, "a.": 400, "": 400, "a\tb": 400, "a\r\nPUB x": 400,
		strings.Repeat("x", 1<<20): 400, strings.Repeat("x.", 200) + "x": 400,
		"$JS.API.STREAM.DELETE.JOURNAL_0": 403, "$KV.users.root": 403, "$SYS.REQ.SERVER.PING": 403, "$JS": 403, "$O.x": 403,
		"journal.0.batch": 403, "journal": 403, "md.v1.trade.x.spot.X": 403, "dlq.x.y.1.0": 403, "_INBOX.abc": 403,
	} {
		body, err := json.Marshal(map[string]any{"subject": subject, "message": 1})
		if err != nil {
			t.Fatal(err)
		}
		if code, out := w.call("POST", "publish", string(body)); code != want {
			t.Errorf("publishing to %.40q: %d, want %d: %.300v", subject, code, want, out)
		}
	}
	for _, path := range []string{"publish/%3E", "publish/a%20b", "request/$JS.API.INFO", "publish/$KV.tasks.x", "request/journal.0.batch", "publish/a..b"} {
		if code, out := w.call("POST", path, "x"); code != 400 && code != 403 {
			t.Errorf("%s: %d %v", path, code, out)
		}
	}
	for subject, want := range map[string]int{"%3E": 403, "*": 403, "*.x": 403, "$JS.>": 403, "journal.%3E": 403, "_INBOX.%3E": 403, "a..b": 400, "": 400, "a.%3E.b": 400} {
		if code, out := w.call("GET", "subscribe?subject="+subject, ""); code != want {
			t.Errorf("following %q: %d, want %d: %v", subject, code, want, out)
		}
	}
	for body, want := range map[string]int{
		`{"name":"JOURNAL_7","subjects":["x.>"]}`: 403, `{"name":"KV_x","subjects":["x.>"]}`: 403, `{"name":"A","subjects":[">"]}`: 403,
		`{"name":"A","subjects":["$JS.API.>"]}`: 403, `{"name":"A","subjects":["journal.>"]}`: 403, `{"name":"A","subjects":["md.>"]}`: 403,
		`{"name":"a b","subjects":["x.>"]}`: 400, `{"name":"A.B","subjects":["x.>"]}`: 400, `{"name":"A","subjects":[]}`: 422,
		`{"name":"A","subjects":["x..y"]}`: 400, `{"name":"A","subjects":["market.x"]}`: 409, `{"name":"A","subjects":["x.>"],"max_bytes":1e15}`: 409,
		`{"name":"A","subjects":["x.>"],"replicas":2}`: 400,
	} {
		if code, out := w.call("POST", "streams", body); code != want {
			t.Errorf("stream %s: %d, want %d: %v", body, code, want, out)
		}
	}
	for path, want := range map[string]int{"JOURNAL_0": 403, "KV_tasks": 403, "DLQ_NOTICES": 403, "MARKET_DATA": 409, "NOPE": 404} {
		if code, out := w.call("DELETE", "streams/"+path, ""); code != want {
			t.Errorf("removing %s: %d, want %d: %v", path, code, want, out)
		}
	}
}

func TestTooLarge(t *testing.T) {
	w := newWorld(t, nil)
	over := strings.Repeat("x", 8<<20+1)
	if code, out := w.call("POST", "publish/market.x", over); code != 413 {
		t.Errorf("raw: %d %v", code, out)
	}
	if code, out := w.call("POST", "publish", `{"subject":"market.x","message":"`+over+`"}`); code != 413 {
		t.Errorf("documented form: %d %v", code, out)
	}
	if code, out := w.call("POST", "publish/market.x", over[:7<<20]); code != 200 {
		t.Errorf("one below the limit: %d %v", code, out)
	}
}

func TestRequest(t *testing.T) {
	w := newWorld(t, nil)
	nc, err := w.handle.ConnectClients(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("svc.echo", func(m *nats.Msg) {
		reply := nats.NewMsg(m.Reply)
		reply.Data = append([]byte("echo "), m.Data...)
		reply.Header.Set("Content-Type", "text/plain")
		if err := m.RespondMsg(reply); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("svc.mute", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if out := w.ask(200, "POST", "request/svc.echo", "hello"); out["raw"] != "echo hello" {
		t.Errorf("reply: %v", out)
	}
	if out := w.ask(404, "POST", "request/svc.nobody", "x"); out["code"] != "no_responders" {
		t.Errorf("nobody: %v", out)
	}
	if out := w.ask(504, "POST", "request/svc.mute?timeout_ms=20", "x"); out["code"] != "no_reply" {
		t.Errorf("no reply: %v", out)
	}
}

func TestStreams(t *testing.T) {
	w := newWorld(t, nil)
	const form = `{"name":"ORDERS","subjects":["orders.>"],"retention":"workqueue","max_bytes":1048576,"max_age_seconds":60}`
	for range 2 { // the same again is the same
		out := w.ask(200, "POST", "streams", form)
		if at(out, "stream", "name") != "ORDERS" || at(out, "stream", "retention") != "workqueue" || text(at(out, "stream", "max_age_seconds")) != "60" {
			t.Errorf("made: %v", out)
		}
	}
	w.ask(409, "POST", "streams", strings.Replace(form, "orders.", "others.", 1))
	for i := range 3 {
		w.ask(200, "POST", "publish", fmt.Sprintf(`{"subject":"orders.%d","message":1}`, i))
	}
	w.ask(200, "PUT", "streams/ORDERS", strings.Replace(form, `["orders.>"]`, `["orders.>","more.>"]`, 1))
	if s := w.ask(200, "GET", "streams/ORDERS", ""); text(s["messages"]) != "3" || len(at(s, "subjects").([]any)) != 2 {
		t.Errorf("changed: %v", s)
	}
	if out := w.ask(200, "POST", "streams/ORDERS/purge?subject=orders.1", ""); text(out["purged"]) != "1" {
		t.Errorf("purged: %v", out)
	}
	w.ask(200, "DELETE", "streams/ORDERS", "")
	w.ask(404, "GET", "streams/ORDERS", "")
	all := w.ask(200, "GET", "streams", "")
	var names []string
	for i := range at(all, "streams").([]any) {
		names = append(names, fmt.Sprint(at(all, "streams", i, "name"), at(all, "streams", i, "internal")))
	}
	if got := strings.Join(names, " "); got != "DLQfalse DLQ_NOTICEStrue KV_broker_keystrue KV_taskstrue MARKET_DATAfalse SERVICE_LOGSfalse SYSTEM_EVENTSfalse TASKSfalse" {
		t.Errorf("streams: %s", got)
	}
}

func TestStats(t *testing.T) {
	w := newWorld(t, nil)
	w.ask(200, "POST", "publish", `{"subject":"market.a","message":1}`)
	w.ask(200, "POST", "streams/MARKET_DATA/consumers", `{"name":"one"}`)
	out := w.ask(200, "GET", "stats", "")
	for i := range at(out, "streams").([]any) {
		if s := at(out, "streams", i); at(s, "name") == "MARKET_DATA" {
			if text(at(s, "taken_total")) != "1" || text(at(s, "consumers", 0, "pending")) != "1" {
				t.Errorf("MARKET_DATA: %v", s)
			}
			return
		}
	}
	t.Errorf("no MARKET_DATA in %v", out)
}
