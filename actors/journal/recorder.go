package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

// Pauses: before opening the journal again, and before the first probe.
const (
	reopenPause = 200 * time.Millisecond
	firstProbe  = 50 * time.Millisecond
	measure     = time.Second // between two looks at the traffic
)

// state is where a recorder is; see doc.go.
type state uint8

const (
	opening state = iota
	accepting
	refusing
	draining
)

func (s state) String() string {
	return [...]string{"opening", "accepting", "refusing", "draining"}[s]
}

// The actor's messages.
type (
	wakeUp        struct{} // the intake is no longer empty
	statusRequest struct{}
	openDue       struct{}
	opened        struct {
		recorder *wal.Recorder
		journal  *wal.Journal
		foreign  error
		err      error
	}
	delivered struct {
		ack wal.Ack
		err error
	}
	batchDue struct{}
	probeDue struct{}
	probed   struct{ err error }
	measured struct{}
)

// recorder is one incarnation of the actor recorder/<shard>. The wal.Recorder
// belongs to the operation in flight while there is one, else to the actor.
type recorder struct {
	s       *shard
	options Options
	op      supervise.InFlight
	looking supervise.InFlight // whose journal it is
	looked  time.Time
	state   state
	why     error // of refusing

	journal *wal.Journal
	wal     *wal.Recorder
	encoder *wal.Encoder
	single  int       // so many entries go in batches of their own
	urgent  bool      // somebody waits for an entry of the batch being built
	sentAt  time.Time // the batch before it
	pausing bool      // batchDue will come

	backoff time.Duration // before the next probe
	acks    int           // since the last measurement
	seen    int64         // bytes taken in at the last measurement
	rate    float64       // bytes a second
	seq     uint64
	ackedAt time.Time
}

func newRecorder(s *shard, o Options) *recorder {
	return &recorder{s: s, options: o, encoder: wal.NewEncoder()}
}

// Receive handles one message. A message that it does not survive ends what was
// taken before the panic goes on.
func (r *recorder) Receive(c *supervise.Context) {
	survived := false
	defer func() {
		if !survived {
			r.s.crashed()
		}
	}()
	r.handle(c)
	survived = true
}

func (r *recorder) handle(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		r.s.crashed() // what a crashed Done may have left
		r.s.open(&ref{c.System(), c.Self()})
		r.seen = r.s.taken.Load()
		c.Every(measure, measured{})
		r.openJournal(c)
	case *actor.Restarting:
		r.s.crashed()
	case *actor.Stopping:
		r.s.close()
		r.s.finish(&r.s.flight, persistence.Outcome{Err: persistence.ErrDoubt, Shard: r.s.index})
		r.s.finishAll(persistence.ErrStopped)
	case wakeUp:
		r.pump(c)
	case openDue:
		r.openJournal(c)
	case opened:
		r.begin(c, m)
	case delivered:
		r.settle(c, m)
	case batchDue:
		r.pausing = false
		r.pump(c)
	case probeDue:
		r.probe(c)
	case probed:
		r.judge(c, m.err)
	case verified:
		r.verified(c, m.err)
	case measured:
		r.look(c)
		r.adapt()
		r.pump(c)
	case statusRequest:
		c.Respond(r.status())
	}
}

// Drain flushes what there is; see supervise.Drainer.
func (r *recorder) Drain(c *supervise.Context) {
	r.s.close()
	r.state = draining
	r.pump(c)
}

func (r *recorder) openJournal(c *supervise.Context) {
	r.op.Start(c, func(ctx context.Context) any {
		j, err := r.options.Open(ctx)
		if err != nil {
			return opened{err: err}
		}
		w, err := j.NewRecorder(r.s.index, r.options.Guard, nil)
		return opened{recorder: w, journal: j, foreign: onlyForeign(r.verify(ctx, j)), err: err}
	})
}

func (r *recorder) begin(c *supervise.Context, m opened) {
	if m.err != nil {
		c.Log().Error("journal does not open", zap.Error(m.err))
		c.After(jitter(reopenPause), openDue{})
		return
	}
	r.wal, r.journal = m.recorder, m.journal
	if r.state == opening {
		r.state, r.looked = accepting, time.Now()
		if m.foreign != nil {
			r.refuseForeign(c, m.foreign)
		}
	}
	c.Ready()
	r.pump(c)
}

// pump builds the next batch, and sends it if none is in flight.
func (r *recorder) pump(c *supervise.Context) {
	if r.wal == nil || r.state == refusing {
		return // both come back here
	}
	for {
		r.fill()
		if r.op.Busy() || r.s.building.len() == 0 || r.pause(c) {
			break
		}
		r.send(c)
	}
	if r.state == draining && !r.op.Busy() && r.s.building.len() == 0 {
		c.Drained()
	}
}

