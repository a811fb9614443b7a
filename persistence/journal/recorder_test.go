package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// stored returns the messages of shard 0, straight from the broker.
func stored(t testing.TB, j *Journal) [][]byte {
	t.Helper()
	ctx := testContext(t)
	st, err := j.State(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := j.js.Stream(ctx, StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for seq := st.First; seq <= st.Last; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			t.Fatalf("sequence %d: %v", seq, err)
		}
		all = append(all, m.Data)
	}
	return all
}

func TestRecorderNumbersItsBatches(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	r := newRecorder(t, j)
	for i := range 3 {
		ack := record(t, r, fmt.Appendf(nil, "payload %d", i))
		if want := (Ack{Shard: 0, Seq: uint64(i + 1)}); ack != want {
			t.Errorf("got %+v, want %+v", ack, want)
		}
	}
	id, n := r.Incarnation()
	if n != 3 {
		t.Errorf("n = %d", n)
	}
	for i, m := range stored(t, j) {
		e, err := parseEnvelope(m)
		if err != nil {
			t.Fatal(err)
		}
		if e.incarnation != id || e.n != uint64(i+1) || e.rows != 1 {
			t.Errorf("message %d: %+v", i, e)
		}
	}
}

func TestRecorderHasOneBatchInFlight(t *testing.T) {
	b := startBroker(t)
	r := newRecorder(t, b.openJournal(testConfig()))
	if _, err := r.Publish(testContext(t)); !errors.Is(err, ErrNothingInFlight) {
		t.Errorf("publish when idle: %v", err)
	}
	if r.Abandon() {
		t.Error("nothing abandoned, yet in doubt")
	}
	if _, err := r.Seal([]byte("a"), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seal([]byte("b"), 1); !errors.Is(err, ErrInFlight) {
		t.Errorf("second seal: %v", err)
	}
}

func TestAcknowledgedSurvivesRestartAndHardCopy(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	r := newRecorder(t, j)
	var want [][]byte
	for i := range 20 {
		want = append(want, noise(1000*i))
		record(t, r, want[i])
	}
	copied := b.copyStore() // what a power cut at this instant leaves of synced files, and no more than the server wrote
	check := func(j *Journal) {
		t.Helper()
		o, err := newOpener()
		if err != nil {
			t.Fatal(err)
		}
		defer o.close()
		got := stored(t, j)
		if len(got) != len(want) {
			t.Fatalf("%d messages, want %d", len(got), len(want))
		}
		for i, m := range got {
			e, err := parseEnvelope(m)
			if err != nil {
				t.Fatal(err)
			}
			if raw, err := o.open(&e); err != nil || !bytes.Equal(raw, want[i]) {
				t.Fatalf("message %d: %v", i, err)
			}
		}
	}
	b.stop()
	b.start()
	check(b.openJournal(testConfig()))
	b.stop()
	b.dir = copied
	b.start()
	j2 := b.openJournal(testConfig())
	if j2.ID() != j.ID() {
		t.Errorf("the copy has id %s, want %s", j2.ID(), j.ID())
	}
	check(j2)
}

// deafConn drops what the server answers while deaf is set: acknowledgements
// are lost, publishes arrive.
type deafConn struct {
	net.Conn
	deaf *atomic.Bool
}

func (c deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.deaf.Load() {
			return n, err
		}
	}
}

type deafBroker struct {
	*broker
	deaf atomic.Bool
}

func (d *deafBroker) InProcessConn() (net.Conn, error) {
	c, err := d.broker.InProcessConn()
	if err != nil {
		return nil, err
	}
	return deafConn{c, &d.deaf}, nil
}

