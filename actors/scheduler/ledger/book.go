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
	// Open is how many runs have no result yet.
	Open int `json:"-"`
}

// Summary is what the book says of one task at one moment.
type Summary struct {
	// Account is without its history.
	Account
	// Latest is the latest run that has begun or is over, Ended the latest that is
	// over; of no task when there is none.
	Latest, Ended Run
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
	open     int // of all accounts
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
			a.Open++
			b.open++
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
			a.Open--
			b.open--
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

// Retain bounds what is remembered from now on; what is beyond is forgotten.
func (b *Book) Retain(r Retention, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retention = r
	for _, a := range b.accounts {
		b.trim(a, now.UnixMilli())
	}
}

// Open is how many runs of all tasks have no result yet.
func (b *Book) Open() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.open
}

// Of is what the book says of a task; the zero account when it says nothing.
func (b *Book) Of(task string) (s Summary) {
	b.See(func(of func(string) Summary) { s = of(task) })
	return s
}

// See lets look ask about many tasks while the book is locked: everything that it
// sees is of one moment. What it is given is not to be changed.
func (b *Book) See(look func(of func(task string) Summary)) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	look(b.summary)
}

// summary needs the lock.
func (b *Book) summary(task string) Summary {
	a := b.accounts[task]
	if a == nil {
		return Summary{Account: Account{Task: task}}
	}
	s := Summary{Account: *a}
	s.History = nil
	for i := len(a.History) - 1; i >= 0 && s.Ended.Result == nil; i-- {
		run := &a.History[i]
		if s.Latest.Task == "" && run.Skip == "" {
			s.Latest = *run
		}
		if run.Result != nil {
			s.Ended = *run
		}
	}
	return s
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
	b.drop(task)
}

// drop needs the lock.
func (b *Book) drop(task string) {
	if a := b.accounts[task]; a != nil {
		b.open -= a.Open
		delete(b.accounts, task)
	}
}

// Keep drops every task that keep refuses.
func (b *Book) Keep(keep func(task string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for task := range b.accounts {
		if !keep(task) {
			b.drop(task)
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
	b.open = 0
	for _, a := range all {
		b.accounts[a.Task] = &a
		for _, r := range a.History {
			if r.Open() {
				a.Open++
			}
		}
		b.open += a.Open
	}
}
