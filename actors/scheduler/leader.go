package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Keys of documents.
const (
	taskPrefix  = "task."
	switchKey   = "control.switch"
	seededKey   = "control.defaults"
	allControls = "control."
)

// phase is where the branch is; see doc.go.
type phase uint8

const (
	waiting phase = iota
	loading
	leading
)

func (p phase) String() string { return [...]string{"waiting", "loading", "leading"}[p] }

// switching is whether the scheduler fires, and since when.
type switching struct {
	On       bool      `json:"running"`
	Since    time.Time `json:"since"`
	revision uint64
}

// Messages of the leader.
type (
	led struct {
		writer ledger.Writer
		book   *ledger.Book
		tasks  []*Task
		onOff  switching
		lost   <-chan struct{}
		err    error
	}
	lost struct {
		term uint64
		err  error
	}
	again        struct{}
	reconfigured struct{}
	standby      struct{}
	change       struct {
		id   string // of a new task too
		edit func(now time.Time, old *Task) (*Task, error)
		drop bool
	}
	wrote struct {
		change
		to  *actor.PID
		old *Task
		new *Task // nil: it is gone
		err error
		// settled: with an error, new is what is stored; nil when nothing is.
		settled bool
	}
	flip    struct{ on bool }
	flipped struct {
		to    *actor.PID
		state switching
		err   error
	}
)

// leaderActor is root/scheduler/leader.
type leaderActor struct {
	h       *Handle
	take    supervise.InFlight
	pause   time.Duration
	holder  string // whom it waits for
	looks   int    // at who holds the lease
	todo    []any  // for the branch of tasks
	out     int    // requests to it without an answer
	made    map[string]answer
	busy    map[string][]queued
	writing int
	backlog []queued
	turning supervise.InFlight
}

// queued is a change that waits for the one before it.
type queued struct {
	change
	to *actor.PID
}

// answer is what the maker of a task gets once its actor is there.
type answer struct {
	to   *actor.PID
	task Task
}

// Bounds of what the leader has under way.
const (
	maxSpawning = 64
	maxWriting  = 32
)

func newLeader(h *Handle) *leaderActor {
	return &leaderActor{h: h, busy: map[string][]queued{}, made: map[string]answer{}}
}

// Receive handles one message.
func (l *leaderActor) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		l.h.leader.Store(&ref{c.System(), c.Self()})
		l.acquire(c)
	case again:
		l.acquire(c)
	case standby:
		l.standby(c)
	case reconfigured:
		l.tellAll(c, changed{}) // what they wait for may be due sooner
	case led:
		l.led(c, m)
	case lost:
		l.lost(c, m)
	case supervise.ChildReply:
		l.spawned(c, m)
	case change:
		l.change(c, queued{m, c.Sender()})
	case wrote:
		l.wrote(c, m)
	case flip:
		l.flip(c, m.on)
	case flipped:
		l.flipped(c, m)
	}
}

// acquire takes the lease and reads everything.
func (l *leaderActor) acquire(c *supervise.Context) {
	h := l.h
	c.After(standbyAfter, standby{})
	l.take.Start(c, func(ctx context.Context) any {
		h.giveUp() // what an earlier term may have left
		h.setPhase(waiting, nil)
		gone, release, err := h.options.Lease.Acquire(ctx)
		if err != nil {
			return led{err: fmt.Errorf("waiting for the lease of the scheduler: %w", err)}
		}
		h.hold(release)
		h.setPhase(loading, nil)
		m := h.load(ctx)
		m.lost = gone
		if m.err != nil {
			h.giveUp()
		}
		return m
	})
}

// standbyAfter is when a wait for the lease is taken to last, and the time between two
// looks at who holds it; patience is how many looks a start waits for an answer.
const (
	standbyAfter = time.Second
	patience     = 5
)

// standby is ready although another node leads, or nobody can say who does.
func (l *leaderActor) standby(c *supervise.Context) {
	if !l.take.Busy() {
		return
	}
	c.After(standbyAfter, standby{})
	holder := l.h.options.Lease.Holder()
	if l.looks++; holder != "" || l.looks >= patience {
		c.Ready()
	}
	if holder == l.holder {
		return
	}
	l.holder = holder
	if holder == "" {
		return
	}
	c.Log().Info("scheduler stands by", zap.String("leader", holder))
	c.Note("stands by; " + holder + " leads")
}

