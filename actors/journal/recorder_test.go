package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

func TestRecordedOnceAndWhole(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	const producers, each = 8, 200
	entries := make([][]*persistence.Entry, producers)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				entries[p] = append(entries[p], w.record(f.h.Recorder(0), trades((p*each+i)*10, 1+i%10)))
			}
		}()
	}
	wg.Wait()
	var last uint64
	for p := range producers {
		var before uint64
		for _, e := range entries[p] {
			o := w.want(e, nil)
			if o.Seq < before {
				t.Fatalf("a producer's entries were reordered: %d after %d", o.Seq, before)
			}
			before = o.Seq
			last = max(last, o.Seq)
		}
	}
	ids, at, _ := f.stored()
	want := 0
	for p := range producers {
		for i, e := range entries[p] {
			o := w.wait(e)
			for n := range 1 + i%10 {
				id := int64((p*each+i)*10 + n)
				want++
				if ids[id] != 1 || at[id] != o.Seq {
					t.Fatalf("trade %d is stored %d times, last in message %d, acknowledged in %d", id, ids[id], at[id], o.Seq)
				}
			}
		}
	}
	if len(ids) != want {
		t.Errorf("%d trades are stored, want %d", len(ids), want)
	}
	t.Logf("%d entries in %d messages", producers*each, last)
	f.wantCreditBack()
}

// An idle recorder sends at once: an entry alone has a message of its own.
func TestIdleSendsAtOnce(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	for i := range 5 {
		if o := w.want(w.record(f.h.Recorder(0), trades(i, 1)), nil); o.Seq != uint64(i+1) || o.Shard != 0 {
			t.Errorf("entry %d is at %d:%d", i, o.Shard, o.Seq)
		}
	}
}

// Entries for which nobody waits share a message with what comes within the batch
// interval; one that somebody waits for takes them along at once.
func TestPatientEntriesShareABatch(t *testing.T) {
	s := defaults()
	s.recorder.BatchInterval = time.Second
	f := run(t, s)
	w := watch(t)
	patient := func(id int) *persistence.Entry {
		e := trades(id, 1)
		e.Patient = true
		return w.record(f.h.Recorder(0), e)
	}
	seqOf := func(e *persistence.Entry) uint64 { return w.want(e, nil).Seq }
	if got := seqOf(patient(1)); got != 1 {
		t.Fatalf("the first entry, with nothing before it, is at %d", got)
	}
	begin := time.Now()
	waiting := []*persistence.Entry{patient(2), patient(3), patient(4)}
	if got := seqOf(w.record(f.h.Recorder(0), trades(5, 1))); got != 2 {
		t.Errorf("the entry that is waited for is at %d, want 2", got)
	}
	if took := time.Since(begin); took > s.recorder.BatchInterval*9/10 {
		t.Errorf("it took %v", took)
	}
	for i, e := range waiting {
		if got := seqOf(e); got != 2 {
			t.Errorf("patient entry %d is at %d, want 2", i, got)
		}
	}
	begin = time.Now()
	last := patient(6)
	if got := seqOf(last); got != 3 {
		t.Errorf("the next patient entry is at %d, want 3", got)
	}
	if took := time.Since(begin); took < s.recorder.BatchInterval/2 {
		t.Errorf("a patient entry waited for %v, want the rest of %v", took, s.recorder.BatchInterval)
	}
	last = patient(7)
	begin = time.Now()
	f.stop()
	if w.want(last, nil); time.Since(begin) > s.recorder.BatchInterval*9/10 {
		t.Errorf("the stop waited for the pause: %v", time.Since(begin))
	}
}

func TestLostAcknowledgementIsRepeated(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	w.want(w.record(f.h.Recorder(0), trades(1, 1)), nil)
	f.server.cut.Store(true)
	o := w.want(w.record(f.h.Recorder(0), trades(2, 1)), nil)
	if f.server.cut.Load() {
		t.Fatal("nothing was cut")
	}
	w.want(w.record(f.h.Recorder(0), trades(3, 1)), nil)
	ids, _, repeats := f.stored()
	if ids[1] != 1 || ids[2] != 1 || ids[3] != 1 {
		t.Errorf("trades are read %v times, want once each", ids)
	}
	if o.Seq != 2+repeats {
		t.Errorf("acknowledged at %d with %d repeats", o.Seq, repeats)
	}
	f.wantCreditBack()
}

