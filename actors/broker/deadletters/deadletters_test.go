package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/brokertest"
	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// world is a broker whose dead letters are kept.
type world struct {
	*deadletters.Box
	t      *testing.T
	server *brokertest.Server
	js     jetstream.JetStream

	mu    sync.Mutex
	told  []deadletters.Letter
	deafs int // how often it does not listen
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: brokertest.New(t, nil)}
	spec, err := deadletters.Spec(deadletters.Options{Broker: w.server.Handle, Died: w.died})
	if err != nil {
		t.Fatal(err)
	}
	w.server.Start(spec)
	if w.Box, err = deadletters.OpenBox(testContext(t), w.server.Handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.js = w.server.Clients()
	return w
}

func (w *world) died(_ context.Context, l deadletters.Letter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deafs > 0 {
		w.deafs--
		return errors.New("it does not listen")
	}
	w.told = append(w.told, l)
	return nil
}

func (w *world) heard() []deadletters.Letter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]deadletters.Letter{}, w.told...)
}

// consumer makes one of a stream that gives messages up after n deliveries.
func (w *world) consumer(stream, name string, n int) jetstream.Consumer {
	w.t.Helper()
	c, err := w.js.CreateConsumer(testContext(w.t), stream, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: n, AckWait: time.Minute,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) publish(subject, body string, header ...string) uint64 {
	w.t.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{}}
	for i := 0; i < len(header); i += 2 {
		m.Header[header[i]] = []string{header[i+1]}
	}
	ack, err := w.js.PublishMsg(testContext(w.t), m)
	if err != nil {
		w.t.Fatal(err)
	}
	return ack.Sequence
}

