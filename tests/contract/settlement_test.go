package contract

import (
	"fmt"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"

	"github.com/marketprism/marketprism/tests/harness"
)

// brokerSettlement settles messages in every way; what is given up is a dead letter.
func brokerSettlement(c *client, prefix string) {
	t := c.t
	// A stream for each prefix: what is told late of one that was purged is of no other.
	name := "CONTRACT_SETTLED" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(prefix, "/api/v1"), "/", "_"))
	form := func(size int) string {
		return fmt.Sprintf(`{"name":%q,"subjects":["contract.settled.%s.>"],"max_bytes":%d}`, name, name, size)
	}
	c.ask(200, "POST", prefix+"streams", form(1<<20))
	stream := prefix + "streams/" + name
	a := c.try("POST", prefix+"publish/contract.settled."+name+".raw", "text/plain", "as it is")
	if a == nil || a.Status != 200 {
		t.Fatalf("a raw message: %+v", a)
	}
	one := fmt.Sprintf(`{"subject":"contract.settled.%s.a","message":1}`, name)
	c.ask(200, "POST", prefix+"batch", `{"messages":[`+one+`,`+one+`,`+one+`]}`)
	has(t, "one stream", c.get(stream), "name:s", "subjects:a", "messages:n>0", "consumer_count:n")
	has(t, "a message", c.get(stream+"/messages/1"), "subject:s", "stream:s", "seq:n>0", "time:t", "encoding:s")
	has(t, "changed", sub(c.ask(200, "PUT", stream, form(2<<20)), "stream"), "max_bytes:n>0")
	c.ask(200, "POST", stream+"/consumers", `{"name":"settler"}`)
	has(t, "one consumer", c.get(stream+"/consumers/settler"), "stream:s", "name:s", "pending:n", "unacknowledged:n")
	taken := list(c.ask(200, "POST", stream+"/consumers/settler/fetch", `{"max":4,"wait_seconds":5}`), "messages")
	if len(taken) != 4 {
		t.Fatalf("taken: %d messages", len(taken))
	}
	settle := func(how, more string, messages ...any) {
		t.Helper()
		tokens := make([]string, len(messages))
		for i, m := range messages {
			tokens[i] = fmt.Sprintf("%q", m.(object)["token"])
		}
		o := c.ask(200, "POST", prefix+"consumers/"+how, `{"tokens":[`+strings.Join(tokens, ",")+`]`+more+`}`)
		if o["settled"] != float64(len(messages)) {
			t.Errorf("%s: %v", how, o)
		}
	}
	settle("progress", "", taken[0])
	settle("nak", `,"delay_seconds":600`, taken[0])
	settle("term", `,"reason":"a test"`, taken[1:]...)
	letters := deadLetters(c, prefix, name, 3)
	has(t, "a dead letter", c.get(prefix+"dlq/"+letters[0]), "headers:o")
	has(t, "replayed", c.ask(200, "POST", prefix+"dlq/"+letters[0]+"/replay", ""), "success:b", "stream:s", "seq:n>0")
	c.ask(200, "DELETE", prefix+"dlq/"+letters[1], "")
	o := c.ask(200, "POST", prefix+"dlq/replay?stream="+name, "")
	if has(t, "replayed", o, "success:b", "replayed:n>0", "failed:a"); o["replayed"] == 0.0 {
		t.Errorf("all replayed: %v", o)
	}
	c.ask(200, "DELETE", prefix+"dlq?stream="+name, "")
	has(t, "purged", c.ask(200, "POST", stream+"/purge", ""), "success:b", "purged:n>0")
	c.ask(200, "DELETE", stream, "")
}

// deadLetters waits for those of this test, and returns their ids.
func deadLetters(c *client, prefix, stream string, n int) (ids []string) {
	harness.Await(c.t, patience, "dead letters", func() bool {
		ids = nil
		for _, l := range list(c.get(prefix+"dlq?stream="+stream), "dead_letters") {
			l, _ := l.(object)
			has(c.t, "a dead letter", l, "id:n>0", "subject:s", "stream:s", "reason:s")
			ids = append(ids, fmt.Sprint(l["id"]))
		}
		return len(ids) >= n
	})
	return ids
}

// brokerReply asks somebody who answers.
func brokerReply(c *client, prefix string) {
	server, _ := sub(c.get(prefix+"nats/info"), "server_info")["url"].(string)
	nc, err := nats.Connect(server)
	if err != nil {
		c.t.Fatalf("connecting to %q: %v", server, err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("contract.ask", func(m *nats.Msg) { _ = m.Respond([]byte(`{"heard":true}`)) }); err != nil {
		c.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		c.t.Fatal(err)
	}
	if a := c.try("POST", prefix+"request/contract.ask", "application/json", `{}`); a == nil || a.Status != 200 || !strings.Contains(string(a.Body), `"heard":true`) {
		c.t.Errorf("a request: %+v", a)
	}
}

// brokerSecondThoughts cancels a task, submits it anew and gives it up.
func brokerSecondThoughts(c *client, prefix string) {
	t := c.t
	id, _ := c.ask(202, "POST", prefix+"tasks", `{"queue":"contract-second","payload":1}`)["task_id"].(string)
	task := prefix + "tasks/" + id
	if o := c.ask(200, "POST", task+"/cancel", ""); sub(o, "task")["status"] != "cancelled" && o["status"] != "cancelled" {
		t.Errorf("cancel: %v", o)
	}
	c.ask(200, "POST", task+"/retry", "")
	claimed := list(c.ask(200, "POST", prefix+"queues/contract-second/claim", `{"wait_seconds":5}`), "tasks")
	if len(claimed) != 1 {
		t.Fatalf("claimed: %v", claimed)
	}
	token, _ := claimed[0].(object)["token"].(string)
	c.ask(200, "POST", task+"/fail", `{"token":"`+token+`","error":"a test","final":true}`)
	if s := c.get(task)["status"]; s != "dead" {
		t.Errorf("given up: %v", s)
	}
	c.ask(200, "POST", task+"/retry", "")
	c.ask(200, "POST", task+"/cancel", "")
}

// socketOpens opens a WebSocket and closes it.
func socketOpens(c *client, path string) {
	conn, resp, err := websocket.DefaultDialer.DialContext(c.t.Context(), strings.Replace(c.base, "http", "ws", 1)+path, nil)
	if err != nil {
		c.t.Errorf("%s: %v", path, err)
		return
	}
	asked.note(c.t.Context(), c.base, "GET", path, resp.StatusCode)
	if err := conn.Close(); err != nil {
		c.t.Error(err)
	}
}
