package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEventStream(t *testing.T) {
	r := NewEventStream(strings.NewReader(": hello\n\nid: 7\nevent: diff\ndata: {\"a\": 1}\n\nevent: none\n\ndata:bare\r\ndata: two\r\n\r\nevent: cut\ndata: off\n"))
	for i, want := range []Event{{"7", "diff", []byte(`{"a": 1}`)}, {"7", "", []byte("bare\ntwo")}} {
		e, err := r.Next()
		if err != nil || e.ID != want.ID || e.Name != want.Name || string(e.Data) != string(want.Data) {
			t.Errorf("%d: %+v %v, want %+v", i, e, err, want)
		}
		if r.Waiting() {
			t.Errorf("%d: more has come", i)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) || !r.Waiting() {
		t.Errorf("at the end: %v", err)
	}

	// An event that has come whole is there before the next one does.
	body, server := io.Pipe()
	go func() { _, _ = server.Write([]byte("data: 1\n\n")) }()
	r = NewEventStream(body)
	if e, err := r.Next(); err != nil || string(e.Data) != "1" || !r.Waiting() {
		t.Errorf("%q %v, waiting %v", e.Data, err, r.Waiting())
	}
}

// script answers one connection after the other, and notes what each was asked.
type script struct {
	mu    sync.Mutex
	texts []string
	ids   []string // Last-Event-ID of each
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := len(s.ids)
	s.ids = append(s.ids, r.Header.Get("Last-Event-ID"))
	s.mu.Unlock()
	switch {
	case n >= len(s.texts):
		<-r.Context().Done()
	case s.texts[n] == "":
		w.WriteHeader(http.StatusUnprocessableEntity)
	default:
		_, _ = io.WriteString(w, s.texts[n])
	}
}

func record(id string, n int) string {
	if id != "" {
		id = "id: " + id + "\n"
	}
	return fmt.Sprintf("retry: 1\n%sdata: {\"type\":\"record\",\"n\":%d,\"data\":{\"kind\":\"trade\",\"id\":\"%d\",\"price\":\"1.50\"}}\n\n", id, n, n)
}

// TestFollow: a stream goes on over lost connections behind its last id, and says where it
// cannot.
func TestFollow(t *testing.T) {
	const head = "retry: 1\n\nevent: subscribed\ndata: {\"type\":\"subscribed\"}\n\n"
	s := &script{texts: []string{
		head + record("a-1", 1) + "event: state\ndata: {\"type\":\"state\",\"data\":{\"symbol\":\"X\",\"state\":\"live\",\"seq\":5}}\n\n" + record("a-3", 3),
		head + record("a-4", 1) + "event: end\ndata: {\"type\":\"end\",\"reason\":\"the server stops\"}\n\n" + record("", 99),
		head + "event: reset\ndata: {\"type\":\"reset\",\"reason\":\"too old\"}\n\n" + record("", 7),
	}}
	lost := []string{}
	c := served(t, Config{Attempts: 1}, s.ServeHTTP)
	var got []string
	for m, err := range c.Collector.Follow(t.Context(), Live{Kinds: []string{"trade"}, Following: Following{Lost: func(err error) { lost = append(lost, err.Error()) }}}) {
		if err != nil {
			t.Fatal(err)
		}
		switch m.Type {
		case LiveRecord:
			trade, err := ParseRecord[Trade](m.Data)
			if err != nil || trade.Price != "1.50" || m.Kind() != "trade" {
				t.Errorf("%+v, %v", trade, err)
			}
			got = append(got, trade.ID)
		case LiveState:
			b, err := m.BookState()
			if err != nil || b.State != "live" || *b.Seq != 5 {
				t.Errorf("%+v, %v", b, err)
			}
			got = append(got, "state")
		case LiveReset:
			got = append(got, m.Reason)
		}
		if len(got) == 6 {
			break
		}
	}
	if text := strings.Join(got, ", "); text != "1, state, 3, 1, too old, 7" {
		t.Error(text)
	}
	if text := strings.Join(s.ids, ", "); text != ", a-3, a-4" {
		t.Errorf("it began behind %q", text)
	}
	if len(lost) != 2 || !strings.Contains(lost[1], "the server stops") {
		t.Errorf("lost: %q", lost)
	}
}

// TestFollowAnew: without ids a stream begins anew, and says so.
func TestFollowAnew(t *testing.T) {
	s := &script{texts: []string{record("", 1), record("", 2)}}
	c := served(t, Config{Attempts: 1}, s.ServeHTTP)
	var got []string
	for m, err := range c.Collector.Follow(t.Context(), Live{Kinds: []string{"trade"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, m.Type); len(got) == 3 {
			break
		}
	}
	if text := strings.Join(got, ", "); text != "record, reset, record" {
		t.Error(text)
	}
}

// TestFollowEnds: with its context, when it is refused, at first or later, and after so
// many tries; a connection that says nothing is lost.
func TestFollowEnds(t *testing.T) {
	end := func(c *Client, ctx context.Context, f Following) error {
		var last error
		for _, err := range c.Collector.Follow(ctx, Live{Kinds: []string{"trade"}, Following: f}) {
			last = err
		}
		return last
	}
	refused := &script{texts: []string{""}}
	if err := end(served(t, Config{Attempts: 1}, refused.ServeHTTP), t.Context(), Following{}); StatusOf(err) != 422 {
		t.Errorf("refused: %v", err)
	}
	later := &script{texts: []string{record("", 1), ""}}
	if err := end(served(t, Config{Attempts: 1}, later.ServeHTTP), t.Context(), Following{}); StatusOf(err) != 422 {
		t.Errorf("refused later: %v", err)
	}
	silent := served(t, Config{Attempts: 1}, (&script{}).ServeHTTP)
	if err := end(silent, t.Context(), Following{Silence: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "no word for 1ms") {
		t.Errorf("silent: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancelled := served(t, Config{Attempts: 1}, func(w http.ResponseWriter, r *http.Request) {
		cancel(enough)
		<-r.Context().Done()
	})
	if err := end(cancelled, ctx, Following{}); !errors.Is(err, enough) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestSubscribe follows a subject from where it is told, and then from where it was.
func TestSubscribe(t *testing.T) {
	message := func(position, data string) string {
		return "retry: 1\nid: " + position + "\ndata: {\"subject\":\"a.b\",\"data\":" + data + ",\"encoding\":\"json\"}\n\n"
	}
	s := &script{texts: []string{"event: start\nid: S-4\ndata: {}\n\n" + message("S-5", `{"x":1}`), message("S-6", `{"x":2}`)}}
	c := served(t, Config{Attempts: 1}, s.ServeHTTP)
	sum := 0
	for m, err := range c.Broker.Subscribe(t.Context(), Subscribing{Subject: "a.>", After: "S-4"}) {
		var body struct{ X int }
		if err == nil {
			err = m.Payload(&body)
		}
		if err != nil {
			t.Fatal(err)
		}
		if sum += body.X; sum == 3 {
			break
		}
	}
	if text := strings.Join(s.ids, ", "); text != "S-4, S-5" {
		t.Error(text)
	}
}