// deafJournal opens a journal whose answers can be lost.
func deafJournal(t *testing.T, b *broker, timeout time.Duration) (*Journal, *atomic.Bool) {
	t.Helper()
	d := &deafBroker{broker: b}
	nc, err := nats.Connect("", nats.InProcessServer(d), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	cfg := testConfig()
	cfg.PublishTimeout = timeout
	j, err := Open(testContext(t), nc, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j, &d.deaf
}

func TestLostAcknowledgementIsRepeatedWithTheSameBytes(t *testing.T) {
	b := startBroker(t)
	j, deaf := deafJournal(t, b, 200*time.Millisecond)
	r := newRecorder(t, j)
	record(t, r, []byte("first"))
	if _, err := r.Seal([]byte("second"), 1); err != nil {
		t.Fatal(err)
	}
	deaf.Store(true)
	if _, err := r.Publish(testContext(t)); !errors.Is(err, ErrUnavailable) || !r.InDoubt() {
		t.Fatalf("got %v, in doubt %v", err, r.InDoubt())
	}
	deaf.Store(false)
	ack, err := r.Deliver(testContext(t))
	if err != nil || ack.Seq != 3 {
		t.Fatalf("got %+v, %v", ack, err)
	}
	if _, n := r.Incarnation(); n != 2 || r.InDoubt() || r.InFlight() {
		t.Errorf("n = %d, in doubt %v, in flight %v", n, r.InDoubt(), r.InFlight())
	}
	all := stored(t, j)
	if len(all) != 3 || !bytes.Equal(all[1], all[2]) || bytes.Equal(all[0], all[1]) {
		t.Errorf("%d messages stored; the last two must be equal", len(all))
	}
}

func TestAbandonInDoubtBeginsANewIncarnation(t *testing.T) {
	b := startBroker(t)
	j, deaf := deafJournal(t, b, 200*time.Millisecond)
	r := newRecorder(t, j)
	record(t, r, []byte("first"))
	before, _ := r.Incarnation()
	if _, err := r.Seal([]byte("second"), 1); err != nil {
		t.Fatal(err)
	}
	deaf.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := r.Deliver(ctx); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	deaf.Store(false)
	if !r.Abandon() {
		t.Error("not in doubt")
	}
	if after, n := r.Incarnation(); after == before || n != 0 {
		t.Errorf("incarnation %x, n %d after %x", after, n, before)
	}
	record(t, r, []byte("third"))
}

func TestCertainRefusalKeepsTheNumber(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	cfg.MaxBytes = minShardBytes
	j := b.openJournal(cfg)
	r := newRecorder(t, j)
	before, _ := r.Incarnation()
	var n uint64
	for {
		if _, err := r.Seal(noise(4<<20), 1); err != nil {
			t.Fatal(err)
		}
		_, err := r.Deliver(testContext(t))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 10 {
			t.Fatal("the journal never fills")
		}
	}
	if r.InDoubt() || r.Abandon() {
		t.Error("a refusal by a full journal is certain")
	}
	// The last message is never purged, but what is before it gives room.
	ctx := testContext(t)
	s, err := j.js.Stream(ctx, StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(n)); err != nil {
		t.Fatal(err)
	}
	if ack := record(t, r, noise(4<<20)); ack.Seq != n+1 {
		t.Errorf("sequence %d, want %d", ack.Seq, n+1)
	}
	if after, last := r.Incarnation(); after != before || last != n+1 {
		t.Errorf("incarnation %x, n %d; want %x, %d", after, last, before, n+1)
	}
}

func TestBrokerStorageLimitIsFull(t *testing.T) {
	for code, text := range map[jetstream.ErrorCode]string{
		codeAccountResources: "", codeServerResources: "", codeStorageResources: "",
		codeStoreFailed: "maximum bytes exceeded",
	} {
		err, doubt := classify(fmt.Errorf("nats: %w", &jetstream.APIError{Code: 503, ErrorCode: code, Description: text}))
		if !errors.Is(err, ErrFull) || doubt {
			t.Errorf("%d: %v, in doubt %v", code, err, doubt)
		}
	}
	for _, c := range []struct {
		err   error
		want  error
		doubt bool
	}{
		{&jetstream.APIError{Code: 503, ErrorCode: codeStoreFailed, Description: "something else"}, ErrUnavailable, true},
		{&jetstream.APIError{Code: 503, ErrorCode: codeStoreFailed, Description: "message too large"}, ErrTooLarge, false},
		{&jetstream.APIError{Code: 503, ErrorCode: 10008}, ErrUnavailable, true},
		{&jetstream.APIError{Code: 400, ErrorCode: 10109}, ErrRefused, false},
		{nats.ErrNoResponders, ErrUnavailable, false},
		{nats.ErrMaxPayload, ErrTooLarge, false},
		{nats.ErrTimeout, ErrUnavailable, true},
		{nats.ErrConnectionClosed, ErrUnavailable, true},
		{jetstream.ErrInvalidJSAck, ErrRefused, true},
		{errors.New("never seen"), ErrUnavailable, true},
	} {
		if err, doubt := classify(c.err); !errors.Is(err, c.want) || doubt != c.doubt {
			t.Errorf("%v: got %v, in doubt %v", c.err, err, doubt)
		}
	}
}

func TestOversizeIsRefusedBeforeItIsSent(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	r := newRecorder(t, j)
	if _, err := r.Seal(noise(MaxMessage), 1); !errors.Is(err, ErrTooLarge) || r.InFlight() {
		t.Fatalf("got %v, in flight %v", err, r.InFlight())
	}
	if size, err := r.Seal(noise(MaxMessage-HeaderSize), 1); err != nil || size != MaxMessage {
		t.Fatalf("the largest: %d, %v", size, err)
	}
	if ack, err := r.Deliver(testContext(t)); err != nil || ack.Seq != 1 {
		t.Errorf("the largest: %+v, %v", ack, err)
	}
}

func TestDiskGuard(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	free, total := uint64(300<<20), uint64(10<<30)
	var broken error
	guard := testConfig().GuardDir(b.dir)
	if guard.MinBytes != 256<<20 || guard.MinPercent != 2 {
		t.Errorf("default thresholds %+v", guard)
	}
	if _, total, err := guard.Free(); err != nil || total == 0 {
		t.Errorf("measuring %s: %d, %v", b.dir, total, err)
	}
	guard.Free = func() (uint64, uint64, error) { return free, total, broken }
	r, err := j.NewRecorder(0, guard, nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want bool) {
		t.Helper()
		if !r.InFlight() {
			if _, err := r.Seal([]byte("x"), 1); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Deliver(testContext(t)); errors.Is(err, ErrDiskFull) != want || (err != nil) != want || r.InDoubt() {
			t.Errorf("%d of %d free: %v, in doubt %v", free, total, err, r.InDoubt())
		}
	}
	refused(false)
	free = 255 << 20
	refused(true)
	free, total = 1<<30, 100<<30 // 2 % is 2 GiB
	refused(true)
	free = 3 << 30
	refused(false)
	broken = errors.New("no such directory")
	refused(true)
}

func TestUnavailableUntilTheBrokerIsBack(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	r := newRecorder(t, j)
	record(t, r, []byte("first"))
	b.stop()
	if _, err := r.Seal([]byte("second"), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Publish(testContext(t)); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("broker stopped: %v", err)
	}
	b.start()
	ack, err := r.Deliver(testContext(t))
	if err != nil || ack.Seq != 2 {
		t.Errorf("broker back: %+v, %v", ack, err)
	}
}

func TestSilentRecorderBeginsANewIncarnation(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	now := time.Unix(1_700_000_000, 0)
	r, err := j.NewRecorder(0, DiskGuard{}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	record(t, r, []byte("first"))
	before, _ := r.Incarnation()
	now = now.Add(incarnationIdle)
	record(t, r, []byte("second"))
	if id, n := r.Incarnation(); id != before || n != 2 {
		t.Errorf("after %v: %x, %d", incarnationIdle, id, n)
	}
	now = now.Add(incarnationIdle + 1)
	record(t, r, []byte("third"))
	if id, n := r.Incarnation(); id == before || n != 1 {
		t.Errorf("after longer: %x, %d", id, n)
	}
}

func TestMetrics(t *testing.T) {
	b := startBroker(t)
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg)
	j, err := Open(testContext(t), b.connect(), testConfig(), m)
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder(t, j)
	record(t, r, []byte("x"))
	if _, err := r.Seal(noise(MaxMessage), 1); err == nil {
		t.Fatal("sealed")
	}
	if got := testutil.ToFloat64(m.batches.WithLabelValues("JOURNAL_0")); got != 1 {
		t.Errorf("batches %v", got)
	}
	if got := testutil.ToFloat64(m.refusals.WithLabelValues("JOURNAL_0", "too_large")); got != 1 {
		t.Errorf("refusals %v", got)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func BenchmarkPublish(b *testing.B) {
	br := startBroker(b)
	cfg := testConfig()
	cfg.MaxBytes = 6 << 30
	j := br.openJournal(cfg)
	for name, payload := range map[string][]byte{
		"1MiB-noise": noise(1 << 20), "1MiB-text": bytes.Repeat([]byte("0123456789abcdef"), 1<<16), "4KiB-noise": noise(4 << 10),
	} {
		b.Run(name, func(b *testing.B) {
			r := newRecorder(b, j)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				record(b, r, payload)
			}
		})
	}
}