// The server is away for a while: everything waits, and is stored once it is back.
func TestServerAway(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	var entries []*persistence.Entry
	for i := range 20 {
		entries = append(entries, w.record(f.h.Recorder(0), trades(i, 1)))
		if i == 10 {
			f.server.stop()
		}
	}
	f.server.start()
	for _, e := range entries {
		w.want(e, nil)
	}
	ids, _, _ := f.stored()
	for i := range 20 {
		if ids[int64(i)] != 1 {
			t.Errorf("trade %d is stored %d times", i, ids[int64(i)])
		}
	}
	f.wantCreditBack()
}

func TestGivingUp(t *testing.T) {
	s := defaults()
	s.recorder.GiveUp = 300 * time.Millisecond
	f := run(t, s)
	w := watch(t)
	w.want(w.record(f.h.Recorder(0), trades(0, 1)), nil)
	before := f.status().Incarnation
	f.server.cut.Store(true) // it is stored, but no one knows
	doubtful := w.record(f.h.Recorder(0), trades(1, 1))
	f.eventually("the cut", func() bool { return !f.server.cut.Load() })
	f.server.stop()
	o := w.wait(doubtful)
	if o.Err != nil && !errors.Is(o.Err, persistence.ErrDoubt) {
		t.Fatalf("outcome is %v, want ErrDoubt", o.Err)
	}
	f.server.start()
	after := w.record(f.h.Recorder(0), trades(2, 1))
	if o := w.wait(after); o.Err != nil {
		w.want(w.record(f.h.Recorder(0), trades(2, 1)), nil) // it was given up as well
	}
	ids, _, _ := f.stored()
	if ids[0] != 1 || ids[1] > 1 || ids[2] < 1 {
		t.Errorf("trades are read %v times", ids)
	}
	if o.Err != nil && f.status().Incarnation == before {
		t.Errorf("the incarnation is still %s", before)
	}
	f.wantCreditBack()
}

func TestFullThenRoom(t *testing.T) {
	s := defaults()
	s.journal.MaxBytes = 18 << 20
	f := run(t, s)
	w := watch(t)
	r := f.h.Recorder(0)
	acked, refused := make(map[int64]bool), make(map[int64]bool)
	first := 0
	for len(refused) == 0 {
		e := noise(first, 20_000)
		e.Done = w.done
		if err := r.Record(e); err != nil {
			t.Fatalf("Record: %v", err)
		}
		switch o := w.wait(e); {
		case o.Err == nil:
			acked[int64(first)] = true
		case errors.Is(o.Err, persistence.ErrJournalFull):
			refused[int64(first)] = true
		default:
			t.Fatalf("outcome is %v", o.Err)
		}
		first += 20_000
	}
	if err := r.Record(trades(-1, 1)); !errors.Is(err, persistence.ErrRefusing) {
		t.Errorf("Record while full: %v, want ErrRefusing", err)
	}
	if r.Accepting() || f.h.Refusing(0) == nil || f.status().State != "refusing" {
		t.Errorf("accepting %v, refusing %v, state %s while full", r.Accepting(), f.h.Refusing(0), f.status().State)
	}
	ids, _, _ := f.stored()
	for id := range acked {
		if ids[id] != 1 {
			t.Errorf("trade %d was acknowledged and is stored %d times", id, ids[id])
		}
	}
	for id := range refused {
		if ids[id] != 0 {
			t.Errorf("trade %d was refused and is stored %d times", id, ids[id])
		}
	}
	f.purge()
	f.eventually("accepting again", r.Accepting)
	w.want(w.record(r, trades(first, 1)), nil)
	f.wantCreditBack()
}

// purge takes everything but the last message.
func (f *fixture) purge() {
	f.Helper()
	ctx := testContext(f.T)
	j, err := f.opener.Journal(ctx)
	if err != nil {
		f.Fatal(err)
	}
	registry, err := j.Registry(ctx)
	if err != nil {
		f.Fatal(err)
	}
	st, err := j.State(ctx, 0)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := registry.Register(ctx, "test", false, 0, st.Last); err != nil {
		f.Fatal(err)
	}
	if _, err := registry.Purge(ctx, 0); err != nil {
		f.Fatal(err)
	}
}

// noise is an entry that does not compress.
func noise(first, n int) *persistence.Entry {
	e := trades(first, n)
	random := rand.New(rand.NewPCG(1, uint64(first)))
	for tr := range market.Rows[market.Trade](&e.Batch) {
		tr.Price = market.NewDecimal(random.Int64(), 8)
		tr.Amount = market.NewDecimal(random.Int64(), 8)
		tr.QuoteAmount = market.NewDecimal(random.Int64(), 8)
	}
	return e
}

