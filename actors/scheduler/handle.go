package scheduler

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/supervise"
)

// What a command meets, beside the errors of supervise.Ask and of the ledger.
var (
	// ErrNoTask: there is no task of that id.
	ErrNoTask = errors.New("there is no such task")
	// ErrChanged: the task is not at the revision that was named.
	ErrChanged = errors.New("the task was changed meanwhile")
	// ErrNotLeading: the scheduler is starting, or another process leads.
	ErrNotLeading = errors.New("the scheduler does not lead at the moment")
	// ErrBusy: too much of the sort is under way.
	ErrBusy = errors.New("too much is under way already")
	// ErrTooMany: there are as many tasks as are allowed.
	ErrTooMany = errors.New("there are as many tasks as are allowed")

	errStopping = errors.New("the scheduler is stopping")
)

// The branch and its parts.
const (
	branchName = "scheduler"
	tasksID    = supervise.RootID + "/" + branchName + "/task"
)

type ref struct {
	system *supervise.System
	pid    *actor.PID
}

// Handle is how the rest of the program asks the scheduler. It outlives the actors
// and is safe for concurrent use.
type Handle struct {
	options Options
	caller  *caller
	pacer   *pacer
	metrics *metrics
	desk    atomic.Pointer[ref]
	leader  atomic.Pointer[ref]

	mu       sync.RWMutex
	phase    phase
	fault    error // why it does not lead
	unwrit   error // why the last append failed
	term     uint64
	book     *ledger.Book
	onOff    switching
	tasks    map[string]*Task
	sorted   []*Task // by when they were made, and id
	children map[string]*actor.PID
	release  func()
}

// New makes the handle of a branch that starts with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	h := &Handle{options: o, pacer: newPacer(), tasks: map[string]*Task{}, children: map[string]*actor.PID{}, book: ledger.NewBook(o.Config.History.retention()), onOff: switching{On: true}}
	h.caller = newCaller(&h.options)
	for i := range o.Defaults {
		t := o.Defaults[i].withDefaults()
		if err := t.validate(&h.options, time.Unix(0, 0)); err != nil {
			return nil, fmt.Errorf("default task %s: %w", t.ID, err)
		}
	}
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("scheduler metrics: %w", err)
	}
	return h, nil
}

// Spec is the branch "scheduler". It is ready when the leader has read ledger and
// tasks, or has found that it cannot.
func (h *Handle) Spec() supervise.Spec {
	whole := supervise.DefaultStrategy()
	whole.Scope = supervise.RestForOne // what stands on a desk that failed begins anew
	tasks := supervise.DefaultStrategy()
	tasks.Restarts = 1000 // one bad task of many is no reason to stop all
	return supervise.Branch(branchName, whole,
		supervise.Spec{
			Name: "desk", New: func() supervise.Actor { return newDesk(h) }, ShutdownTimeout: 15 * time.Second,
			Mailbox: supervise.Mailbox{Capacity: 4*h.options.Config.MaxTasks + 1024},
		},
		supervise.Branch("task", tasks),
		supervise.Spec{
			Name: "leader", New: func() supervise.Actor { return newLeader(h) }, AwaitReady: true, StartTimeout: 2 * time.Minute,
			Mailbox: supervise.Mailbox{Capacity: 4096},
		},
	)
}

// resizer is a store whose bound can change while it is used.
type resizer interface {
	Resize(ctx context.Context, maxBytes int64) error
}

// Reconfigure takes up what of a configuration can change while tasks run, see
// [LiveSettings]. Runs under way go on as they began.
func (h *Handle) Reconfigure(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("scheduler configuration: %w", err)
	}
	old := h.options.config()
	c.StopTimeout, c.DefaultTasks, c.Replicas, c.LeaseTerm = old.StopTimeout, old.DefaultTasks, old.Replicas, old.LeaseTerm
	if reflect.DeepEqual(*old, c) {
		return nil
	}
	if s, ok := h.options.Store.(resizer); ok && c.LedgerMaxBytes != old.LedgerMaxBytes {
		if err := s.Resize(ctx, c.LedgerMaxBytes); err != nil {
			return fmt.Errorf("resizing the ledger: %w", err)
		}
	}
	h.options.live.Store(&c)
	h.caller.reconfigure()
	_, book := h.standing()
	book.Retain(c.History.retention(), h.options.Now())
	if r := h.leader.Load(); r != nil {
		// One that cannot be told is being started anew, and reads it then.
		if err := r.system.Tell(r.pid, reconfigured{}); errors.Is(err, supervise.ErrMailboxFull) {
			return fmt.Errorf("telling the tasks: %w", err)
		}
	}
	return nil
}