// load reads ledger and tasks, and makes the default tasks once.
func (h *Handle) load(ctx context.Context) led {
	m := led{book: ledger.NewBook(h.options.config().History.retention())}
	if m.writer, m.err = h.options.Store.Lead(ctx, m.book); m.err != nil {
		return m
	}
	documents, err := h.options.Store.Load(ctx, allControls)
	if err == nil {
		m.onOff, err = h.controls(ctx, documents)
	}
	if err == nil {
		documents, err = h.options.Store.Load(ctx, taskPrefix)
	}
	if m.err = err; err != nil {
		return m
	}
	known := map[string]bool{}
	for _, d := range documents {
		t := &Task{}
		if err := json.Unmarshal(d.Value, t); err != nil {
			m.err = fmt.Errorf("reading task %q: %w", d.Key, err)
			return m
		}
		t.ID, t.Revision = strings.TrimPrefix(d.Key, taskPrefix), d.Revision
		known[t.ID] = true
		m.tasks = append(m.tasks, t)
	}
	m.book.Keep(func(id string) bool { return known[id] })
	return m
}

// controls reads the switch, and makes the default tasks that were never made.
func (h *Handle) controls(ctx context.Context, documents []ledger.Document) (switching, error) {
	onOff, made, revision := switching{On: true}, []string{}, uint64(0)
	for _, d := range documents {
		var err error
		switch d.Key {
		case switchKey:
			err = json.Unmarshal(d.Value, &onOff)
			onOff.revision = d.Revision
		case seededKey:
			err = json.Unmarshal(d.Value, &made)
			revision = d.Revision
		}
		if err != nil {
			return onOff, fmt.Errorf("reading %q: %w", d.Key, err)
		}
	}
	if !h.options.config().DefaultTasks {
		return onOff, nil
	}
	added := false
	for _, t := range h.options.Defaults {
		if slices.Contains(made, t.ID) {
			continue
		}
		t = t.withDefaults()
		now := h.options.Now().UTC()
		t.CreatedAt, t.UpdatedAt, t.Since = now, now, now
		if err := h.save(ctx, &t); err != nil && !errors.Is(err, ledger.ErrConflict) {
			return onOff, err
		}
		made, added = append(made, t.ID), true
	}
	if !added {
		return onOff, nil
	}
	text, err := json.Marshal(made)
	if err == nil {
		_, err = h.options.Store.Put(ctx, seededKey, text, revision)
	}
	if err != nil {
		return onOff, fmt.Errorf("keeping which default tasks were made: %w", err)
	}
	return onOff, nil
}

// save writes a task, at its revision, and sets the next one.
func (h *Handle) save(ctx context.Context, t *Task) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encoding task %q: %w", t.ID, err)
	}
	revision, err := h.options.Store.Put(ctx, taskPrefix+t.ID, text, t.Revision)
	if err != nil {
		return fmt.Errorf("writing task %q: %w", t.ID, err)
	}
	t.Revision = revision
	return nil
}

// retryCap bounds the wait before the ledger is tried again.
const retryCap = 5 * time.Second

func (l *leaderActor) led(c *supervise.Context, m led) {
	if m.err != nil {
		c.Ready() // health says what is wrong
		l.h.setPhase(waiting, m.err)
		l.pause = min(max(2*l.pause, 100*time.Millisecond), retryCap)
		c.Log().Error("scheduler cannot read its ledger, and tries again", zap.Error(m.err), zap.Duration("pause", l.pause))
		c.After(l.pause, again{})
		return
	}
	l.pause, l.holder = 0, ""
	c.Note("")
	term := l.h.lead(m)
	desk := l.h.desk.Load()
	if err := c.System().Tell(desk.pid, open{term, m.writer, m.book}); err != nil {
		panic(err) // the branch starts anew
	}
	c.Log().Info("scheduler leads", zap.Uint64("fence", m.writer.Fence()), zap.Int("tasks", len(m.tasks)), zap.Bool("running", m.onOff.On))
	wanted := map[string]bool{}
	for _, t := range m.tasks {
		wanted[t.ID] = true
		l.spawn(t.ID)
	}
	for _, id := range l.h.spawnedTasks() {
		if !wanted[id] {
			l.todo = append(l.todo, supervise.RemoveChild{Name: id})
		}
	}
	l.ask(c)
	if m.lost != nil {
		c.Go(func(ctx context.Context) {
			select {
			case <-m.lost:
				c.After(0, lost{term, errors.New("the lease was lost")})
			case <-ctx.Done():
			}
		})
	}
}

