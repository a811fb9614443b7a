package scheduler

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/cron"
)

// Messages of a task.
type (
	begin    struct{}            // a term has begun, or ended
	changed  struct{}            // the task, or the switch of the scheduler, is another
	wake     struct{ round int } // the timer
	recorded struct {
		term   uint64
		fires  []ledger.Fire
		manual bool
	}
	finished struct {
		nominal int64
		result  ledger.Result
		err     error // there is no result
	}
	runNow     struct{}
	cancelRuns struct{ cause error }
	resend     struct{}
)

// taskActor is root/scheduler/task/<id>.
type taskActor struct {
	h        *Handle
	id       string
	task     *Task
	schedule *cron.Schedule

	term      uint64 // 0: nobody leads here
	last      time.Time
	recording bool // fires of the schedule are at the desk
	round     int  // of the timer; an older one is of no meaning

	runs    map[int64]*running
	queue   []ledger.Fire
	asked   map[int64]*actor.PID // who waits for a manual fire to be recorded
	manual  int64                // the latest nominal time of one
	unsent  []any                // for the desk, which had no room
	retries bool

	draining bool
}

// running is a run under way, or one that waits for a slot.
type running struct {
	fire   ledger.Fire
	cancel context.CancelCauseFunc
	op     supervise.InFlight
	// begun is closed by the run once it has a slot.
	begun chan struct{}
}

func newTaskActor(h *Handle, id string) *taskActor {
	return &taskActor{h: h, id: id, runs: map[int64]*running{}, asked: map[int64]*actor.PID{}}
}

// Receive handles one message.
func (a *taskActor) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started, begin:
		a.begin(c)
	case *actor.Stopping, *actor.Restarting:
		a.h.pacer.forget(a.id)
	case changed:
		a.load(c)
		a.look(c)
	case wake:
		if m.round == a.round {
			a.look(c)
		}
		a.h.pacer.handled()
	case recorded:
		a.recorded(c, m)
		a.h.pacer.handled()
	case finished:
		a.finished(c, m)
	case runNow:
		a.runNow(c)
	case cancelRuns:
		c.Respond(a.cancel(c, m.cause))
	case resend:
		a.retries = false
		pending := a.unsent
		a.unsent = nil
		for _, message := range pending {
			a.send(c, message)
		}
	}
}

// load reads what the task is now.
func (a *taskActor) load(c *supervise.Context) {
	a.task, a.schedule = a.h.find(a.id), nil
	if a.task == nil {
		return
	}
	if a.schedule = a.task.parsed; a.schedule == nil { // it was read once: an older zone, or field
		c.Log().Error("task has an expression that cannot be read", zap.String("expression", a.task.Cron), zap.String("timezone", a.task.Timezone))
		c.Note("its expression cannot be read")
	}
}

// begin goes on from what the ledger says.
func (a *taskActor) begin(c *supervise.Context) {
	term, book := a.h.standing()
	a.term, a.recording = term, false
	for nominal, asker := range a.asked { // whether it was recorded is seen in the history
		delete(a.asked, nominal)
		c.Send(asker, ErrNotLeading)
	}
	a.load(c)
	if term == 0 || a.task == nil {
		a.round++
		a.rest()
		return
	}
	a.last = time.UnixMilli(book.Of(a.id).Last)
	queued := map[int64]bool{}
	for _, f := range a.queue {
		queued[f.Nominal] = true
	}
	for _, f := range book.Unfinished(a.id) {
		if a.runs[f.Nominal] == nil && !queued[f.Nominal] {
			a.start(c, f, 1) // somebody may have called the target already
		}
	}
	a.look(c)
}

