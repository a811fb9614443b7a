package broker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/actors/actorstest"
	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/broker/tasks"
)

// sse is one connection of a client of server-sent events.
type sse struct {
	cancel context.CancelFunc
	lines  *bufio.Scanner
	resp   *http.Response
}

type sseEvent struct{ id, name, data string }

// subscribe connects, again as long as the broker is being restarted.
func (w *world) subscribe(subject, last string, more ...string) (s *sse) {
	w.t.Helper()
	actorstest.Eventually(w.t, "a following", func() bool {
		s = w.trySubscribe(subject, last, more...)
		return s != nil
	})
	return s
}

// trySubscribe is nil when the broker is not running at the moment.
func (w *world) trySubscribe(subject, last string, more ...string) *sse {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	target := w.server.URL() + "/api/v1/broker/subscribe?subject=" + url.QueryEscape(subject) + strings.Join(more, "")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		cancel()
		_ = resp.Body.Close() // the client tries again
		return nil
	default:
		w.t.Fatalf("subscribe: %s", resp.Status)
	}
	s := &sse{cancel, bufio.NewScanner(resp.Body), resp}
	s.lines.Buffer(nil, 1<<20)
	return s
}

func (s *sse) close() {
	s.cancel()
	_ = s.resp.Body.Close() // the client leaves
}

// next is the next event with data; false at the end of the connection.
func (s *sse) next() (e sseEvent, ok bool) {
	for s.lines.Scan() {
		line := s.lines.Text()
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && e.data != "":
			return e, true
		case field == "id":
			e.id = value
		case field == "event":
			e.name = value
		case field == "data":
			e.data += value
		}
	}
	return e, false
}

// A client that comes back again and again, from the first moment on and over
// restarts of the server, misses nothing and gets nothing twice.
func TestFollowingAgainAndAgainMissesNothing(t *testing.T) {
	const total = 3000
	w := newWorld(t, func(c *branch.Config, _ *tasks.Config) { c.ProbeInterval = 20 * time.Millisecond })
	var publishing sync.WaitGroup
	first := w.subscribe("market.n.>", "")
	start, ok := first.next()
	if !ok || start.name != "start" || start.id == "" {
		t.Fatalf("the first event is %+v", start)
	}
	first.close()
	publishing.Go(func() {
		for n := range total {
			for { // the same id again after a restart: stored once
				_, err := w.desk.Publish(t.Context(), messages.Message{
					Subject: "market.n." + strconv.Itoa(n%7), Data: []byte(strconv.Itoa(n)), ID: fmt.Sprint("n", n),
				})
				if err == nil {
					break
				}
				if t.Context().Err() != nil {
					return
				}
			}
			if n == total/3 || n == 2*total/3 {
				if err := w.system.RestartChild(t.Context(), "root/broker", "server"); err != nil {
					t.Error(err)
				}
			}
		}
	})
	defer publishing.Wait()
	random := rand.New(rand.NewPCG(1, 2))
	last, want, connections := start.id, 0, 0
	for want < total {
		s := w.subscribe("market.n.>", last)
		connections++
		for stay := 1 + random.IntN(total/20); stay > 0; stay-- {
			e, ok := s.next()
			if !ok || e.name == "end" {
				break
			}
			if e.id != "" {
				last = e.id
			}
			if e.name == "start" {
				if strings.Contains(e.data, "lost") || strings.Contains(e.data, "reset") {
					t.Fatalf("start: %s", e.data)
				}
				continue
			}
			var m struct{ Data int }
			if err := json.Unmarshal([]byte(e.data), &m); err != nil {
				t.Fatalf("%v in %s", err, e.data)
			}
			if m.Data != want {
				t.Fatalf("message %d, want %d, after %d connections", m.Data, want, connections)
			}
			if want++; want == total {
				break
			}
		}
		s.close()
	}
	t.Logf("%d messages over %d connections", total, connections)
}

func TestFollowingTellsWhatIsLost(t *testing.T) {
	w := newWorld(t, nil)
	for range 10 {
		w.ask(200, "POST", "publish", `{"subject":"market.x","message":1}`)
	}
	begin := func(last string, more ...string) map[string]any {
		t.Helper()
		s := w.subscribe("market.>", last, more...)
		defer s.close()
		e, _ := s.next()
		out := map[string]any{}
		if err := json.Unmarshal([]byte(e.data), &out); err != nil || e.name != "start" {
			t.Fatalf("%v in %+v", err, e)
		}
		return out
	}
	position := text(begin("", "&from=first")["position"])
	if !strings.HasSuffix(position, ":0") {
		t.Errorf("the first position is %s", position)
	}
	if got := text(begin("", "&from=last")["position"]); !strings.HasSuffix(got, ":9") {
		t.Errorf("before the last message is %s", got)
	}
	w.ask(200, "POST", "streams/MARKET_DATA/purge", "")
	out := begin(position)
	if text(at(out, "lost", "from_seq")) != "1" || text(at(out, "lost", "to_seq")) != "10" {
		t.Errorf("after a purge: %v", out)
	}
	for _, other := range []string{strings.Replace(position, "MARKET", "OTHER", 1), strings.TrimSuffix(position, "0") + "99", "MARKET_DATA:1:3"} {
		if out := begin(other); out["reset"] != true {
			t.Errorf("from %s: %v", other, out)
		}
	}
	if code, out := w.call("GET", "subscribe?subject=market.x", "", "Last-Event-ID", "nonsense"); code != 400 {
		t.Errorf("a position that is none: %d %v", code, out)
	}
	if code, out := w.call("GET", "subscribe?subject=tasks.x", ""); code != 409 && code != 400 {
		t.Errorf("following a work queue: %d %v", code, out)
	}
}