func TestDiskGuard(t *testing.T) {
	s := defaults()
	var free atomic.Uint64
	free.Store(1 << 40)
	s.guard = wal.DiskGuard{Free: func() (uint64, uint64, error) { return free.Load(), 1 << 40, nil }, MinBytes: 1 << 30}
	f := run(t, s)
	w := watch(t)
	r := f.h.Recorder(0)
	w.want(w.record(r, trades(0, 1)), nil)
	free.Store(1)
	w.want(w.record(r, trades(1, 1)), persistence.ErrDiskFull)
	if err := r.Record(trades(2, 1)); !errors.Is(err, persistence.ErrRefusing) || r.Accepting() {
		t.Errorf("Record: %v, accepting %v", err, r.Accepting())
	}
	free.Store(1 << 40)
	f.eventually("accepting again", r.Accepting)
	w.want(w.record(r, trades(3, 1)), nil)
	ids, _, _ := f.stored()
	if len(ids) != 2 || ids[0] != 1 || ids[3] != 1 {
		t.Errorf("stored are %v, want 0 and 3", ids)
	}
	f.wantCreditBack()
}

func TestTooLarge(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	r := f.h.Recorder(0)
	w.want(w.record(r, noise(0, 450_000)), persistence.ErrTooLarge)
	w.want(w.record(r, trades(1_000_000, 1)), nil)
	if err := r.Record(trades(0, 1_000_000)); !errors.Is(err, persistence.ErrTooLarge) {
		t.Errorf("an entry beyond all credit: %v, want ErrTooLarge", err)
	}
	f.wantCreditBack()
}

func TestRecordsThatNoStoreHolds(t *testing.T) {
	f := run(t, defaults())
	homeless := trades(0, 1)
	homeless.Batch.At(0).Head().Instrument = nil
	top := trades(0, 1)
	top.Batch.AddKind(market.KindBookTop).Head().Instrument = instrument
	for name, e := range map[string]*persistence.Entry{"no instrument": homeless, "no table": top} {
		if err := f.h.Recorder(0).Record(e); !errors.Is(err, persistence.ErrRecord) {
			t.Errorf("%s: got %v, want ErrRecord", name, err)
		}
	}
	f.wantCreditBack()
}

func TestCreditBoundsMemory(t *testing.T) {
	s := defaults()
	s.recorder.CreditMin, s.recorder.CreditMax = 1<<20, 1<<20
	f := run(t, s)
	w := watch(t)
	r := f.h.Recorder(0)
	f.server.stop()
	var taken []*persistence.Entry
	for i := 0; ; i++ {
		e := trades(i, 1)
		e.Done = w.done
		if err := r.Record(e); err != nil {
			if !errors.Is(err, persistence.ErrNoCredit) {
				t.Fatalf("Record: %v, want ErrNoCredit", err)
			}
			break
		}
		taken = append(taken, e)
	}
	if r.Accepting() || len(taken) < 100 {
		t.Errorf("accepting %v after %d entries", r.Accepting(), len(taken))
	}
	if st := f.status(); st.Bytes > st.Limit || st.NoCredit != 1 {
		t.Errorf("%d bytes are taken of %d, %d refusals", st.Bytes, st.Limit, st.NoCredit)
	}
	f.server.start()
	for _, e := range taken {
		w.want(e, nil)
	}
	if !r.Accepting() {
		t.Error("not accepting again")
	}
	f.wantCreditBack()
}

// A restart in the middle of a flight: the flight is in doubt, the batch being
// built is refused, the intake goes on; everyone is told once.
func TestRestartMidFlight(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	r := f.h.Recorder(0)
	f.server.stop()
	inFlight := w.record(r, trades(0, 1))
	f.eventually("the flight", func() bool { return f.status().Incarnation == "" })
	built := w.record(r, trades(1, 1))
	f.status() // behind the wake-up, so it is built
	if err := f.sys.RestartChild(testContext(t), "root/journal/recorder", "0"); err != nil {
		t.Fatal(err)
	}
	w.want(inFlight, persistence.ErrDoubt)
	w.want(built, persistence.ErrStopped)
	f.server.start()
	w.want(w.record(r, trades(2, 1)), nil)
	f.wantCreditBack()
}

