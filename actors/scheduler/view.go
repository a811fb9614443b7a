package scheduler

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

// What a task is at.
const (
	Pending   = "pending"   // it has not run yet
	Running   = "running"   // a run is under way, or waits for its turn
	Completed = "completed" // its last run succeeded
	Failed    = "failed"    // its last run did not
	Cancelled = "cancelled" // its last run was cancelled
	Paused    = "paused"    // its schedule is switched off
)

// Statuses are all of them.
func Statuses() []string { return []string{Pending, Running, Completed, Failed, Cancelled, Paused} }

// View is a task and how it is.
type View struct {
	Task
	Status  string
	Words   string     // its schedule in English
	NextRun *time.Time // jitter included; nil: never, or not as it stands
	LastRun *time.Time // when the latest run began
	// LastError is why the latest run failed; empty when it did not.
	LastError    string
	Runs, Errors uint64
	Skipped      uint64
	Missed       uint64
	Active       int           // runs under way or waiting
	Usual        time.Duration // of a run; 0 before the first
}

// view says how a task is, by what the book says of it.
func (h *Handle) view(t *Task, a ledger.Summary, onOff switching) View {
	v := View{
		Task: *t, Runs: a.Runs, Errors: a.Errors, Skipped: a.Skipped, Missed: a.Missed,
		Active: a.Open, Usual: time.Duration(a.Took) * time.Microsecond, Status: t.status(a),
	}
	if t.parsed != nil {
		v.Words = t.parsed.Words()
	}
	if a.Latest.Task != "" {
		at := a.Latest.Time()
		if a.Latest.Result != nil {
			at = time.UnixMilli(a.Latest.Result.Started).UTC()
		}
		v.LastRun = &at
	}
	if a.Ended.Result != nil {
		v.LastError = a.Ended.Result.Error
	}
	if at, ok := h.nextRun(t, a.Last, onOff); ok {
		v.NextRun = &at
	}
	return v
}

// status is what a task is at.
func (t *Task) status(a ledger.Summary) string {
	switch {
	case a.Open > 0:
		return Running
	case t.Paused:
		return Paused
	case a.Ended.Result == nil:
		return Pending
	case a.Ended.Result.Outcome == ledger.Succeeded:
		return Completed
	case a.Ended.Result.Outcome == ledger.Cancelled:
		return Cancelled
	}
	return Failed
}

// nextRun is when the schedule of a task is due next.
func (h *Handle) nextRun(t *Task, last int64, onOff switching) (time.Time, bool) {
	if t.Paused || !onOff.On {
		return time.Time{}, false
	}
	return t.following(latest(time.UnixMilli(last), t.Since, onOff.Since))
}

// following is the first time of a task's schedule after another, jitter included.
func (t *Task) following(after time.Time) (time.Time, bool) {
	if t.parsed == nil {
		return time.Time{}, false
	}
	if t.StartAt != nil && after.Before(*t.StartAt) {
		after = t.StartAt.Add(-time.Nanosecond)
	}
	at := t.parsed.Next(after)
	if at.IsZero() || t.EndAt != nil && !at.Before(*t.EndAt) {
		return time.Time{}, false
	}
	return at.Add(t.delay()).UTC(), true
}

// reading is the book that questions are answered from. Error: ErrNotLeading before
// it was read, and when another node leads, whose book this one does not know.
func (h *Handle) reading() (*ledger.Book, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.term == 0 || h.phase != leading && h.options.Lease.Holder() != "" {
		return nil, ErrNotLeading
	}
	return h.book, nil
}

// Task is one task and how it is. Errors: ErrNoTask, ErrNotLeading.
func (h *Handle) Task(id string) (View, error) {
	book, err := h.reading()
	if err != nil {
		return View{}, err
	}
	t := h.find(id)
	if t == nil {
		return View{}, ErrNoTask
	}
	return h.view(t, book.Of(id), h.state()), nil
}

// Filter narrows a list of tasks; zero values do not.
type Filter struct {
	Status  string
	Service string
	Name    string // a part of it, in any case
}

// Tasks lists tasks in the order in which they were made, after one that was created
// at a time with an id. Error: ErrNotLeading.
func (h *Handle) Tasks(f Filter, after time.Time, id string, limit int) (views []View, more bool, err error) {
	book, err := h.reading()
	if err != nil {
		return nil, false, err
	}
	all, onOff := h.all(), h.state()
	begin := 0
	if id != "" {
		at, found := slices.BinarySearchFunc(all, &Task{CreatedAt: after, ID: id}, byAge)
		if begin = at; found {
			begin++
		}
	}
	part := strings.ToLower(f.Name)
	book.See(func(of func(string) ledger.Summary) {
		for _, t := range all[begin:] {
			if f.Service != "" && t.TargetService != f.Service || part != "" && !strings.Contains(strings.ToLower(t.Name), part) {
				continue
			}
			a := of(t.ID)
			if f.Status != "" && t.status(a) != f.Status {
				continue
			}
			if more = len(views) == limit; more {
				return
			}
			views = append(views, h.view(t, a, onOff))
		}
	})
	return views, more, nil
}