// Close ends idle connections, once the branch has stopped.
func (h *Handle) Close() { h.caller.close() }

// Health is why the scheduler does not work; nil when it does, and when another node
// leads and this one stands by.
func (h *Handle) Health() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.phase == waiting && h.fault == nil && h.options.Lease.Holder() != "":
		return nil
	case h.phase != leading && h.fault != nil:
		return fmt.Errorf("the scheduler is %v: %w", h.phase, h.fault)
	case h.phase != leading:
		return fmt.Errorf("the scheduler is %v", h.phase)
	}
	return h.unwrit
}

// Create makes a task. Errors: *InvalidError, ErrTooMany.
func (h *Handle) Create(ctx context.Context, t Task) (Task, error) {
	t = t.withDefaults()
	t.ID = strings.ToLower(rand.Text()[:16])
	t.Revision = 0
	if err := t.validate(&h.options, h.options.Now()); err != nil {
		return Task{}, err
	}
	h.mu.RLock()
	n := len(h.tasks)
	h.mu.RUnlock()
	if n >= h.options.config().MaxTasks {
		return Task{}, ErrTooMany
	}
	return h.edit(ctx, change{id: t.ID, edit: func(now time.Time, _ *Task) (*Task, error) {
		t.CreatedAt, t.UpdatedAt, t.Since = now, now, now
		return &t, nil
	}})
}

// Update changes a task: edit gets a copy. revision is the one that it must have, 0
// any. Errors: ErrNoTask, ErrChanged, *InvalidError.
func (h *Handle) Update(ctx context.Context, id string, revision uint64, edit func(t *Task) error) (Task, error) {
	return h.edit(ctx, change{id: id, edit: func(now time.Time, old *Task) (*Task, error) {
		if err := standsAt(old, revision); err != nil {
			return nil, err
		}
		t := *old
		if err := edit(&t); err != nil {
			return nil, err
		}
		t = t.withDefaults()
		t.ID, t.CreatedAt, t.Revision, t.UpdatedAt = old.ID, old.CreatedAt, old.Revision, now
		if err := t.validate(&h.options, now); err != nil {
			return nil, err
		}
		if t.Cron != old.Cron || t.Timezone != old.Timezone || old.Paused && !t.Paused {
			t.Since = now // what was due before is of another schedule, or of a pause
		}
		return &t, nil
	}})
}

// Pause stops or resumes the schedule of a task. Runs under way go on. Errors: as of
// Update.
func (h *Handle) Pause(ctx context.Context, id string, revision uint64, paused bool) (Task, error) {
	return h.Update(ctx, id, revision, func(t *Task) error {
		t.Paused = paused
		return nil
	})
}

// Delete removes a task and cancels what of it is under way. Errors: ErrNoTask,
// ErrChanged.
func (h *Handle) Delete(ctx context.Context, id string, revision uint64) error {
	_, err := h.edit(ctx, change{id: id, drop: true, edit: func(_ time.Time, old *Task) (*Task, error) {
		return nil, standsAt(old, revision)
	}})
	return err
}

func standsAt(old *Task, revision uint64) error {
	switch {
	case old == nil:
		return ErrNoTask
	case revision != 0 && old.Revision != revision:
		return ErrChanged
	}
	return nil
}