// pause reports whether the batch being built waits for more; batchDue ends that.
func (r *recorder) pause(c *supervise.Context) bool {
	left := r.options.Config.BatchInterval - time.Since(r.sentAt)
	if left <= 0 || r.urgent || r.state == draining || r.s.pending.len() > 0 || r.encoder.Size() >= r.journal.Config().BatchBytes {
		return false
	}
	if !r.pausing {
		r.pausing = true
		c.After(left, batchDue{})
	}
	r.s.doze()
	return true
}

// fill encodes entries into the batch being built, up to its size. A large entry
// is a batch of its own.
func (r *recorder) fill() {
	s, limit := r.s, r.journal.Config().BatchBytes
	for r.encoder.Size() < limit && (s.pending.len() > 0 || s.collect()) {
		next := s.pending.first()
		if s.building.len() > 0 && (r.single > 0 || next.cost > int64(limit)) {
			return
		}
		// The entry counts as taken before it is encoded: it may be what the encoder
		// does not survive.
		s.building.push(s.pending.pop())
		last := s.building.all[len(s.building.all)-1]
		r.urgent = r.urgent || !last.entry.Patient
		if err := r.encoder.AddBatch(&last.entry.Batch); err != nil {
			s.building.dropLast()
			if s.building.len() > 0 {
				s.putBack(last)
				return
			}
			s.finishOne(last, persistence.Outcome{Err: tooLarge(err), Shard: s.index})
			r.encoder.Reset()
		}
	}
}

// putBack makes i the first of the pending list again.
func (s *shard) putBack(i item) {
	if s.pending.next > 0 {
		s.pending.next--
		s.pending.all[s.pending.next] = i
		return
	}
	s.pending.all = append([]item{i}, s.pending.all...)
}

// send makes the batch being built the one in flight. Nothing is in flight.
func (r *recorder) send(c *supervise.Context) {
	_, err := r.wal.Seal(r.encoder.Payload(), r.encoder.Rows())
	r.encoder.Reset()
	r.urgent, r.sentAt = false, time.Now()
	if err != nil {
		r.oversized(&r.s.building, err)
		return
	}
	r.single = max(0, r.single-1)
	r.s.metrics.batch.Observe(float64(r.s.building.len()))
	r.s.building, r.s.flight = r.s.flight, r.s.building
	r.op.Start(c, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, r.options.Config.GiveUp)
		defer cancel()
		ack, err := r.wal.Deliver(ctx)
		return delivered{ack, err}
	})
}

// oversized deals with a batch that does not fit a message: an entry alone is
// refused, several are tried one by one.
func (r *recorder) oversized(l *items, err error) {
	if l.len() == 1 {
		r.single = max(0, r.single-1)
		r.s.finish(l, persistence.Outcome{Err: tooLarge(err), Shard: r.s.index})
		return
	}
	r.single += l.len()
	back := make([]item, 0, l.len())
	for l.len() > 0 {
		back = append(back, l.pop())
	}
	for i := len(back) - 1; i >= 0; i-- {
		r.s.putBack(back[i])
	}
}

func tooLarge(err error) error { return fmt.Errorf("%w: %w", persistence.ErrTooLarge, err) }

// settle gives the batch in flight its outcome.
func (r *recorder) settle(c *supervise.Context, m delivered) {
	if m.err == nil && m.ack.Seq <= r.seq {
		r.rolledBack(c, m.ack)
		return
	}
	if m.err == nil {
		r.acks++
		r.seq, r.ackedAt = m.ack.Seq, time.Now()
		r.s.finish(&r.s.flight, persistence.Outcome{Shard: m.ack.Shard, Seq: m.ack.Seq})
		r.pump(c)
		return
	}
	doubt := r.wal.Abandon()
	if errors.Is(m.err, wal.ErrTooLarge) && !doubt {
		// What is being built stays behind what goes back.
		r.s.rebuild(r.encoder)
		r.oversized(&r.s.flight, m.err)
		r.pump(c)
		return
	}
	out := outcomeOf(m.err)
	if doubt {
		out = fmt.Errorf("%w: %w", persistence.ErrDoubt, m.err)
	}
	c.Log().Error("batch is not acknowledged", zap.Error(m.err), zap.Bool("doubt", doubt), zap.Int("entries", r.s.flight.len()))
	refused := !errors.Is(m.err, wal.ErrUnavailable)
	if refused {
		r.startRefusing(c, m.err)
	}
	r.s.finish(&r.s.flight, persistence.Outcome{Err: out, Shard: r.s.index})
	if refused {
		r.clear()
	}
	r.pump(c)
}