func (l *leaderActor) lost(c *supervise.Context, m lost) {
	if term, _ := l.h.standing(); m.term != term || term == 0 {
		return
	}
	c.Log().Error("scheduler leads no longer", zap.Error(m.err))
	l.h.setPhase(waiting, m.err)
	l.tellAll(c, begin{})
	c.After(firstRetry, again{})
}

const firstRetry = 100 * time.Millisecond

// tellAll sends to every task; one that has no room is restarted, and reads anew
// what it was to be told.
func (l *leaderActor) tellAll(c *supervise.Context, message any) {
	for _, id := range l.h.spawnedTasks() {
		l.tell(c, id, message)
	}
}

func (l *leaderActor) tell(c *supervise.Context, id string, message any) {
	pid := l.h.taskPID(id)
	if pid == nil {
		return
	}
	if err := c.System().Tell(pid, message); errors.Is(err, supervise.ErrMailboxFull) {
		l.todo = append(l.todo, supervise.CycleChild{Name: id})
		l.ask(c)
	}
}

// spawn lets the branch make the actor of a task; one that is there is told.
func (l *leaderActor) spawn(id string) {
	l.todo = append(l.todo, supervise.AddChild{Spec: supervise.Spec{
		Name: id, Kind: "task", New: func() supervise.Actor { return newTaskActor(l.h, id) },
		ShutdownTimeout: l.h.options.config().StopTimeout, Mailbox: supervise.Mailbox{Capacity: 256},
	}})
}

// ask sends the branch of tasks what is to be done, not too much at a time.
func (l *leaderActor) ask(c *supervise.Context) {
	if len(l.todo)+l.out == 0 {
		c.Ready()
	}
	branch, ok := c.System().Lookup(tasksID)
	if !ok {
		panic("there is no branch " + tasksID)
	}
	for len(l.todo) > 0 && l.out < maxSpawning {
		c.Request(branch, l.todo[0])
		l.todo = l.todo[1:]
		l.out++
	}
}

func (l *leaderActor) spawned(c *supervise.Context, r supervise.ChildReply) {
	l.out--
	switch {
	case errors.Is(r.Err, supervise.ErrChildExists):
		l.tell(c, r.Name, begin{})
	case r.Err != nil && !errors.Is(r.Err, supervise.ErrNoChild):
		c.Log().Error("task has no actor", zap.String("task", r.Name), zap.Error(r.Err))
	}
	l.h.noteChild(r.Name, r.PID)
	if a, ok := l.made[r.Name]; ok {
		delete(l.made, r.Name)
		l.respond(c, a.to, a.task)
	}
	l.ask(c)
}

// change writes a task, one change of it at a time.
func (l *leaderActor) change(c *supervise.Context, q queued) {
	if term, _ := l.h.standing(); term == 0 {
		l.respond(c, q.to, ErrNotLeading)
		return
	}
	if waits, busy := l.busy[q.id]; busy {
		l.busy[q.id] = append(waits, q)
		return
	}
	l.busy[q.id] = nil
	if l.writing >= maxWriting {
		l.backlog = append(l.backlog, q)
		return
	}
	l.write(c, q)
}

