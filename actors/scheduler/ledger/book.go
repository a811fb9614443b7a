package ledger

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Run is a fire and, once there is one, its result.
type Run struct {
	Fire
	Result *Result `json:"result,omitempty"`
}

// Open says that a run belongs to the fire, and that it has no result yet.
func (r Run) Open() bool { return r.Skip == "" && r.Result == nil }

// Account is what the ledger says of one task.
type Account struct {
	Task string `json:"t"`
	// Last is the latest nominal time of its schedule, in milliseconds since 1970.
	Last int64 `json:"l"`
	// Runs counts fires that a run belongs to, Errors those that did not succeed and
	// were not cancelled, Skipped and Missed the nominal times without a run.
	Runs    uint64 `json:"runs"`
	Errors  uint64 `json:"errors"`
	Skipped uint64 `json:"skipped"`
	Missed  uint64 `json:"missed"`
	// Took is the usual duration of a run in microseconds, later ones weighing more;
	// 0 before the first.
	Took int64 `json:"took"`
	// History is what is remembered one by one, oldest first. Open runs always are.
	History []Run `json:"history"`
}

// Retention bounds what a book remembers one by one.
type Retention struct {
	Count int           // of a task; at least 1
	Total int           // of all tasks together; each keeps its share, at least 5
	Age   time.Duration // 0: no bound
}

// minShare is what every task keeps however many there are.
const minShare = 5

// Book is what the ledger adds up to. It is safe for concurrent use; the writer's
// owner alone applies to it.
type Book struct {
	retention Retention

	mu       sync.RWMutex
	accounts map[string]*Account
}

// NewBook is an empty book.
func NewBook(r Retention) *Book { return &Book{retention: r, accounts: map[string]*Account{}} }

// share is how many runs a task may keep; it needs the lock.
func (b *Book) share() int {
	return min(b.retention.Count, max(minShare, b.retention.Total/max(len(b.accounts), 1)))
}

// account needs the lock.
func (b *Book) account(task string) *Account {
	a := b.accounts[task]
	if a == nil {
		a = &Account{Task: task}
		b.accounts[task] = a
	}
	return a
}

// Fired applies fires that are in the ledger.
func (b *Book) Fired(fires []Fire) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range fires {
		a := b.account(f.Task)
		if f.Cause != CauseManual {
			a.Last = max(a.Last, f.end())
		}
		switch f.Skip {
		case "":
			a.Runs++
		case SkipMissed:
			a.Missed += uint64(f.Times())
		default:
			a.Skipped++
		}
		a.History = append(a.History, Run{Fire: f})
		b.trim(a, f.end())
	}
}

// Finished applies results that are in the ledger. One of a fire that nobody knows
// any more changes nothing.
func (b *Book) Finished(results []Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range results {
		a := b.accounts[r.Task]
		if a == nil {
			continue
		}
		for i := len(a.History) - 1; i >= 0; i-- {
			run := &a.History[i]
			if run.Nominal != r.Nominal || !run.Open() {
				continue
			}
			run.Result = &r
			if r.Outcome == Failed || r.Outcome == TimedOut {
				a.Errors++
			}
			if a.Took == 0 {
				a.Took = r.Took
			} else {
				a.Took += (r.Took - a.Took) / 4
			}
			b.trim(a, r.Started)
			break
		}
	}
}

// trim forgets what is beyond the retention; open runs stay. It needs the lock.
func (b *Book) trim(a *Account, now int64) {
	share := b.share()
	oldest := int64(0)
	if b.retention.Age > 0 {
		oldest = now - b.retention.Age.Milliseconds()
	}
	if len(a.History) <= share && (len(a.History) == 0 || a.History[0].end() >= oldest) {
		return
	}
	excess := len(a.History) - share
	kept := a.History[:0]
	for _, r := range a.History {
		if !r.Open() && (excess > 0 || r.end() < oldest) {
			excess--
			continue
		}
		kept = append(kept, r)
	}
	clear(a.History[len(kept):])
	a.History = kept
}

// Of is what the book says of a task, without its history; the zero account when it
// says nothing.
func (b *Book) Of(task string) Account {
	b.mu.RLock()
	defer b.mu.RUnlock()
	a := b.accounts[task]
	if a == nil {
		return Account{Task: task}
	}
	summary := *a
	summary.History = nil
	return summary
}

// Latest is the task's latest run that has begun or is over; false when there is
// none.
func (b *Book) Latest(task string) (Run, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if a := b.accounts[task]; a != nil {
		for i := len(a.History) - 1; i >= 0; i-- {
			if a.History[i].Skip == "" {
				return a.History[i], true
			}
		}
	}
	return Run{}, false
}

// LatestResult is the task's latest run that is over; false when there is none.
func (b *Book) LatestResult(task string) (Run, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if a := b.accounts[task]; a != nil {
		for i := len(a.History) - 1; i >= 0; i-- {
			if a.History[i].Result != nil {
				return a.History[i], true
			}
		}
	}
	return Run{}, false
}

// Runs lists what is remembered of a task, newest first.
func (b *Book) Runs(task string) []Run {
	b.mu.RLock()
	defer b.mu.RUnlock()
	a := b.accounts[task]
	if a == nil {
		return nil
	}
	runs := slices.Clone(a.History)
	slices.Reverse(runs)
	return runs
}

// Each calls see with everything that is remembered, task by task, while the book is
// locked.
func (b *Book) Each(see func(Run)) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, a := range b.accounts {
		for _, r := range a.History {
			see(r)
		}
	}
}

// Unfinished lists the fires of a task whose run has no result, oldest first.
func (b *Book) Unfinished(task string) (fires []Fire) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if a := b.accounts[task]; a != nil {
		for _, r := range a.History {
			if r.Open() {
				fires = append(fires, r.Fire)
			}
		}
	}
	return fires
}

// Forget drops a task.
func (b *Book) Forget(task string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.accounts, task)
}

// Keep drops every task that keep refuses.
func (b *Book) Keep(keep func(task string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for task := range b.accounts {
		if !keep(task) {
			delete(b.accounts, task)
		}
	}
}

// accountsNow copies the book, in the order of tasks.
func (b *Book) accountsNow() []Account {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]Account, 0, len(b.accounts))
	for _, a := range b.accounts {
		copied := *a
		copied.History = slices.Clone(a.History)
		all = append(all, copied)
	}
	slices.SortFunc(all, func(a, b Account) int { return cmp.Compare(a.Task, b.Task) })
	return all
}

// restore replaces the book.
func (b *Book) restore(all []Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts = make(map[string]*Account, len(all))
	for _, a := range all {
		b.accounts[a.Task] = &a
	}
}