// rebuild puts the batch being built back, in order.
func (s *shard) rebuild(e *wal.Encoder) {
	e.Reset()
	back := make([]item, 0, s.building.len())
	for s.building.len() > 0 {
		back = append(back, s.building.pop())
	}
	for i := len(back) - 1; i >= 0; i-- {
		s.putBack(back[i])
	}
}

// outcomeOf translates what a batch met that was certainly not stored.
func outcomeOf(err error) error {
	sentinel := persistence.ErrRefusing
	switch {
	case errors.Is(err, persistence.ErrForeign):
		return err
	case errors.Is(err, wal.ErrFull):
		sentinel = persistence.ErrJournalFull
	case errors.Is(err, wal.ErrDiskFull):
		sentinel = persistence.ErrDiskFull
	case errors.Is(err, wal.ErrUnavailable):
		sentinel = persistence.ErrDoubt
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// startRefusing lets nothing in until a probe has been stored; whoever learns that
// he was refused finds the door closed. A stopping recorder lets nothing in anyway.
func (r *recorder) startRefusing(c *supervise.Context, why error) {
	r.why = why
	if r.state == draining {
		return
	}
	r.state, r.backoff = refusing, firstProbe
	r.s.setRefusal(why)
	c.After(jitter(r.backoff), probeDue{})
}

// clear ends everything that waits, with the refusal.
func (r *recorder) clear() {
	r.encoder.Reset()
	r.single = 0
	r.s.finishAll(outcomeOf(r.why))
}

// probe sends a batch without records, if the shard has room for more than that.
func (r *recorder) probe(c *supervise.Context) {
	if r.state != refusing {
		return
	}
	foreign := onlyForeign(r.why)
	r.op.Start(c, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, r.options.Config.GiveUp)
		defer cancel()
		return probed{r.tryRoom(ctx, foreign)}
	})
}

// tryRoom finds out whether a batch would be taken. Foreign is why the journal was
// not written to, if that is why: then somebody has to say that it is ours again.
func (r *recorder) tryRoom(ctx context.Context, foreign error) error {
	if err := r.verify(ctx, r.journal); onlyForeign(err) != nil {
		return err
	} else if err != nil && foreign != nil {
		return foreign
	}
	if foreign != nil {
		r.wal.Renew()
	}
	st, err := r.journal.State(ctx, r.s.index)
	if err != nil {
		return err
	}
	room := min(int64(2*r.journal.Config().BatchBytes), st.MaxBytes/8)
	if st.MaxBytes > 0 && int64(st.Bytes)+room > st.MaxBytes {
		return fmt.Errorf("%w: %d bytes of %d", wal.ErrFull, st.Bytes, st.MaxBytes)
	}
	if _, err := r.wal.Seal(wal.NewEncoder().Payload(), 0); err != nil {
		return err
	}
	_, err = r.wal.Publish(ctx)
	return err
}

// judge ends the refusal, or plans another probe.
func (r *recorder) judge(c *supervise.Context, err error) {
	if err != nil {
		r.s.metrics.probeFails.Inc()
		r.wal.Abandon() // a probe in doubt hurts nobody
		r.backoff = min(2*r.backoff, r.options.Config.ProbeInterval)
		if r.state == refusing {
			r.why = err
			c.After(jitter(r.backoff), probeDue{})
			return
		}
	} else {
		r.s.metrics.probed.Inc()
	}
	if r.state == refusing {
		if onlyForeign(r.why) != nil {
			r.seq = 0 // the journal that goes on may count otherwise
		}
		r.state, r.why = accepting, nil
		r.s.setRefusal(nil)
		c.Log().Info("journal takes entries again")
	}
	r.pump(c)
}

// adapt sizes the credit to the traffic. While nothing is acknowledged, it stays.
func (r *recorder) adapt() {
	taken := r.s.taken.Load()
	now := float64(taken-r.seen) / measure.Seconds()
	r.seen = taken
	if r.acks == 0 {
		return
	}
	r.acks = 0
	if now > r.rate {
		r.rate = now
	} else {
		r.rate += 0.05 * (now - r.rate)
	}
	c := r.options.Config
	r.s.limit.Store(min(max(int64(r.rate*c.CreditWindow.Seconds()), c.CreditMin), c.CreditMax))
}

func (r *recorder) status() Status {
	st := Status{
		Shard: r.s.index, State: r.state.String(),
		Entries: r.s.outstanding(), Bytes: r.s.used(), Limit: r.s.limit.Load(),
		Seq: r.seq, Acknowledged: r.ackedAt, NoCredit: r.s.refused.Load(),
	}
	if r.why != nil {
		st.Reason = r.why.Error()
	}
	if r.wal != nil && !r.op.Busy() {
		id, n := r.wal.Incarnation()
		st.Incarnation, st.Batches = hex.EncodeToString(id[:]), n
	}
	return st
}

// jitter spreads a pause by 20 % either way.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }
