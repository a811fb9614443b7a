package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Bounds of one batch.
const (
	maxBatch      = 5000
	maxBatchBytes = 1 << 20
)

// Messages of the desk.
type (
	// open gives it the writer of a term; what waits from an earlier one is dropped,
	// but for results.
	open struct {
		term   uint64
		writer ledger.Writer
		book   *ledger.Book
	}
	// due asks it to record fires, and to tell their task.
	due struct {
		term   uint64
		to     *actor.PID
		fires  []ledger.Fire
		manual bool
	}
	// done asks it to record a result.
	done struct{ result ledger.Result }

	firesAppended struct {
		term uint64
		err  error
	}
	resultsAppended struct {
		term uint64
		err  error
	}
	flushDue struct{}
	pictured struct {
		write func(context.Context) error
		err   error
	}
	purged struct{ err error }
)

var errRestarted = errors.New("the desk was restarted")

// desk is root/scheduler/desk: the one that appends to the ledger.
type desk struct {
	h    *Handle
	now  open
	last map[string]int64 // of each task, the latest nominal time accepted in this term

	fires       []due
	sentFires   []due
	firesOp     supervise.InFlight
	results     []ledger.Result
	sentResults []ledger.Result
	resultsOp   supervise.InFlight
	firesAt     time.Time // when the last batch was begun
	resultsAt   time.Time
	timer       bool
	picture     supervise.InFlight // while it is taken nothing is appended
	purge       supervise.InFlight
	draining    bool
}

func newDesk(h *Handle) *desk { return &desk{h: h} }

// Receive handles one message.
func (d *desk) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		d.h.desk.Store(&ref{c.System(), c.Self()})
		d.h.pacer.reset()
		system := c.System()
		c.Go(func(ctx context.Context) {
			d.h.pacer.run(ctx, func(to *actor.PID, message any) error { return system.Tell(to, message) })
		})
		if term, _ := d.h.standing(); term > 0 { // it was restarted: the writer is gone
			d.now.term = term
			d.refused(c, term, errRestarted)
		}
		return
	case *actor.Stopping:
		d.h.giveUp()
		return
	case open:
		d.now, d.fires, d.last = m, nil, map[string]int64{}
	case due:
		d.accept(m)
	case done:
		d.results = append(d.results, m.result)
	case firesAppended:
		d.firesDone(c, m)
	case resultsAppended:
		d.resultsDone(c, m)
	case flushDue:
		d.timer = false
	case pictured:
		d.write(c, m)
	case purged:
		if m.err != nil {
			c.Log().Warn("ledger of the scheduler is not summed up", zap.Error(m.err))
		}
	}
	d.flush(c)
}

// accept takes fires of the present term that it has not taken before: an actor that
// was restarted may ask twice.
func (d *desk) accept(m due) {
	if m.term != d.now.term {
		return // the task is told to begin anew
	}
	kept := m.fires[:0:0]
	for _, f := range m.fires {
		if f.Cause == ledger.CauseManual {
			kept = append(kept, f)
			continue
		}
		last, known := d.last[f.Task]
		if !known {
			last = d.now.book.Of(f.Task).Last
		}
		if f.Nominal <= last {
			continue
		}
		d.last[f.Task] = max(f.Nominal, f.Until)
		kept = append(kept, f)
	}
	m.fires = kept
	d.fires = append(d.fires, m)
}

// flush appends what waits, one batch of each sort at a time and not too often.
func (d *desk) flush(c *supervise.Context) {
	if d.draining && (d.now.writer == nil || len(d.fires)+len(d.results) == 0 && !d.firesOp.Busy() && !d.resultsOp.Busy()) {
		c.Drained()
		return
	}
	if d.now.writer == nil || d.picture.Busy() || d.snapshot(c) {
		return
	}
	now := d.h.options.Now()
	every := d.h.options.config().FlushInterval
	later := time.Duration(0)
	ready := func(at time.Time) bool {
		if wait := at.Add(every).Sub(now); wait > 0 && wait <= every {
			later = max(later, wait)
			return false
		}
		return true
	}
	if len(d.fires) > 0 && !d.firesOp.Busy() && ready(d.firesAt) {
		d.firesAt = now
		d.appendFires(c)
	}
	if len(d.results) > 0 && !d.resultsOp.Busy() && ready(d.resultsAt) {
		d.resultsAt = now
		d.appendResults(c)
	}
	if later > 0 && !d.timer {
		d.timer = true
		c.After(later, flushDue{})
	}
}

