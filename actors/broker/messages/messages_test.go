package messages_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/brokertest"
	"github.com/marketprism/marketprism/actors/broker/messages"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// open is a Desk at a server of its own.
func open(t *testing.T, o messages.Options) (*messages.Desk, *brokertest.Server) {
	t.Helper()
	s := brokertest.New(t, nil).Start()
	o.Broker = s.Handle
	d, err := messages.Open(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, s
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantRefusal checks the sort of a refusal.
func wantRefusal(t testing.TB, what string, err error, why messages.Why) {
	t.Helper()
	var r *messages.Refusal
	if !errors.As(err, &r) || r.Why != why {
		t.Errorf("%s: %v, want a refusal: %v", what, err, why)
	}
}

func message(subject, data string) messages.Message {
	return messages.Message{Subject: subject, Data: []byte(data)}
}

func TestPublish(t *testing.T) {
	d, _ := open(t, messages.Options{})
	ctx := testContext(t)
	first := message("market.a", "1")
	first.ID = "same"
	if got := must(d.Publish(ctx, first))(t); got != (messages.Receipt{Stream: "MARKET_DATA", Seq: 1}) {
		t.Errorf("the first: %+v", got)
	}
	if got := must(d.Publish(ctx, first))(t); got != (messages.Receipt{Stream: "MARKET_DATA", Seq: 1, Duplicate: true}) {
		t.Errorf("the same again: %+v", got)
	}
	if got := must(d.Publish(ctx, message("nobody.keeps", "x")))(t); got != (messages.Receipt{}) {
		t.Errorf("what no stream keeps: %+v", got)
	}
	header := func(name, value string) messages.Message {
		return messages.Message{Subject: "market.a", Header: map[string][]string{name: {value}}}
	}
	id := message("market.a", "")
	id.ID = "a\r\nNats-Rollup: all"
	for what, m := range map[string]messages.Message{
		"a wildcard": message("market.*", ""), "everything": message(">", ""), "nothing": message("", ""), "an empty token": message("a..b", ""),
		"a space": message("a b", ""), "a line": message("a\r\nPUB b 0", ""), "a very long one": message(strings.Repeat("x", 1<<20), ""),
		"a header with a line": header("A", "x\r\nB: y"), "a header without a name": header("", "x"), "a header with a colon": header("a:b", "x"), "an id with a line": id,
	} {
		_, err := d.Publish(ctx, m)
		wantRefusal(t, what, err, messages.Malformed)
	}
	for _, subject := range []string{"journal.0.batch", "scheduler.ledger.fires", "md.v1.trade", "dlq.x", "_INBOX.a", "$JS.API.INFO", "$KV.a.b", "$SYS.REQ"} {
		_, err := d.Publish(ctx, message(subject, ""))
		wantRefusal(t, subject, err, messages.Forbidden)
	}
	_, err := d.Publish(ctx, header("Nats-Rollup", "all"))
	wantRefusal(t, "a header of the server's", err, messages.Forbidden)
	_, err = d.Publish(ctx, message("market.a", strings.Repeat("x", 8<<20+1)))
	wantRefusal(t, "a message that is too large", err, messages.TooLarge)
}

func TestPublishAllIsCheckedFirst(t *testing.T) {
	d, _ := open(t, messages.Options{})
	ctx := testContext(t)
	_, err := d.PublishAll(ctx, []messages.Message{message("market.a", "1"), message("journal.0.x", "2")})
	wantRefusal(t, "one that is forbidden", err, messages.Forbidden)
	if got := must(d.Stream(ctx, "MARKET_DATA"))(t); got.LastSeq != 0 {
		t.Errorf("%d messages of a batch that was refused are stored", got.LastSeq)
	}
	var all []messages.Message
	for i := range 200 {
		all = append(all, message("market.a", fmt.Sprint(i)))
	}
	for i, o := range must(d.PublishAll(ctx, append(all, message("kept.by.none", ""))))(t) {
		want := messages.Receipt{Stream: "MARKET_DATA", Seq: uint64(i + 1)}
		if i == len(all) {
			want = messages.Receipt{}
		}
		if o.Err != nil || o.Receipt != want {
			t.Errorf("message %d: %+v", i, o)
		}
	}
}

func TestFullStream(t *testing.T) {
	d, _ := open(t, messages.Options{})
	ctx := testContext(t)
	must(d.CreateStream(ctx, broker.StreamConfig{
		Name: "SMALL", Subjects: []string{"small.>"}, Retention: "limits", Storage: "memory", Discard: "new", MaxBytes: 1 << 20, Replicas: 1,
	}))(t)
	data := strings.Repeat("x", 600<<10)
	must(d.Publish(ctx, message("small.a", data)))(t)
	_, err := d.Publish(ctx, message("small.a", data))
	wantRefusal(t, "a full stream", err, messages.Full)
}

// What is not there, not theirs, or in the way.
func TestStreamsAreNotEverybodys(t *testing.T) {
	d, _ := open(t, messages.Options{})
	ctx := testContext(t)
	form := broker.StreamConfig{Name: "OWN", Subjects: []string{"own.>"}, Retention: "limits", Storage: "memory", Discard: "old", MaxBytes: 1 << 20, Replicas: 1}
	must(d.CreateStream(ctx, form))(t)
	must(d.CreateStream(ctx, form))(t)
	with := func(change func(c *broker.StreamConfig)) error {
		c := form
		change(&c)
		_, err := d.CreateStream(ctx, c)
		return err
	}
	for what, tc := range map[string]struct {
		err error
		why messages.Why
	}{
		"another configuration":  {with(func(c *broker.StreamConfig) { c.MaxBytes = 2 << 20 }), messages.Conflict},
		"subjects that are kept": {with(func(c *broker.StreamConfig) { c.Name, c.Subjects = "OTHER", []string{"own.x"} }), messages.Conflict},
		"a journal":              {with(func(c *broker.StreamConfig) { c.Name = "JOURNAL_1" }), messages.Forbidden},
		"a bucket":               {with(func(c *broker.StreamConfig) { c.Name = "KV_users" }), messages.Forbidden},
		"its subjects":           {with(func(c *broker.StreamConfig) { c.Name, c.Subjects = "X", []string{"$KV.users.>"} }), messages.Forbidden},
		"everything":             {with(func(c *broker.StreamConfig) { c.Name, c.Subjects = "X", []string{">"} }), messages.Forbidden},
		"a name with a dot":      {with(func(c *broker.StreamConfig) { c.Name = "A.B" }), messages.Malformed},
		"removing a default":     {d.DeleteStream(ctx, "TASKS"), messages.Conflict},
		"removing the notices":   {d.DeleteStream(ctx, broker.NoticeStream), messages.Forbidden},
		"removing none":          {d.DeleteStream(ctx, "NONE"), messages.Unknown},
	} {
		wantRefusal(t, what, tc.err, tc.why)
	}
	must(d.Publish(ctx, message("own.a", "1")))(t)
	must(d.Publish(ctx, message("own.b", "2")))(t)
	if n := must(d.PurgeStream(ctx, "OWN", "own.a"))(t); n != 1 {
		t.Errorf("%d messages purged, want 1", n)
	}
	if m := must(d.Stored(ctx, "OWN", 2))(t); string(m.Data) != "2" || m.Subject != "own.b" {
		t.Errorf("stored: %+v", m)
	}
	_, err := d.Stored(ctx, "OWN", 1)
	wantRefusal(t, "a message that was purged", err, messages.Unknown)
	if err := d.DeleteStream(ctx, "OWN"); err != nil {
		t.Error(err)
	}
}

func TestRequest(t *testing.T) {
	d, s := open(t, messages.Options{})
	nc := must(s.ConnectClients(testContext(t), "answering"))(t)
	defer nc.Close()
	_, err := nc.Subscribe("echo", func(m *nats.Msg) {
		if err := m.Respond(append([]byte("echo "), m.Data...)); err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		_, err = nc.Subscribe("silent", func(*nats.Msg) {})
	}
	if err = errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	if got := must(d.Request(testContext(t), message("echo", "a")))(t); string(got.Data) != "echo a" {
		t.Errorf("answer %q", got.Data)
	}
	_, err = d.Request(testContext(t), message("nobody", "a"))
	wantRefusal(t, "nobody", err, messages.Nobody)
	short, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Request(short, message("silent", "a")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
}

// A broker that is down is said to be, and found again without another Desk.
func TestDown(t *testing.T) {
	d, s := open(t, messages.Options{})
	must(d.Publish(testContext(t), message("market.a", "1")))(t)
	s.Restart()
	var got messages.Receipt
	eventually(t, func() (err error) { got, err = d.Publish(testContext(t), message("market.a", "2")); return err })
	if got.Seq < 2 {
		t.Errorf("after the restart: %+v", got)
	}
	s.Stop()
	if _, err := d.Publish(testContext(t), message("market.a", "3")); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("after the stop: %v", err)
	}
	if _, err := d.Follow(testContext(t), messages.Following{Subject: "market.>"}); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("following after the stop: %v", err)
	}
}

func TestSeal(t *testing.T) {
	_, s := open(t, messages.Options{})
	one := must(messages.OpenSeal(testContext(t), s.Handle))(t)
	two := must(messages.OpenSeal(testContext(t), s.Handle))(t) // another process, or a later one
	token := one.Sign("a", "text")
	if got := must(two.Open("a", token))(t); got != "text" {
		t.Errorf("opened %q", got)
	}
	for what, tc := range map[string][2]string{
		"another purpose": {"b", token}, "a bit of it": {"a", token[:len(token)-2]}, "another beginning": {"a", "x" + token[1:]},
		"nothing": {"a", ""}, "no base64": {"a", "!"}, "only the seal": {"a", one.Sign("a", "")},
	} {
		_, err := two.Open(tc[0], tc[1])
		wantRefusal(t, what, err, messages.Malformed)
	}
}