// Whatever crashes, everyone is told once and all credit comes back.
func TestCrashes(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	r := f.h.Recorder(0)
	for round := range 3 {
		var entries []*persistence.Entry
		for i := range 200 {
			e := trades(round*1000+i, 1)
			e.Done = w.done
			if i == 100 {
				e.Done = func(e *persistence.Entry, o persistence.Outcome) {
					w.done(e, o)
					panic("a Done that fails")
				}
			}
			if err := r.Record(e); err != nil {
				t.Fatalf("Record: %v", err)
			}
			entries = append(entries, e)
		}
		for _, e := range entries {
			if o := w.wait(e); o.Err != nil && !errors.Is(o.Err, persistence.ErrDoubt) && !errors.Is(o.Err, persistence.ErrStopped) {
				t.Fatalf("outcome is %v", o.Err)
			}
		}
		w.want(w.record(r, trades(round*1000+999, 1)), nil) // it is back
	}
	node, _ := f.sys.Tree().Node("root/journal/recorder/0")
	if node.Failures != 3 || node.LastFailure == nil || node.LastFailure.Reason != "a Done that fails" {
		t.Errorf("the tree shows %d failures, last %+v", node.Failures, node.LastFailure)
	}
	ids, _, _ := f.stored()
	for e, o := range w.got {
		id, _ := e.Batch.At(0).(*market.Trade).ID.Num()
		switch n := ids[id]; {
		case o.Err == nil && n != 1:
			t.Errorf("trade %d was acknowledged and is stored %d times", id, n)
		case errors.Is(o.Err, persistence.ErrStopped) && n != 0:
			t.Errorf("trade %d was refused and is stored %d times", id, n)
		case n > 1:
			t.Errorf("trade %d is stored %d times", id, n)
		}
	}
	f.wantCreditBack()
}

func TestStopFlushes(t *testing.T) {
	f := run(t, defaults())
	w := watch(t)
	r := f.h.Recorder(0)
	var entries []*persistence.Entry
	for i := range 2000 {
		entries = append(entries, w.record(r, trades(i, 1)))
	}
	f.stop()
	for _, e := range entries {
		w.want(e, nil)
	}
	if err := r.Record(trades(0, 1)); !errors.Is(err, persistence.ErrStopped) || r.Accepting() {
		t.Errorf("Record after the stop: %v, accepting %v", err, r.Accepting())
	}
	if _, err := f.h.Status(testContext(t)); !errors.Is(err, supervise.ErrStopped) {
		t.Errorf("Status after the stop: %v", err)
	}
}

func TestStopWithoutServer(t *testing.T) {
	s := defaults()
	s.recorder.FlushTimeout = 300 * time.Millisecond
	f := run(t, s)
	w := watch(t)
	r := f.h.Recorder(0)
	f.server.stop()
	inFlight := w.record(r, trades(0, 1))
	f.eventually("the flight", func() bool { return f.status().Incarnation == "" })
	waiting := w.record(r, trades(1, 1))
	f.stop()
	w.want(inFlight, persistence.ErrDoubt)
	w.want(waiting, persistence.ErrStopped)
}

func TestShards(t *testing.T) {
	s := defaults()
	s.journal.Shards = 4
	f := run(t, s)
	used := make(map[int]bool)
	w := watch(t)
	for i := range 50 {
		id := market.StreamID{Exchange: "binance", Market: market.Spot, Symbol: fmt.Sprint("S", i)}
		o := w.want(w.record(f.h.For(id), trades(i, 1)), nil)
		if want := wal.Shard(id.Exchange, id.Market.String(), id.Symbol, 4); o.Shard != want {
			t.Errorf("%s went to shard %d, want %d", id, o.Shard, want)
		}
		used[o.Shard] = true
	}
	if len(used) != 4 {
		t.Errorf("%d shards were used", len(used))
	}
}

func TestConfig(t *testing.T) {
	if err := journal.DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for name, change := range map[string]func(c *journal.Config){
		"credit_window":  func(c *journal.Config) { c.CreditWindow = 0 },
		"credit_min":     func(c *journal.Config) { c.CreditMin = 0 },
		"credit_max":     func(c *journal.Config) { c.CreditMax = c.CreditMin - 1 },
		"give_up":        func(c *journal.Config) { c.GiveUp = 0 },
		"probe_interval": func(c *journal.Config) { c.ProbeInterval = time.Hour },
		"flush_timeout":  func(c *journal.Config) { c.FlushTimeout = 0 },
	} {
		c := journal.DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