// look records what is due, or arms the timer for what will be.
func (a *taskActor) look(c *supervise.Context) {
	a.round++
	a.h.pacer.forget(a.id)
	on, since := a.h.switched()
	if a.term == 0 || a.schedule == nil || a.recording || a.draining || a.task.Paused || !on {
		return
	}
	now := a.h.options.Now()
	after := latest(a.last, a.task.Since, since)
	p := a.task.plan(a.schedule, after, now, a.h.options.config().MisfireGrace)
	if len(p.fires) > 0 {
		a.recording = true
		fires := a.task.admit(p.fires, len(a.runs)+len(a.queue), len(a.queue))
		a.send(c, due{a.term, c.Self(), fires, false})
		return // and look again once they are recorded
	}
	if p.next.IsZero() {
		return
	}
	wait := min(max(p.next.Sub(now), 0), a.h.options.config().ClockCheck)
	a.h.pacer.wakeAt(a.id, time.Now().Add(wait), note{c.Self(), wake{a.round}})
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// send hands a message to the desk; what it has no room for is kept and sent again.
func (a *taskActor) send(c *supervise.Context, message any) {
	var err error = supervise.ErrStopped
	if r := a.h.desk.Load(); r != nil && len(a.unsent) == 0 {
		err = c.System().Tell(r.pid, message)
	}
	if err == nil {
		return
	}
	a.unsent = append(a.unsent, message)
	if !a.retries {
		a.retries = true
		c.After(100*time.Millisecond, resend{})
	}
}

func (a *taskActor) recorded(c *supervise.Context, m recorded) {
	if m.term != a.term || a.task == nil {
		return
	}
	for _, f := range m.fires {
		if !m.manual {
			a.last = latest(a.last, time.UnixMilli(max(f.Nominal, f.Until)))
		}
		if asker := a.asked[f.Nominal]; asker != nil && m.manual {
			delete(a.asked, f.Nominal)
			c.Send(asker, f)
		}
		if f.Skip == "" && a.runs[f.Nominal] == nil && !a.draining {
			a.start(c, f, 0)
		}
	}
	if !m.manual {
		a.recording = false
		a.look(c)
	}
}

// start runs a recorded fire, or lets it wait for its turn.
func (a *taskActor) start(c *supervise.Context, f ledger.Fire, before int) {
	switch {
	case len(a.runs) == 0 || a.task.Overlap == OverlapAllow:
	case a.task.Overlap == OverlapReplace && f.Cause == ledger.CauseSchedule:
		a.cancel(c, errReplaced)
	default:
		a.queue = append(a.queue, f)
		return
	}
	a.launch(c, f, before)
}

func (a *taskActor) launch(c *supervise.Context, f ledger.Fire, before int) {
	ctx, cancel := context.WithCancelCause(c.Ctx())
	r := &running{fire: f, cancel: cancel, begun: make(chan struct{})}
	a.runs[f.Nominal] = r
	t, h := a.task, a.h
	r.op.Start(c, func(context.Context) any {
		result, err := h.caller.run(ctx, t, f, before, func() {
			close(r.begun)
			h.metrics.begun(h.options.Now(), t, f)
		})
		h.metrics.ended(result, err)
		if err == nil && h.options.Told != nil {
			h.options.Told(*t, result)
		}
		return finished{f.Nominal, result, err}
	})
}

func (a *taskActor) finished(c *supervise.Context, m finished) {
	if r := a.runs[m.nominal]; r != nil {
		r.cancel(nil)
		delete(a.runs, m.nominal)
	}
	switch {
	case m.err == nil:
		a.send(c, done{m.result})
	case a.term != 0 && !a.draining: // it was put aside, and this process leads again
		_, book := a.h.standing()
		for _, f := range book.Unfinished(a.id) {
			if f.Nominal == m.nominal {
				a.start(c, f, 0)
			}
		}
	}
	if a.draining {
		a.drained(c)
		return
	}
	if len(a.runs) == 0 && len(a.queue) > 0 {
		next := a.queue[0]
		a.queue = a.queue[1:]
		a.launch(c, next, 0)
	}
}

// runNow records a fire of this moment.
func (a *taskActor) runNow(c *supervise.Context) {
	if a.term == 0 || a.task == nil {
		c.Respond(ErrNotLeading)
		return
	}
	a.manual = max(a.h.options.Now().UnixMilli(), a.manual+1)
	for a.schedule != nil && a.schedule.Next(time.UnixMilli(a.manual-1)).UnixMilli() == a.manual {
		a.manual++ // that is what the schedule names
	}
	fires := a.task.admit([]ledger.Fire{{Task: a.id, Nominal: a.manual, Cause: ledger.CauseManual}}, len(a.runs)+len(a.queue), len(a.queue))
	if fires[0].Skip != "" {
		c.Respond(ErrBusy)
		return
	}
	a.asked[a.manual] = c.Sender()
	a.send(c, due{a.term, c.Self(), fires, true})
}

// cancel stops everything under way, and returns how many runs that is.
func (a *taskActor) cancel(c *supervise.Context, cause error) cancelled {
	n := len(a.runs) + len(a.queue)
	for _, r := range a.runs {
		r.cancel(cause)
	}
	for _, f := range a.queue {
		a.send(c, done{ledger.Result{
			Task: a.id, Nominal: f.Nominal, Outcome: ledger.Cancelled, Started: a.h.options.Now().UnixMilli(), Error: cause.Error(),
		}})
	}
	a.queue = nil
	return cancelled{n}
}

// cancelled is how many runs were.
type cancelled struct{ n int }

// Drain lets runs under way finish; those that only wait are left to the next start.
func (a *taskActor) Drain(c *supervise.Context) {
	a.draining = true
	a.round++
	a.rest()
	a.drained(c)
}

// rest puts aside what has not begun: the ledger has it, for whoever leads next.
func (a *taskActor) rest() {
	a.queue = nil
	for _, r := range a.runs {
		select {
		case <-r.begun:
		default:
			r.cancel(errStopping)
		}
	}
}

func (a *taskActor) drained(c *supervise.Context) {
	if len(a.runs) == 0 && len(a.unsent) == 0 {
		c.Drained()
	}
}
