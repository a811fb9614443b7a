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

// view says how a task is.
func (h *Handle) view(t *Task, now time.Time, book *ledger.Book, onOff switching) View {
	a := book.Of(t.ID)
	v := View{
		Task: *t, Runs: a.Runs, Errors: a.Errors, Skipped: a.Skipped, Missed: a.Missed,
		Active: h.active.of(t.ID), Usual: time.Duration(a.Took) * time.Microsecond, Status: Pending,
	}
	if t.parsed != nil {
		v.Words = t.parsed.Words()
	}
	if last, ok := book.Latest(t.ID); ok {
		at := last.Time()
		if last.Result != nil {
			at = time.UnixMilli(last.Result.Started).UTC()
		}
		v.LastRun = &at
	}
	if last, ok := book.LatestResult(t.ID); ok {
		v.Status = statusOf(last.Result.Outcome)
		v.LastError = last.Result.Error
	}
	switch {
	case v.Active > 0:
		v.Status = Running
	case t.Paused:
		v.Status = Paused
	}
	if at, ok := h.nextRun(t, a.Last, onOff); ok {
		v.NextRun = &at
	}
	return v
}

func statusOf(outcome string) string {
	switch outcome {
	case ledger.Succeeded:
		return Completed
	case ledger.Cancelled:
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

// Task is one task and how it is. Error: ErrNoTask.
func (h *Handle) Task(id string) (View, error) {
	t := h.find(id)
	if t == nil {
		return View{}, ErrNoTask
	}
	_, book := h.standing()
	return h.view(t, h.options.Now(), book, h.state()), nil
}

// Filter narrows a list of tasks; zero values do not.
type Filter struct {
	Status  string
	Service string
	Name    string // a part of it, in any case
}

// Tasks lists tasks in the order in which they were made, after one that was created
// at a time with an id.
func (h *Handle) Tasks(f Filter, after time.Time, id string, limit int) (views []View, more bool) {
	all := h.all()
	_, book := h.standing()
	onOff, now := h.state(), h.options.Now()
	begin := 0
	if id != "" {
		at, found := slices.BinarySearchFunc(all, &Task{CreatedAt: after, ID: id}, byAge)
		if begin = at; found {
			begin++
		}
	}
	part := strings.ToLower(f.Name)
	for _, t := range all[begin:] {
		if f.Service != "" && t.TargetService != f.Service || part != "" && !strings.Contains(strings.ToLower(t.Name), part) {
			continue
		}
		v := h.view(t, now, book, onOff)
		if f.Status != "" && v.Status != f.Status {
			continue
		}
		if len(views) == limit {
			return views, true
		}
		views = append(views, v)
	}
	return views, false
}

// Status counts tasks by how they are.
type Status struct {
	Leads     bool // this process does
	On        bool // schedules fire
	Total     int
	Pending   int
	Running   int
	Completed int
	Failed    int
	Cancelled int
	Paused    int
	Active    int // runs under way or waiting
}

// Status counts the tasks.
func (h *Handle) Status() Status {
	term, book := h.standing()
	s := Status{Leads: term > 0, On: h.state().On, Active: h.active.all()}
	for _, t := range h.all() {
		s.Total++
		status := Pending
		if last, ok := book.LatestResult(t.ID); ok {
			status = statusOf(last.Result.Outcome)
		}
		switch {
		case h.active.of(t.ID) > 0:
			s.Running++
		case t.Paused:
			s.Paused++
		case status == Completed:
			s.Completed++
		case status == Failed:
			s.Failed++
		case status == Cancelled:
			s.Cancelled++
		default:
			s.Pending++
		}
	}
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

// Runs lists the history, newest nominal time first. Error: ErrNoTask.
func (h *Handle) Runs(s Span, limit int) (runs []ledger.Run, more bool, err error) {
	_, book := h.standing()
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
// of each.
func (h *Handle) Upcoming(until time.Time, perTask, tasks int) (all []Coming) {
	_, book := h.standing()
	onOff, now := h.state(), h.options.Now()
	for _, t := range h.all() {
		v := h.view(t, now, book, onOff)
		if v.NextRun == nil || v.NextRun.After(until) {
			continue
		}
		c := Coming{Task: v}
		for at, ok := *v.NextRun, true; ok && !at.After(until); at, ok = t.following(at.Add(-t.delay())) {
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
	return all
}
