package traces

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/monitoring/relay"
	"github.com/marketprism/marketprism/actors/supervise"
)

const first = "00000000000000000000000000000001"

func (r *Recorder) counted(outcome string) float64 {
	return testutil.ToFloat64(r.metrics.spans.WithLabelValues(outcome))
}

// sending is a recorder whose spans are sent, without anybody who sends them.
func sending(t *testing.T) *Recorder {
	t.Helper()
	r := recorder(t, 100)
	r.leaving = &leaving{first: 1}
	return r
}

func batchOf(t *testing.T, r *Recorder, after uint64) (string, uint64) {
	t.Helper()
	text, next := (*outward)(r).Batch(after)
	return string(text), next
}

// TestTogether: spans of one trace from two processes are one trace, whichever comes first,
// and as often as they come.
func TestTogether(t *testing.T) {
	there, here := sending(t), recorder(t, 100)
	there.node = "there"
	why := func(s *Span) {
		child(7)(s)
		s.Remote, s.Failed, s.Error, s.Code, s.Request, s.Resource, s.Service = true, true, "it broke", 503, "r1", "/x/1", "other"
	}
	there.Record(span(1, 8, 200*time.Millisecond, why))
	there.Record(span(2, 9, time.Millisecond, nil)) // neither slow nor failed: it does not leave
	text, next := batchOf(t, there, 0)
	if strings.Count(text, "\n") != 1 || next != 1 {
		t.Fatalf("sent up to %d: %s", next, text)
	}
	here.Record(span(1, 6, time.Millisecond, child(7))) // waits for what it is below
	here.takeBatch([]byte(text))
	here.takeBatch([]byte(text)) // nobody knew that it was taken
	here.Record(span(1, 7, 300*time.Millisecond, nil))
	got, ok := here.Find(first)
	if !ok || len(got.Spans) != 3 || !got.Failed || !got.Slow || got.Took != 300*time.Millisecond || len(here.waiting) != 0 {
		t.Fatalf("kept %v: %+v", ok, got)
	}
	want := span(1, 8, 200*time.Millisecond, why)
	want.Node, want.Start = "there", want.Start.UTC()
	if !contains(got.Spans, want) {
		t.Errorf("got %+v, want among them %+v", got.Spans, want)
	}
	if kept, _ := here.Counts(); kept != 1 {
		t.Errorf("%d traces", kept)
	}
	if here.counted(outcomeReceived) != 1 || here.counted(outcomeRepeated) != 1 {
		t.Errorf("received %v, repeated %v", here.counted(outcomeReceived), here.counted(outcomeRepeated))
	}
	there.Record(span(1, 5, time.Millisecond, child(8))) // late, of a trace that is kept
	if text, next = batchOf(t, there, next); strings.Count(text, "\n") != 1 || next != 2 || there.counted(outcomeSent) != 1 {
		t.Errorf("sent up to %d, %v taken: %s", next, there.counted(outcomeSent), text)
	}
}

func contains(all []Span, s Span) bool {
	for _, each := range all {
		if each == s {
			return true
		}
	}
	return false
}

// TestStorm: what cannot be sent as fast as it comes gives way, the oldest first, and is
// counted, but for what is under way.
func TestStorm(t *testing.T) {
	r := sending(t)
	storm := func(from, n int) {
		for i := range n {
			at := from + i
			r.Record(span(byte(at), 1, time.Second, func(s *Span) { s.TraceID[1], s.ID[1], s.ID[2] = byte(at>>8), byte(at), byte(at>>8) }))
		}
	}
	storm(0, maxLeaving+50)
	if r.counted(outcomeLost) != 50 {
		t.Errorf("lost %v, want 50", r.counted(outcomeLost))
	}
	text, next := batchOf(t, r, 0)
	if n := strings.Count(text, "\n"); n != maxLeaving || next != maxLeaving+50 {
		t.Fatalf("%d spans up to %d", n, next)
	}
	storm(1000, 30) // push out what is under way
	if r.counted(outcomeLost) != 50 {
		t.Errorf("lost %v, want 50", r.counted(outcomeLost))
	}
	if text, next = batchOf(t, r, next); strings.Count(text, "\n") != 30 || next != maxLeaving+80 {
		t.Errorf("%d spans up to %d", strings.Count(text, "\n"), next)
	}
	if text, next = batchOf(t, r, next); text != "" || next != maxLeaving+80 || r.counted(outcomeSent) != maxLeaving+80 {
		t.Errorf("%q up to %d, %v sent", text, next, r.counted(outcomeSent))
	}
}

