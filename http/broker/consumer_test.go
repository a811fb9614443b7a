package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/actors/actorstest"
)

func TestConsumer(t *testing.T) {
	w := newWorld(t, nil)
	made := w.ask(200, "POST", "streams/MARKET_DATA/consumers", `{"name":"desk","filter_subjects":["market.x"],"ack_wait_seconds":60,"max_deliver":3}`)
	if at(made, "consumer", "name") != "desk" || text(at(made, "consumer", "max_deliver")) != "3" {
		t.Errorf("made: %v", made)
	}
	for i := range 5 {
		w.ask(200, "POST", "publish", fmt.Sprintf(`{"subject":"market.x","message":%d}`, i))
	}
	fetch := func(body string) map[string]any {
		return w.ask(200, "POST", "streams/MARKET_DATA/consumers/desk/fetch", body)
	}
	got := fetch(`{"max":3}`)
	if text(got["count"]) != "3" || text(at(got, "messages", 0, "pending")) != "4" || text(at(got, "messages", 2, "data")) != "2" {
		t.Errorf("fetched: %v", got)
	}
	token := func(i int) string { return text(at(got, "messages", i, "token")) }
	settle := func(want int, how, more string, tokens ...string) map[string]any {
		return w.ask(want, "POST", "consumers/"+how, `{"tokens":["`+strings.Join(tokens, `","`)+`"]`+more+`}`)
	}
	if out := settle(200, "ack", "", token(0), token(1)); text(out["settled"]) != "2" {
		t.Errorf("ack: %v", out)
	}
	settle(200, "nak", "", token(2))
	again := fetch(`{"max":10,"wait_seconds":5}`)
	if text(at(again, "messages", 0, "deliveries")) != "2" && text(at(again, "messages", 2, "deliveries")) != "2" {
		t.Errorf("after a nak: %v", again)
	}
	settle(200, "progress", "", token(2))
	for _, bad := range []string{"", "AAAA", token(0)[:len(token(0))-2] + "xx", "%"} {
		settle(400, "ack", "", bad)
	}
	if out := settle(200, "ack", "", token(2), "forged"); out["success"] != false || text(at(out, "failed", 0, "index")) != "1" {
		t.Errorf("one of two is forged: %v", out)
	}
	list := w.ask(200, "GET", "streams/MARKET_DATA/consumers", "")
	if text(list["total"]) != "1" || text(at(list, "consumers", 0, "unacknowledged")) != "2" {
		t.Errorf("consumers: %v", list)
	}
	// Another process, and a restarted server, take the same token.
	if err := w.system.RestartChild(t.Context(), "root/broker", "server"); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "an acknowledgement after a restart", func() bool {
		code, _ := w.call("POST", "consumers/ack", `{"tokens":["`+text(at(again, "messages", 0, "token"))+`"]}`)
		return code == 200
	})
	w.ask(200, "DELETE", "streams/MARKET_DATA/consumers/desk", "")
	settle(404, "ack", "", token(2))
	w.ask(404, "GET", "streams/MARKET_DATA/consumers/desk", "")
	w.ask(404, "POST", "streams/NOPE/consumers", `{"name":"x"}`)
	w.ask(403, "POST", "streams/DLQ_NOTICES/consumers", `{"name":"x"}`)
	w.ask(403, "GET", "streams/KV_tasks/consumers", "")
}

// A message that is removed while it waits for its acknowledgement was given up by
// nobody: it makes no letter.
func TestRemovedMessagesAreNoDeadLetters(t *testing.T) {
	w := newWorld(t, nil)
	w.ask(200, "POST", "streams", `{"name":"WORK","subjects":["work.>"],"retention":"workqueue"}`)
	w.ask(200, "POST", "streams/WORK/consumers", `{"name":"hands","ack_wait_seconds":0.1,"max_deliver":2}`)
	w.ask(200, "POST", "publish", `{"subject":"work.removed","message":1}`)
	w.ask(200, "POST", "streams/WORK/consumers/hands/fetch", "")
	w.ask(200, "POST", "streams/WORK/purge", "")
	w.ask(200, "POST", "publish", `{"subject":"work.exceeded","message":2}`)
	for range 2 {
		w.ask(200, "POST", "streams/WORK/consumers/hands/fetch", `{"wait_seconds":5}`)
	}
	actorstest.Eventually(t, "a letter of what came too often", func() bool { return text(w.ask(200, "GET", "dlq", "")["total"]) != "0" })
	if all := w.ask(200, "GET", "dlq", ""); text(all["total"]) != "1" || at(all, "dead_letters", 0, "subject") != "work.exceeded" {
		t.Errorf("letters: %v", all)
	}
}