// Status counts tasks by how they are.
type Status struct {
	Leads     bool   // this process does
	Elsewhere string // another node that leads, as far as is known
	On        bool   // schedules fire
	Total     int
	Pending   int
	Running   int
	Completed int
	Failed    int
	Cancelled int
	Paused    int
	Active    int // runs under way or waiting
}

// Leader is another node whose scheduler leads, as far as is known; "" when this one
// does, or none is known to.
func (h *Handle) Leader() string {
	if term, _ := h.standing(); term > 0 {
		return ""
	}
	return h.options.Lease.Holder()
}

// Status counts the tasks. It has an answer when another node leads, too.
func (h *Handle) Status() Status {
	term, book := h.standing()
	s := Status{Leads: term > 0, Elsewhere: h.options.Lease.Holder(), On: h.state().On, Active: book.Open()}
	all := h.all()
	s.Total = len(all)
	count := map[string]*int{
		Pending: &s.Pending, Running: &s.Running, Completed: &s.Completed, Failed: &s.Failed, Cancelled: &s.Cancelled, Paused: &s.Paused,
	}
	book.See(func(of func(string) ledger.Summary) {
		for _, t := range all {
			*count[t.status(of(t.ID))]++
		}
	})
	return s
}

// Span is a part of the history; zero values do not narrow it.
type Span struct {
	Task     string
	Status   string // of RunStatuses
	From, To time.Time
	// Before is where the page before ended: a nominal time in milliseconds since
	// 1970, and a task; 0 begins with the newest.
	Before     int64
	BeforeTask string
}

// What a recorded time is at, beside the outcomes.
const (
	RunSkipped = "skipped"
	RunMissed  = "missed"
	RunActive  = "running"
)

// RunStatuses are all of them.
func RunStatuses() []string { return append(ledger.Outcomes(), RunActive, RunSkipped, RunMissed) }

// RunStatus says what a recorded time is at.
func RunStatus(r ledger.Run) string {
	switch {
	case r.Result != nil:
		return r.Result.Outcome
	case r.Skip == ledger.SkipMissed:
		return RunMissed
	case r.Skip != "":
		return RunSkipped
	}
	return RunActive
}

// Runs lists the history, newest nominal time first. Errors: ErrNoTask, ErrNotLeading.
func (h *Handle) Runs(s Span, limit int) (runs []ledger.Run, more bool, err error) {
	book, err := h.reading()
	if err != nil {
		return nil, false, err
	}
	take := func(r ledger.Run) {
		at := r.Time()
		switch {
		case s.Status != "" && RunStatus(r) != s.Status:
		case !s.From.IsZero() && at.Before(s.From), !s.To.IsZero() && !at.Before(s.To):
		case s.Before != 0 && (r.Nominal > s.Before || r.Nominal == s.Before && r.Task >= s.BeforeTask):
		default:
			runs = append(runs, r)
		}
	}
	if s.Task != "" {
		if h.find(s.Task) == nil {
			return nil, false, ErrNoTask
		}
		for _, r := range book.Runs(s.Task) {
			take(r)
		}
	} else {
		book.Each(take)
	}
	slices.SortFunc(runs, func(a, b ledger.Run) int {
		return cmp.Or(cmp.Compare(b.Nominal, a.Nominal), strings.Compare(b.Task, a.Task))
	})
	if len(runs) > limit {
		return runs[:limit], true, nil
	}
	return runs, false, nil
}

// Name is the name of a task; empty when there is none of that id.
func (h *Handle) Name(id string) string {
	if t := h.find(id); t != nil {
		return t.Name
	}
	return ""
}

// Coming are the next times of one task.
type Coming struct {
	Task  View
	Times []time.Time
	More  bool // there are more within the time asked for
}

// Upcoming lists, for tasks that fire at all, the times until one: at most perTask
// of each. Error: ErrNotLeading.
func (h *Handle) Upcoming(until time.Time, perTask, tasks int) (all []Coming, err error) {
	book, err := h.reading()
	if err != nil {
		return nil, err
	}
	onOff := h.state()
	for _, t := range h.all() {
		a := book.Of(t.ID)
		next, ok := h.nextRun(t, a.Last, onOff)
		if !ok || next.After(until) {
			continue
		}
		c := Coming{Task: h.view(t, a, onOff)}
		for at := next; ok && !at.After(until); at, ok = t.following(at.Add(-t.delay())) {
			if len(c.Times) == perTask {
				c.More = true
				break
			}
			c.Times = append(c.Times, at)
		}
		if all = append(all, c); len(all) == tasks {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b Coming) int { return a.Times[0].Compare(b.Times[0]) })
	return all, nil
}