func (d *desk) appendFires(c *supervise.Context) {
	n, total := 0, 0
	for ; n < len(d.fires) && (n == 0 || total+len(d.fires[n].fires) <= maxBatch); n++ {
		total += len(d.fires[n].fires)
	}
	d.sentFires, d.fires = d.fires[:n:n], d.fires[n:]
	batch := make([]ledger.Fire, 0, total)
	for _, m := range d.sentFires {
		batch = append(batch, m.fires...)
	}
	term, writer, book := d.now.term, d.now.writer, d.now.book
	d.firesOp.Start(c, func(ctx context.Context) any {
		if len(batch) == 0 { // all were known
			return firesAppended{term, nil}
		}
		err := d.h.persist(ctx, func(ctx context.Context) error { return writer.Fires(ctx, batch) })
		if err == nil {
			book.Fired(batch)
			d.h.metrics.fired(d.h.options.Now(), batch)
		}
		return firesAppended{term, err}
	})
}

func (d *desk) appendResults(c *supervise.Context) {
	n, size := 0, 0
	for ; n < len(d.results) && n < maxBatch && (n == 0 || size < maxBatchBytes); n++ {
		size += 200 + len(d.results[n].Answer) + len(d.results[n].Error)
	}
	batch := d.results[:n:n]
	d.sentResults, d.results = batch, d.results[n:]
	term, writer, book := d.now.term, d.now.writer, d.now.book
	d.resultsOp.Start(c, func(ctx context.Context) any {
		err := d.h.persist(ctx, func(ctx context.Context) error { return writer.Results(ctx, batch) })
		if err == nil {
			book.Finished(batch)
		}
		return resultsAppended{term, err}
	})
}

// persist repeats an append until it is known what became of it.
func (h *Handle) persist(ctx context.Context, attempt func(context.Context) error) error {
	begin := time.Now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := attempt(ctx)
		h.setWritable(err)
		if err == nil {
			h.metrics.append.Observe(time.Since(begin).Seconds())
			return nil
		}
		h.metrics.appendFailures.Inc()
		if !errors.Is(err, ledger.ErrUnavailable) || !pause(ctx, wait) {
			return err
		}
	}
}

func (d *desk) firesDone(c *supervise.Context, m firesAppended) {
	sent := d.sentFires
	d.sentFires = nil
	if m.err != nil {
		d.refused(c, m.term, m.err)
		return
	}
	for _, m := range sent {
		if m.term == d.now.term {
			d.h.pacer.tell(note{m.to, recorded{m.term, m.fires, m.manual}})
		}
	}
}

func (d *desk) resultsDone(c *supervise.Context, m resultsAppended) {
	if m.err != nil {
		d.results = append(d.sentResults, d.results...)
		d.refused(c, m.term, m.err)
	}
	d.sentResults = nil
}

// refused ends the term: somebody else leads, or the ledger is not what it was.
func (d *desk) refused(c *supervise.Context, term uint64, err error) {
	if c.Ctx().Err() != nil || term != d.now.term {
		return
	}
	c.Log().Error("scheduler cannot append to its ledger", zap.Error(err))
	d.now, d.fires = open{}, nil
	if r := d.h.leader.Load(); r != nil {
		if told := r.system.Tell(r.pid, lost{term, err}); errors.Is(told, supervise.ErrMailboxFull) {
			panic(told) // the branch starts anew
		}
	}
}

// snapshot begins to sum up the ledger when it is time, and says whether it is being
// done now. It needs both lines at rest for a moment.
func (d *desk) snapshot(c *supervise.Context) bool {
	if d.purge.Busy() || d.draining || d.now.writer.Written() < d.h.options.config().SnapshotBytes {
		return false
	}
	if d.firesOp.Busy() || d.resultsOp.Busy() {
		return true // their results come
	}
	writer, book := d.now.writer, d.now.book
	d.picture.Start(c, func(ctx context.Context) any {
		write, err := writer.Snapshot(ctx, book)
		return pictured{write, err}
	})
	return true
}

func (d *desk) write(c *supervise.Context, m pictured) {
	if m.err != nil {
		if errors.Is(m.err, ledger.ErrUnavailable) {
			c.Log().Warn("ledger of the scheduler is not summed up", zap.Error(m.err))
			d.holdOff(c)
			return
		}
		d.refused(c, d.now.term, m.err)
		return
	}
	d.purge.Start(c, func(ctx context.Context) any { return purged{m.write(ctx)} })
}

// holdOff keeps the next snapshot away for a while, appends go on.
func (d *desk) holdOff(c *supervise.Context) {
	d.purge.Start(c, func(ctx context.Context) any {
		pause(ctx, 5*time.Second)
		return purged{}
	})
}

// Drain flushes what the tasks have left.
func (d *desk) Drain(c *supervise.Context) {
	d.draining = true
	d.flush(c)
}