// What no stream keeps is followed while one listens.
func TestFollowingCore(t *testing.T) {
	w := newWorld(t, nil)
	s := w.subscribe("live.>", "")
	defer s.close()
	if e, ok := s.next(); !ok || e.name != "start" || e.id != "" {
		t.Fatalf("start: %+v", e)
	}
	w.ask(200, "POST", "publish/live.x", "hello", "Content-Type", "text/plain")
	if e, ok := s.next(); !ok || !strings.Contains(e.data, `"data":"hello"`) || e.id != "" {
		t.Errorf("event: %+v", e)
	}
}

// A client that does not read is ended, and the others are not slowed by it.
func TestSlowFollowerIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	slow, err := w.desk.Follow(t.Context(), messages.Following{Subject: "live.>"})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close(t.Context())
	brisk := w.subscribe("live.>", "")
	defer brisk.close()
	brisk.next()
	const total = 10_000
	batch := make([]messages.Message, 500)
	for i := range batch {
		batch[i] = messages.Message{Subject: "live.x", Data: []byte("1")}
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for n := range total {
			if e, ok := brisk.next(); !ok || e.name != "" {
				t.Errorf("event %d: %+v", n, e)
				return
			}
		}
	})
	for range total / len(batch) {
		if _, err := w.desk.PublishAll(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	reading.Wait()
	for n := 0; ; n++ {
		if _, err = slow.Next(t.Context()); err != nil {
			break
		}
		if n > total {
			t.Fatal("the slow follower has everything")
		}
	}
	if !errors.Is(err, messages.ErrSlow) {
		t.Errorf("the slow follower ends with %v", err)
	}
}

func TestSocket(t *testing.T) {
	w := newWorld(t, nil)
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.server.URL(), "http")+"/ws/v1/messages", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	say := func(text string) {
		t.Helper()
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(kind string) map[string]any {
		t.Helper()
		if err := ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := ws.ReadJSON(&out); err != nil {
			t.Fatal(err)
		}
		if out["type"] != kind {
			t.Fatalf("%v, want a %s", out, kind)
		}
		return out
	}
	say(`{"op":"subscribe","id":1,"subject":"market.>"}`)
	sub := hear("subscribed")
	if text(sub["id"]) != "1" || at(sub, "start", "stream") != "MARKET_DATA" {
		t.Errorf("subscribed: %v", sub)
	}
	w.ask(200, "POST", "publish", `{"subject":"market.a","message":{"x":1}}`)
	m := hear("message")
	if text(at(m, "data", "data", "x")) != "1" || m["subscription"] != sub["subscription"] {
		t.Errorf("message: %v", m)
	}
	say(fmt.Sprintf(`{"op":"unsubscribe","id":"u","subscription":%q}`, sub["subscription"]))
	hear("unsubscribed")
	say(`{"op":"publish","id":2,"subject":"market.b","message":[1,2],"message_id":"m"}`)
	if p := hear("published"); text(at(p, "published", "seq")) != "2" {
		t.Errorf("published: %v", p)
	}
	// From where it was left, nothing is missed.
	say(fmt.Sprintf(`{"op":"subscribe","id":3,"subject":"market.>","after":%q}`, at(m, "data", "position")))
	hear("subscribed")
	if next := hear("message"); text(at(next, "data", "seq")) != "2" {
		t.Errorf("the message after %v is %v", at(m, "data", "position"), next)
	}
	for text, code := range map[string]string{
		`{"op":"subscribe","subject":">"}`: "forbidden", `{"op":"publish","subject":"$KV.x","message":1}`: "forbidden",
		`{"op":"publish","subject":"a b","message":1}`: "malformed", `{"op":"fly"}`: "malformed", `{`: "malformed",
		`{"op":"unsubscribe","subscription":"s99"}`: "unknown",
	} {
		say(text)
		if e := hear("error"); e["code"] != code {
			t.Errorf("%s: %v", text, e)
		}
	}
	say(`{"op":"ping","id":9}`)
	hear("pong")
}