func (h *Handle) edit(ctx context.Context, c change) (Task, error) {
	t, err := ask[Task](ctx, h.leader.Load(), c)
	if errors.Is(err, ledger.ErrConflict) {
		return Task{}, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return t, err
}

func ask[T any](ctx context.Context, r *ref, message any) (T, error) {
	if r == nil {
		var zero T
		return zero, supervise.ErrStopped
	}
	return supervise.Ask[T](ctx, r.system, r.pid, message)
}

// Run runs a task now, whatever its schedule and the switch say; while another run of
// it is under way it waits for that, unless the task allows or replaces it. It
// returns once the fire is recorded. Errors: ErrNoTask, ErrBusy, ErrNotLeading.
func (h *Handle) Run(ctx context.Context, id string) (ledger.Fire, error) {
	return askTask[ledger.Fire](ctx, h, id, runNow{})
}

// Cancel stops the runs of a task that are under way and those that wait, and returns
// how many that were. Errors: ErrNoTask.
func (h *Handle) Cancel(ctx context.Context, id string) (int, error) {
	n, err := askTask[cancelled](ctx, h, id, cancelRuns{errCancelled})
	return n.n, err
}

func askTask[T any](ctx context.Context, h *Handle, id string, message any) (T, error) {
	var zero T
	if _, err := h.reading(); err != nil {
		return zero, err
	}
	if h.find(id) == nil {
		return zero, ErrNoTask
	}
	pid, leader := h.taskPID(id), h.leader.Load()
	if pid == nil || leader == nil {
		return zero, ErrNotLeading
	}
	return supervise.Ask[T](ctx, leader.system, pid, message)
}

// Start lets schedules fire, Stop keeps them from it; times in between are not missed.
// Both outlive a restart.
func (h *Handle) Start(ctx context.Context) error { return h.flip(ctx, true) }

// Stop keeps schedules from firing. Runs under way go on.
func (h *Handle) Stop(ctx context.Context) error { return h.flip(ctx, false) }

func (h *Handle) flip(ctx context.Context, on bool) error {
	_, err := ask[switching](ctx, h.leader.Load(), flip{on})
	return err
}

// What the actors share.

func (h *Handle) setPhase(p phase, fault error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.fault = p, fault
}

func (h *Handle) setWritable(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unwrit = err
}

// lead begins a term and returns its number.
func (h *Handle) lead(m led) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.term++
	h.phase, h.fault, h.unwrit, h.book, h.onOff = leading, nil, nil, m.book, m.onOff
	h.tasks = make(map[string]*Task, len(m.tasks))
	for _, t := range m.tasks {
		t.publish()
		h.tasks[t.ID] = t
	}
	h.sorted = slices.SortedFunc(slices.Values(m.tasks), byAge)
	return h.term
}

// standing is the present term, 0 when this process does not lead, and its book.
func (h *Handle) standing() (uint64, *ledger.Book) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.phase != leading {
		return 0, h.book
	}
	return h.term, h.book
}

// hold keeps what gives the lease back.
func (h *Handle) hold(release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release = release
}

// giveUp gives the lease back.
func (h *Handle) giveUp() {
	h.mu.Lock()
	release := h.release
	h.release = nil
	h.mu.Unlock()
	if release != nil {
		release()
	}
}

func (h *Handle) state() switching {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.onOff
}

func (h *Handle) switched() (on bool, since time.Time) {
	s := h.state()
	return s.On, s.Since
}

func (h *Handle) turn(s switching) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onOff = s
}

func (h *Handle) find(id string) *Task {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.tasks[id]
}

func byAge(a, b *Task) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
}

// put makes t the task of its id. The sorted list is replaced, never changed: readers
// hold it without a lock.
func (h *Handle) put(t *Task) {
	t.publish()
	h.mu.Lock()
	defer h.mu.Unlock()
	at, found := slices.BinarySearchFunc(h.sorted, t, byAge)
	next := make([]*Task, 0, len(h.sorted)+1)
	next = append(next, h.sorted[:at]...)
	next = append(next, t)
	if found {
		at++
	}
	h.sorted = append(next, h.sorted[at:]...)
	h.tasks[t.ID] = t
}

func (h *Handle) drop(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tasks, id)
	h.sorted = slices.DeleteFunc(slices.Clone(h.sorted), func(t *Task) bool { return t.ID == id })
	h.book.Forget(id)
}

func (h *Handle) all() []*Task {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sorted
}

func (h *Handle) taskPID(id string) *actor.PID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.children[id]
}

func (h *Handle) noteChild(id string, pid *actor.PID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case pid != nil:
		h.children[id] = pid
	case h.tasks[id] == nil:
		delete(h.children, id)
	}
}

func (h *Handle) spawnedTasks() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	ids := make([]string, 0, len(h.children))
	for id := range h.children {
		ids = append(ids, id)
	}
	return ids
}