// TestNonsense: what is no span is counted, and does no harm.
func TestNonsense(t *testing.T) {
	good := `{"trace_id":"` + first + `","span_id":"0000000000000001","kind":"server","node":"n","service":"s","name":"GET /x","start":"2026-03-01T12:00:00Z","took_ns":5}`
	r := recorder(t, 10)
	lines := []string{
		"{", "{}", `[1]`, strings.Replace(good, first, "1", 1), strings.Replace(good, first, strings.Repeat("0", 32), 1),
		strings.Replace(good, "0000000000000001\",\"kind", "zz00000000000001\",\"kind", 1), strings.Replace(good, "server", "other", 1),
		strings.Replace(good, ":5}", ":-5}", 1), strings.Replace(good, "2026-03-01T12", "0001-01-01T00", 1), strings.Replace(good, "}", `,"parent_span_id":"1"}`, 1),
		strings.Replace(good, ":5}", ":1e30}", 1),
	}
	r.takeBatch([]byte(strings.Join(lines, "\n")))
	if n := r.counted(outcomeRefused); n != float64(len(lines)) || len(r.kept) != 0 {
		t.Errorf("%v of %d refused, %d kept", n, len(lines), len(r.kept))
	}
	r.takeBatch([]byte(strings.Replace(good, "GET /x", strings.Repeat("x", 9999), 1)))
	if got, ok := r.Find(first); !ok || len(got.Spans[0].Name) != maxWord {
		t.Errorf("kept %v: %+v", ok, got)
	}
}

// TestForward: what one process keeps is kept by another, through a real broker and with no
// more rights than the two have; also what was kept before the other began.
func TestForward(t *testing.T) {
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, t.TempDir()
	b, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	link := func(process string, s broker.Service) relay.Link {
		return relay.Link{Stream: "SERVICE_LOGS", Node: "node.a", Process: process, Connect: func(ctx context.Context) (*nats.Conn, error) { return b.ConnectClientsAs(ctx, s) }}
	}
	there, here := recorder(t, 100), recorder(t, 100)
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{Logger: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := sys.Start(ctx, b.Spec(), there.Forwarder(link("there", broker.Events))); err != nil {
		t.Fatal(err)
	}
	there.Record(span(1, 1, time.Second, nil))
	if _, err := sys.StartChild(ctx, supervise.RootID, supervise.Branch("watch", supervise.DefaultStrategy(), here.Follower(link("here", broker.Monitoring)))); err != nil {
		t.Fatal(err)
	}
	found := func(n int) func() bool { return func() bool { return len(here.List(Filter{}, 1000)) == n } }
	actorstest.Eventually(t, "the trace from before", found(1))
	there.Record(span(2, 2, time.Second, nil))
	if err := sys.StopChild(ctx, supervise.RootID, "traces"); err != nil { // which sends what it has
		t.Fatal(err)
	}
	actorstest.Eventually(t, "the last trace", found(2))
	if there.counted(outcomeSent) != 2 || here.counted(outcomeReceived) != 2 {
		t.Errorf("sent %v, received %v", there.counted(outcomeSent), here.counted(outcomeReceived))
	}
	if err := sys.Stop(ctx); err != nil {
		t.Error(err)
	}
}