// What is not acknowledged in max_deliver deliveries, or given up, is a dead letter;
// replayed, it is a message again.
func TestDeadLetters(t *testing.T) {
	w := newWorld(t, nil)
	w.ask(200, "POST", "streams", `{"name":"WORK","subjects":["work.>"],"retention":"workqueue"}`)
	w.ask(200, "POST", "streams/WORK/consumers", `{"name":"hands","ack_wait_seconds":0.1,"max_deliver":2}`)
	w.ask(200, "POST", "streams/MARKET_DATA/consumers", `{"name":"eyes","max_deliver":1,"ack_wait_seconds":0.1}`)
	w.ask(200, "POST", "publish/work.slow", "never done", "Content-Type", "text/plain", "Idempotency-Key", "k1")
	w.ask(200, "POST", "publish/work.bad", "given up")
	w.ask(200, "POST", "publish/market.x", `{"seen":false}`)
	w.ask(200, "POST", "streams/MARKET_DATA/consumers/eyes/fetch", "")
	fetch := func() map[string]any {
		return w.ask(200, "POST", "streams/WORK/consumers/hands/fetch", `{"max":10,"wait_seconds":1}`)
	}
	for range 2 {
		got := fetch()
		for i := range at(got, "messages").([]any) {
			if m := at(got, "messages", i); at(m, "subject") == "work.bad" {
				w.ask(200, "POST", "consumers/term", `{"tokens":["`+text(at(m, "token"))+`"],"reason":"cannot be read"}`)
			}
		}
	}
	var all map[string]any
	actorstest.Eventually(t, "three dead letters", func() bool {
		all = w.ask(200, "GET", "dlq", "")
		return text(all["count"]) == "3"
	})
	letters := map[string]map[string]any{}
	for i := range all["dead_letters"].([]any) {
		l := at(all, "dead_letters", i).(map[string]any)
		letters[text(l["subject"])] = l
	}
	if l := letters["work.bad"]; l["reason"] != "cannot be read" || l["payload_lost"] != false || l["consumer"] != "hands" {
		t.Errorf("terminated: %v", l)
	}
	slow := letters["work.slow"]
	if slow["reason"] != "not acknowledged in 2 deliveries" || text(slow["deliveries"]) != "2" {
		t.Errorf("exceeded: %v", slow)
	}
	if only := w.ask(200, "GET", "dlq?stream=MARKET_DATA&consumer=eyes", ""); text(only["count"]) != "1" || text(only["total"]) != "3" {
		t.Errorf("filtered: %v", only)
	}
	page := w.ask(200, "GET", "dlq?limit=2", "")
	if rest := w.ask(200, "GET", "dlq?limit=2&cursor="+text(page["next_cursor"]), ""); text(rest["count"]) != "1" || rest["next_cursor"] != nil {
		t.Errorf("second page: %v", rest)
	}
	if d := w.ask(200, "GET", "dlq/"+text(slow["id"]), ""); d["data"] != "never done" || at(d, "headers", "Content-Type", 0) != "text/plain" {
		t.Errorf("inspected: %v", d)
	}
	back := w.ask(200, "POST", "dlq/"+text(slow["id"])+"/replay", "")
	if back["stream"] != "WORK" {
		t.Errorf("replayed: %v", back)
	}
	w.ask(404, "POST", "dlq/"+text(slow["id"])+"/replay", "")
	m := at(fetch(), "messages", 0)
	if at(m, "data") != "never done" || at(m, "headers", "Dead-Letter-Reason", 0) != "not acknowledged in 2 deliveries" || at(m, "headers", "Dead-Letter-Replays", 0) != "1" {
		t.Errorf("the replayed message: %v", m)
	}
	fetch() // and dies again
	actorstest.Eventually(t, "a letter of the replay", func() bool {
		again := w.ask(200, "GET", "dlq?stream=WORK", "")
		return text(at(again, "dead_letters", 1, "replays")) == "1"
	})
	w.ask(200, "DELETE", "dlq/"+text(letters["work.bad"]["id"]), "")
	w.ask(404, "GET", "dlq/"+text(letters["work.bad"]["id"]), "")
	if out := w.ask(200, "POST", "dlq/replay?stream=MARKET_DATA", ""); text(out["replayed"]) != "1" {
		t.Errorf("replayed all: %v", out)
	}
	if out := w.ask(200, "DELETE", "dlq", ""); text(out["purged"]) != "1" {
		t.Errorf("purged: %v", out)
	}
	for _, path := range []string{"dlq/0", "dlq/x", "dlq/99999999999999999999999"} {
		w.ask(400, "GET", path, "")
	}
	w.ask(403, "GET", "dlq?stream=JOURNAL_0", "")
}
