package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/persistence"
)

func start(t testing.TB, j *Journal) persistence.Position {
	t.Helper()
	p, err := j.Start(testContext(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newReader(t testing.TB, j *Journal, from persistence.Position) *Reader {
	t.Helper()
	r, err := j.NewReader(from, ReaderOptions{OnRetry: func(err error) { t.Logf("reader: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.WithoutCancel(t.Context())) })
	return r
}

// next returns the next message with a payload of its own.
func next(t testing.TB, r *Reader) Message {
	t.Helper()
	m, err := r.Next(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	m.Payload = bytes.Clone(m.Payload)
	return m
}

// wantFault reads until the reader stops, and expects it to stay stopped.
func wantFault(t testing.TB, r *Reader, seq uint64, want error) {
	t.Helper()
	for {
		_, err := r.Next(testContext(t))
		if err == nil {
			continue
		}
		var f *Fault
		if !errors.As(err, &f) || !errors.Is(err, want) || f.Seq != seq {
			t.Fatalf("got %v, want %v at %d", err, want, seq)
		}
		if _, again := r.Next(testContext(t)); again != err { //nolint:errorlint // the very same
			t.Fatalf("after the fault: %v", again)
		}
		return
	}
}

// inject publishes a message past the recorder, on any subject of shard 0.
func inject(t testing.TB, j *Journal, subject string, message []byte) {
	t.Helper()
	if _, err := j.js.Publish(testContext(t), subject, message); err != nil {
		t.Fatal(err)
	}
}

func purge(t testing.TB, j *Journal, opts ...jetstream.StreamPurgeOpt) {
	t.Helper()
	s, err := j.js.Stream(testContext(t), StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(testContext(t), opts...); err != nil {
		t.Fatal(err)
	}
}

func TestReaderReadsInOrderAndContinues(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec := newRecorder(t, j)
	id, _ := rec.Incarnation()
	for i := range 30 {
		record(t, rec, bytes.Repeat([]byte(strconv.Itoa(i)), 1000))
	}
	r := newReader(t, j, start(t, j))
	check := func(r *Reader, i int) {
		t.Helper()
		m := next(t, r)
		want := Message{
			Seq: uint64(i + 1), Incarnation: id, N: uint64(i + 1), Rows: 1,
			Payload: bytes.Repeat([]byte(strconv.Itoa(i)), 1000), Time: m.Time, Pending: m.Pending,
		}
		if fmt.Sprint(m) != fmt.Sprint(want) {
			t.Fatalf("message %d: got %v, want %v", i, m, want)
		}
		if age := time.Since(m.Time); age < 0 || age > time.Minute {
			t.Fatalf("stored %v ago", age)
		}
	}
	for i := range 12 {
		check(r, i)
	}
	if lag, err := r.Lag(testContext(t)); err != nil || lag != 18 {
		t.Errorf("lag %d, %v", lag, err)
	}
	// Saved and loaded as JSON, by another process.
	saved, err := json.Marshal(r.Position())
	if err != nil {
		t.Fatal(err)
	}
	var pos persistence.Position
	if err := json.Unmarshal(saved, &pos); err != nil {
		t.Fatal(err)
	}
	r = newReader(t, b.openJournal(testConfig()), pos)
	for i := 12; i < 30; i++ {
		check(r, i)
	}
	if m, err := r.Lag(testContext(t)); err != nil || m != 0 {
		t.Errorf("lag %d, %v", m, err)
	}
	// At the end it waits, and gets what comes.
	got := make(chan Message)
	ctx := testContext(t)
	go func() {
		m, err := r.Next(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- m
	}()
	record(t, rec, []byte("late"))
	if m := <-got; m.Seq != 31 || string(m.Payload) != "late" || m.Pending != 0 {
		t.Errorf("got %+v", m)
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	r := newReader(t, j, start(t, j))
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	record(t, newRecorder(t, j), []byte("x")) // not final
	if m := next(t, r); m.Seq != 1 {
		t.Errorf("got %+v", m)
	}
	r.Close(testContext(t))
	s, err := j.js.Stream(testContext(t), StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers left", n)
	}
	j.nc.Close()
	if _, err := r.Next(testContext(t)); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("closed connection: %v", err)
	}
}

func TestReaderSurvivesABrokerRestart(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec := newRecorder(t, j)
	r := newReader(t, j, start(t, j))
	for i := range 5 {
		record(t, rec, []byte("before"))
		if i < 3 {
			next(t, r)
		}
	}
	b.stop()
	b.start()
	for range 5 {
		record(t, rec, []byte("after"))
	}
	for want := uint64(4); want <= 10; want++ {
		if m := next(t, r); m.Seq != want {
			t.Fatalf("got %d, want %d", m.Seq, want)
		}
	}
	// The consumer vanishes under a reader that waits.
	if err := j.js.DeleteConsumer(testContext(t), StreamName(0), r.consumer); err != nil {
		t.Fatal(err)
	}
	record(t, rec, []byte("later"))
	if m := next(t, r); m.Seq != 11 {
		t.Errorf("got %d, want 11", m.Seq)
	}
}

func TestReaderDropsARepeatOnce(t *testing.T) {
	b := startBroker(t)
	j, deaf := deafJournal(t, b, 200*time.Millisecond)
	rec := newRecorder(t, j)
	record(t, rec, []byte("first"))
	if _, err := rec.Seal([]byte("second"), 1); err != nil {
		t.Fatal(err)
	}
	for range 2 { // two lost acknowledgements: three copies in the journal
		deaf.Store(true)
		if _, err := rec.Publish(testContext(t)); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		deaf.Store(false)
	}
	if _, err := rec.Deliver(testContext(t)); err != nil {
		t.Fatal(err)
	}
	record(t, rec, []byte("third"))
	r := newReader(t, j, start(t, j))
	next(t, r)
	if m := next(t, r); m.Seq != 2 || string(m.Payload) != "second" {
		t.Errorf("got %+v", m)
	}
	// The rule holds across the reader's own restart between a batch and its repeat.
	r = newReader(t, j, r.Position())
	if m := next(t, r); m.Seq != 5 || string(m.Payload) != "third" || m.N != 3 {
		t.Errorf("got %+v", m)
	}
	if r.Repeats() != 2 {
		t.Errorf("%d repeats, want 2", r.Repeats())
	}
}

func TestReaderTakesEachIncarnationByItself(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	one, two := newRecorder(t, j), newRecorder(t, j)
	for range 3 {
		record(t, one, []byte("one"))
		record(t, two, []byte("two"))
	}
	r := newReader(t, j, start(t, j))
	for seq := uint64(1); seq <= 6; seq++ {
		if m := next(t, r); m.N != (seq+1)/2 {
			t.Errorf("sequence %d has number %d", seq, m.N)
		}
	}
	if p := r.Position(); len(p.Recorders) != 2 || p.Seq != 6 {
		t.Errorf("position %+v", p)
	}
}

func TestReaderFaults(t *testing.T) {
	batch := func(n uint64) []byte { return sealed(t, n, []byte("payload of a recorder")) }
	type fixture struct {
		b   *broker
		j   *Journal
		pos persistence.Position // before the first message
	}
	cases := []struct {
		name  string
		spoil func(t *testing.T, f *fixture)
		seq   uint64
		want  error
	}{
		{"jump in n", func(t *testing.T, f *fixture) {
			inject(t, f.j, Subject(0), batch(1))
			inject(t, f.j, Subject(0), batch(3))
		}, 7, ErrJump},
		{"unknown incarnation beyond 1", func(t *testing.T, f *fixture) {
			inject(t, f.j, Subject(0), batch(2))
		}, 6, ErrJump},
		{"two batches under one number", func(t *testing.T, f *fixture) {
			inject(t, f.j, Subject(0), batch(1))
			inject(t, f.j, Subject(0), sealed(t, 1, []byte("another")))
		}, 7, ErrConflict},
		{"hole", func(t *testing.T, f *fixture) {
			inject(t, f.j, "journal.0.other", batch(1))
			inject(t, f.j, Subject(0), batch(1))
			purge(t, f.j, jetstream.WithPurgeSubject("journal.0.other"))
		}, 6, ErrHole},
		{"unknown version", func(t *testing.T, f *fixture) {
			m := batch(1)
			m[4] = 2
			inject(t, f.j, Subject(0), m)
		}, 6, ErrVersion},
		{"damaged", func(t *testing.T, f *fixture) {
			m := batch(1)
			m[HeaderSize+3] ^= 0x40
			inject(t, f.j, Subject(0), m)
		}, 6, ErrCorrupt},
		{"foreign message", func(t *testing.T, f *fixture) { inject(t, f.j, Subject(0), nil) }, 6, ErrCorrupt},
		{"purged beyond the position", func(t *testing.T, f *fixture) {
			purge(t, f.j, jetstream.WithPurgeSequence(3))
		}, 1, ErrPurged},
		{"ends before the position", func(t *testing.T, f *fixture) { f.pos.Seq = 6 }, 6, ErrRolledBack},
		{"older copy restored", func(t *testing.T, f *fixture) {
			old := f.b.copyStore()
			rec := newRecorder(t, f.j)
			record(t, rec, []byte("x"))
			record(t, rec, []byte("y"))
			f.pos.Seq = 7
			f.b.stop()
			f.b.dir = old
			f.b.start()
			f.j = f.b.openJournal(testConfig())
			if st, err := f.j.State(testContext(t), 0); err != nil || st.Last != 5 {
				t.Fatalf("the copy: %+v, %v", st, err)
			}
		}, 7, ErrRolledBack},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{b: startBroker(t)}
			f.j = f.b.openJournal(testConfig())
			rec := newRecorder(t, f.j)
			for range 5 {
				record(t, rec, []byte("good"))
			}
			f.pos = persistence.Position{JournalID: f.j.ID()}
			c.spoil(t, f)
			wantFault(t, newReader(t, f.j, f.pos), c.seq, c.want)
		})
	}
}

// A reader that waits at the end learns of an older copy, and of a purge that
// passed it, when the broker comes back.
func TestWaitingReaderSeesAnOlderCopy(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec := newRecorder(t, j)
	record(t, rec, []byte("one"))
	old := b.copyStore()
	record(t, rec, []byte("two"))
	r := newReader(t, j, start(t, j))
	next(t, r)
	next(t, r)
	b.stop()
	b.dir = old
	b.start()
	// A recorder of another process writes as many messages as were lost.
	other := newRecorder(t, b.openJournal(testConfig()))
	wantFault(t, r, 2, ErrRolledBack)
	record(t, other, []byte("three"))
	// And the recorder that knows nothing goes on with its number 3: a jump for
	// whoever reads the copy from its beginning.
	record(t, rec, []byte("four"))
	again := newReader(t, j, start(t, j))
	wantFault(t, again, 3, ErrJump)
}

func TestReaderRefusesAnotherJournal(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	pos := start(t, j)
	pos.JournalID = newJournalID()
	if _, err := j.NewReader(pos, ReaderOptions{}); !errors.Is(err, ErrOtherJournal) {
		t.Errorf("another id: %v", err)
	}
	pos = start(t, j)
	pos.Shard = 1
	if _, err := j.NewReader(pos, ReaderOptions{}); !errors.Is(err, ErrShards) {
		t.Errorf("shard 1 of 1: %v", err)
	}
	// The journal is replaced under an open reader.
	r := newReader(t, j, start(t, j))
	record(t, newRecorder(t, j), []byte("x"))
	next(t, r)
	if err := j.js.DeleteStream(testContext(t), StreamName(0)); err != nil {
		t.Fatal(err)
	}
	record(t, newRecorder(t, b.openJournal(testConfig())), []byte("x"))
	wantFault(t, r, 1, ErrOtherJournal)
}

func TestReaderOfAMissingStream(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	r := newReader(t, j, start(t, j))
	r.doubtFor = 100 * time.Millisecond
	if err := j.js.DeleteStream(testContext(t), StreamName(0)); err != nil {
		t.Fatal(err)
	}
	wantFault(t, r, 0, ErrMissing)
}

func TestReaderRemembersTheLastIncarnations(t *testing.T) {
	var pos persistence.Position
	first := someIncarnation
	for i := range 3 * rememberIncarnations {
		id := newIncarnation(time.Unix(int64(i), 0))
		if _, err := admit(&pos, &envelope{incarnation: id, n: 1}, uint64(2*i+1)); err != nil {
			t.Fatal(err)
		}
		// One recorder that writes all the time is never forgotten.
		if _, err := admit(&pos, &envelope{incarnation: first, n: uint64(i + 1)}, uint64(2*i+2)); err != nil {
			t.Fatal(err)
		}
	}
	if len(pos.Recorders) != rememberIncarnations {
		t.Errorf("%d incarnations", len(pos.Recorders))
	}
}

// Messages of every size come through a window that holds few of them.
func TestReaderReadAheadIsBounded(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	cfg.ReadAheadBytes = minReadAhead
	j := b.openJournal(cfg)
	rec := newRecorder(t, j)
	sizes := []int{MaxMessage - HeaderSize, 1, 4 << 20, 4 << 20, 5 << 20, 100, MaxMessage - HeaderSize, MaxMessage - HeaderSize, 3}
	for _, n := range sizes {
		record(t, rec, noise(n))
	}
	for range 2 * readAheadMessages { // and through a pull's number of messages
		record(t, rec, []byte("x"))
	}
	r := newReader(t, j, start(t, j))
	stalls := 0 // a delivery that stalls goes on after a heartbeat
	timed := func() Message {
		began := time.Now()
		m := next(t, r)
		if time.Since(began) >= readHeartbeat {
			stalls++
		}
		return m
	}
	for i, n := range sizes {
		if m := timed(); len(m.Payload) != n {
			t.Fatalf("message %d has %d bytes, want %d", i, len(m.Payload), n)
		}
	}
	for range 2 * readAheadMessages {
		timed()
	}
	if stalls > 1 { // one may be the machine's
		t.Errorf("the delivery stalled %d times", stalls)
	}
}

func TestParsePlace(t *testing.T) {
	want := place{seq: 12, pending: 3, time: time.Unix(0, 1700000000123456789)}
	for _, reply := range []string{
		"$JS.ACK.JOURNAL_0.c1.1.12.2.1700000000123456789.3",
		"$JS.ACK.hub.ACCHASH.JOURNAL_0.c1.1.12.2.1700000000123456789.3",
		"$JS.ACK.hub.ACCHASH.JOURNAL_0.c1.1.12.2.1700000000123456789.3.random",
	} {
		if got, err := parsePlace(reply); err != nil || got != want {
			t.Errorf("%s: %+v, %v", reply, got, err)
		}
	}
	for _, reply := range []string{"", "_INBOX.x", "$JS.ACK.", "$JS.ACK.a.b.1.x.2.3.4", "$JS.ACK.a.b.1.2.3"} {
		if got, err := parsePlace(reply); err == nil {
			t.Errorf("%q gave %+v", reply, got)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	for name, payload := range map[string][]byte{
		"1MiB-noise": noise(1 << 20), "1MiB-text": bytes.Repeat([]byte("0123456789abcdef"), 1<<16), "4KiB-noise": noise(4 << 10),
	} {
		b.Run(name, func(b *testing.B) {
			br := startBroker(b)
			cfg := testConfig()
			cfg.MaxBytes = 4 << 30
			j := br.openJournal(cfg)
			rec := newRecorder(b, j)
			const messages = 200
			for range messages {
				record(b, rec, payload)
			}
			from := start(b, j)
			ctx := testContext(b)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			r := newReader(b, j, from)
			for i := 0; b.Loop(); i++ {
				if i%messages == 0 {
					r.Close(ctx)
					r = newReader(b, j, from)
				}
				if _, err := r.Next(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A message that delivery lost, and the journal has, is no hole.
func TestReaderRecoversALostDelivery(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec := newRecorder(t, j)
	for range 5 {
		record(t, rec, []byte("x"))
	}
	r := newReader(t, j, start(t, j))
	next(t, r)
	<-r.delivery.ch // lose number 2
	for want := uint64(2); want <= 5; want++ {
		if m := next(t, r); m.Seq != want {
			t.Fatalf("got %d, want %d", m.Seq, want)
		}
	}
}

// A consumer that takes itself for being at the end passes over what there is; no
// message will ever betray it in a journal that has gone quiet.
func TestReaderNoticesAConsumerThatPassedOver(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec := newRecorder(t, j)
	record(t, rec, []byte("first"))
	r := newReader(t, j, start(t, j))
	next(t, r)
	for _, payload := range []string{"second", "third"} {
		record(t, rec, []byte(payload))
	}
	ctx := testContext(t)
	r.Close(ctx)
	c, err := j.js.CreateConsumer(ctx, StreamName(0), jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.consumer = c.CachedInfo().Name
	if r.delivery, err = newDelivery(j.nc, StreamName(0), r.consumer, j.cfg.ReadAheadBytes); err != nil {
		t.Fatal(err)
	}
	var met error
	r.onRetry = func(err error) { met = err }
	for _, want := range []string{"second", "third"} {
		if m := next(t, r); string(m.Payload) != want {
			t.Errorf("got %q, want %q", m.Payload, want)
		}
	}
	if !errors.Is(met, errPassedOver) {
		t.Errorf("met %v, want errPassedOver", met)
	}
}