// next takes a message and does something with it.
func (w *world) next(c jetstream.Consumer, do func(m jetstream.Msg) error) {
	w.t.Helper()
	m, err := c.Next(jetstream.FetchMaxWait(20 * time.Second))
	if err == nil {
		err = do(m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// letters waits until there are n.
func (w *world) letters(f deadletters.Filter, n int) (all []deadletters.Letter) {
	w.t.Helper()
	actorstest.Eventually(w.t, fmt.Sprint(n, " letters"), func() bool {
		var err error
		all, _, err = w.List(testContext(w.t), f, 0, 100)
		return err == nil && len(all) == n
	})
	return all
}

func wantRefusal(t testing.TB, what string, err error, why messages.Why) {
	t.Helper()
	var r *messages.Refusal
	if !errors.As(err, &r) || r.Why != why {
		t.Errorf("%s: %v, want a refusal: %v", what, err, why)
	}
}

// A message that nobody acknowledges becomes a letter, with all that it was; replayed,
// it is a message again that says why, and a letter again that counts.
func TestLetter(t *testing.T) {
	w := newWorld(t)
	w.deafs = 1
	c := w.consumer("MARKET_DATA", "desk", 2)
	seq := w.publish("market.a", "body", "Trace", "t1", "Nats-Msg-Id", "m1")
	for range 2 { // and nobody asks again: it is found out all the same
		w.next(c, jetstream.Msg.Nak)
	}
	l := w.letters(deadletters.Filter{}, 1)[0]
	if l.Stream != "MARKET_DATA" || l.Consumer != "desk" || l.Seq != seq || l.Subject != "market.a" || l.Deliveries != 2 || l.Size != 4 || l.PayloadLost ||
		l.Replays != 0 || !strings.Contains(l.Reason, "2 deliveries") || time.Since(l.Died).Abs() > time.Minute {
		t.Errorf("the letter: %+v", l)
	}
	full, err := w.Get(testContext(t), l.ID)
	if err != nil || string(full.Data) != "body" || len(full.Header["Trace"]) != 1 || len(full.Header["Nats-Msg-Id"]) != 0 {
		t.Errorf("with its payload: %+v, %v", full, err)
	}
	actorstest.Eventually(t, "whoever is to be told", func() bool { return len(w.heard()) > 0 })
	if told := w.heard(); told[0].ID != l.ID || string(told[0].Data) != "body" {
		t.Errorf("told %+v", told)
	}
	receipt, err := w.Replay(testContext(t), l.ID)
	if err != nil || receipt.Stream != "MARKET_DATA" || receipt.Seq != seq+1 {
		t.Fatalf("replayed: %+v, %v", receipt, err)
	}
	_, err = w.Replay(testContext(t), l.ID)
	wantRefusal(t, "replaying it again", err, messages.Unknown)
	for range 2 {
		w.next(c, func(m jetstream.Msg) error {
			h := m.Headers()
			if string(m.Data()) != "body" || h.Get("Trace") != "t1" || h.Get("Dead-Letter-Reason") != l.Reason || h.Get("Dead-Letter-Replays") != "1" || h.Get("Dead-Letter-Id") != fmt.Sprint(l.ID) {
				t.Errorf("replayed with %v", h)
			}
			return m.Nak()
		})
	}
	again := w.letters(deadletters.Filter{Consumer: "desk"}, 1)[0]
	if again.ID == l.ID || again.Replays != 1 || again.Seq != seq+1 {
		t.Errorf("the letter of a replay: %+v", again)
	}
}

// A notice that is handled twice makes one letter; two consumers make two.
func TestOneLetterForEachConsumer(t *testing.T) {
	w := newWorld(t)
	seq := w.publish("market.a", "body")
	for range 3 {
		if err := w.Bury(testContext(t), "MARKET_DATA", "desk", seq, 1, "first\r\nNats-Rollup: all"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Bury(testContext(t), "MARKET_DATA", "other", seq, 1, "x"); err != nil {
		t.Fatal(err)
	}
	all := w.letters(deadletters.Filter{}, 2)
	if strings.ContainsAny(all[0].Reason, "\r\n") || !strings.HasPrefix(all[0].Reason, "first") {
		t.Errorf("reason %q", all[0].Reason)
	}
	if got := w.letters(deadletters.Filter{Stream: "MARKET_DATA", Consumer: "other"}, 1); got[0].Reason != "x" {
		t.Errorf("of one consumer: %+v", got)
	}
	// Neither letters nor what is the program's own dies.
	for _, stream := range []string{deadletters.Stream, "KV_tasks", broker.NoticeStream, "GONE"} {
		if err := w.Bury(testContext(t), stream, "desk", 1, 1, "x"); err != nil {
			t.Errorf("of %s: %v", stream, err)
		}
	}
	if n, err := w.Count(testContext(t)); err != nil || n != 2 {
		t.Errorf("%d letters, %v", n, err)
	}
	if n, err := w.Purge(testContext(t), deadletters.Filter{Consumer: "other"}); err != nil || n != 1 {
		t.Errorf("purged %d, %v", n, err)
	}
	if err := w.Remove(testContext(t), all[0].ID); err != nil {
		t.Error(err)
	}
	wantRefusal(t, "removing it again", w.Remove(testContext(t), all[0].ID), messages.Unknown)
	_, _, err := w.List(testContext(t), deadletters.Filter{Stream: "a.>"}, 0, 1)
	wantRefusal(t, "a filter with a wildcard", err, messages.Malformed)
}

// What is terminated is a letter too. A work queue has lost its payload by then.
func TestTerminated(t *testing.T) {
	w := newWorld(t)
	for stream, subject := range map[string]string{"MARKET_DATA": "market.a", "TASKS": "tasks.a"} {
		c := w.consumer(stream, "desk", 5)
		w.publish(subject, "body")
		w.next(c, func(m jetstream.Msg) error { return m.TermWithReason("no use") })
		l := w.letters(deadletters.Filter{Stream: stream}, 1)[0]
		if l.Reason != "no use" || l.PayloadLost != (stream == "TASKS") {
			t.Errorf("of %s: %+v", stream, l)
		}
		if _, err := w.Replay(testContext(t), l.ID); l.PayloadLost {
			wantRefusal(t, "replaying nothing", err, messages.Conflict)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// Notices that come while the actor is away are kept for it, and what removed messages
// leave is no letter.
func TestNoticesWait(t *testing.T) {
	w := newWorld(t)
	c := w.consumer("MARKET_DATA", "desk", 1)
	if err := w.server.System.StopChild(testContext(t), "root/broker", "deadletters"); err != nil {
		t.Fatal(err)
	}
	const n = 20
	for i := range n {
		w.publish("market.a", fmt.Sprint(i))
	}
	for range n {
		w.next(c, func(m jetstream.Msg) error { return m.TermWithReason("away") })
	}
	if count, err := w.Count(testContext(t)); err != nil || count != 0 {
		t.Errorf("while it is away: %d letters, %v", count, err)
	}
	spec, err := deadletters.Spec(deadletters.Options{Broker: w.server.Handle})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.server.System.StartChild(testContext(t), "root/broker", spec); err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for _, l := range w.letters(deadletters.Filter{}, n) {
		seen[l.Seq] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d messages have a letter", len(seen), n)
	}
	// A message that is purged while a consumer has it was not given up.
	w.publish("market.a", "purged")
	w.next(c, func(jetstream.Msg) error { return nil })
	s, err := w.js.Stream(testContext(t), "MARKET_DATA")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(testContext(t)); err != nil {
		t.Fatal(err)
	}
	w.publish("market.a", "given up")
	w.next(c, func(m jetstream.Msg) error { return m.TermWithReason("last") })
	all := w.letters(deadletters.Filter{}, n+1)
	if all[n].Reason != "last" {
		t.Errorf("the last letter: %+v", all[n])
	}
}

// A letter that was written with a Term, and replayed before the server's notice of it
// is handled, stays the only one.
func TestNoticeAfterReplay(t *testing.T) {
	w := newWorld(t)
	c := w.consumer("MARKET_DATA", "desk", 5)
	seq := w.publish("market.a", "body")
	if err := w.server.System.StopChild(testContext(t), "root/broker", "deadletters"); err != nil {
		t.Fatal(err)
	}
	if err := w.Bury(testContext(t), "MARKET_DATA", "desk", seq, 1, "no use"); err != nil {
		t.Fatal(err)
	}
	w.next(c, func(m jetstream.Msg) error { return m.TermWithReason("no use") })
	if _, err := w.Replay(testContext(t), w.letters(deadletters.Filter{}, 1)[0].ID); err != nil {
		t.Fatal(err)
	}
	spec, err := deadletters.Spec(deadletters.Options{Broker: w.server.Handle, Died: w.died})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.server.System.StartChild(testContext(t), "root/broker", spec); err != nil {
		t.Fatal(err)
	}
	w.next(c, func(m jetstream.Msg) error { return m.TermWithReason("again") }) // its notice comes behind the other
	all := w.letters(deadletters.Filter{}, 1)
	if all[0].Seq != seq+1 || all[0].Reason != "again" {
		t.Errorf("letters %+v", all)
	}
}

// Pages hold each letter once.
func TestPages(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		if err := w.Bury(testContext(t), "MARKET_DATA", fmt.Sprint("c", i%2), w.publish("market.a", "x"), 1, "x"); err != nil {
			t.Fatal(err)
		}
	}
	var ids []uint64
	for after, more := uint64(0), true; more; after = ids[len(ids)-1] {
		var page []deadletters.Letter
		var err error
		page, more, err = w.List(testContext(t), deadletters.Filter{Consumer: "c0"}, after, 3)
		if err != nil || len(page) == 0 {
			t.Fatalf("%d letters, %v", len(page), err)
		}
		for _, l := range page {
			ids = append(ids, l.ID)
		}
	}
	if fmt.Sprint(ids) != "[1 3 5 7]" {
		t.Errorf("letters %v", ids)
	}
}