func (l *leaderActor) write(c *supervise.Context, q queued) {
	l.writing++
	h := l.h
	(&supervise.InFlight{}).Start(c, func(ctx context.Context) any {
		old := h.find(q.id)
		w := wrote{change: q.change, to: q.to, old: old}
		if w.new, w.err = q.edit(h.options.Now().UTC(), old); w.err != nil {
			return w
		}
		if q.drop {
			w.err = h.options.Store.Remove(ctx, taskPrefix+q.id, old.Revision)
		} else {
			w.err = h.save(ctx, w.new)
		}
		if errors.Is(w.err, ledger.ErrUnavailable) || errors.Is(w.err, ledger.ErrConflict) {
			h.settle(ctx, &w)
		}
		return w
	})
}

// settle looks what became of a change that was in doubt, or lost against another:
// what is stored is the task.
func (h *Handle) settle(ctx context.Context, w *wrote) {
	d, there, err := h.options.Store.Get(ctx, taskPrefix+w.id)
	if err != nil {
		return // the next change finds out
	}
	if !there {
		if w.drop {
			w.err = nil
		}
		w.settled, w.new = true, nil
		return
	}
	t := &Task{}
	if err := json.Unmarshal(d.Value, t); err != nil {
		w.err = errors.Join(w.err, fmt.Errorf("reading task %q: %w", w.id, err))
		return
	}
	w.settled = true
	t.ID, t.Revision = w.id, d.Revision
	if want, err := json.Marshal(w.new); err == nil && !w.drop && bytes.Equal(want, d.Value) {
		w.err = nil // it was this change
	}
	w.new = t
}

func (l *leaderActor) wrote(c *supervise.Context, m wrote) {
	l.writing--
	switch {
	case m.err == nil:
		l.apply(c, m)
	case m.settled:
		l.respond(c, m.to, m.err)
		m.drop = m.new == nil
		m.to = nil
		if m.old != nil || !m.drop { // as it is stored
			l.apply(c, m)
		}
	default:
		l.respond(c, m.to, m.err)
	}
	waits := l.busy[m.id]
	delete(l.busy, m.id)
	if len(waits) > 0 {
		l.busy[m.id] = waits[1:]
		l.backlog = append([]queued{waits[0]}, l.backlog...)
	}
	for len(l.backlog) > 0 && l.writing < maxWriting {
		next := l.backlog[0]
		l.backlog = l.backlog[1:]
		l.write(c, next)
	}
}

func (l *leaderActor) apply(c *supervise.Context, m wrote) {
	switch {
	case m.drop:
		l.h.drop(m.id)
		if pid := l.h.taskPID(m.id); pid != nil {
			c.Send(pid, cancelRuns{errRemoved})
		}
		l.todo = append(l.todo, supervise.RemoveChild{Name: m.id})
		l.respond(c, m.to, *m.old)
	case m.old == nil:
		l.h.put(m.new)
		l.made[m.id] = answer{m.to, *m.new}
		l.spawn(m.id)
	default:
		l.h.put(m.new)
		l.tell(c, m.id, changed{})
		l.respond(c, m.to, *m.new)
	}
	l.ask(c)
}

func (l *leaderActor) respond(c *supervise.Context, to *actor.PID, answer any) {
	if to != nil {
		c.Send(to, answer)
	}
}

// flip turns the scheduler on or off.
func (l *leaderActor) flip(c *supervise.Context, on bool) {
	to, h := c.Sender(), l.h
	state := h.state()
	if term, _ := h.standing(); term == 0 {
		l.respond(c, to, ErrNotLeading)
		return
	}
	if state.On == on {
		l.respond(c, to, state)
		return
	}
	next := switching{On: on, Since: h.options.Now().UTC()}
	if !l.turning.Start(c, func(ctx context.Context) any {
		text, err := json.Marshal(next)
		if err == nil {
			next.revision, err = h.options.Store.Put(ctx, switchKey, text, state.revision)
		}
		return flipped{to, next, err}
	}) {
		l.respond(c, to, ErrBusy)
	}
}

func (l *leaderActor) flipped(c *supervise.Context, m flipped) {
	if m.err != nil {
		l.respond(c, m.to, fmt.Errorf("writing the switch of the scheduler: %w", m.err))
		return
	}
	l.h.turn(m.state)
	l.tellAll(c, changed{})
	l.respond(c, m.to, m.state)
}
