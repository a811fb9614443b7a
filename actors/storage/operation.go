package storage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Job is what an operation does.
type Job string

// The jobs.
const (
	// JobArchive copies rows into the cold store.
	JobArchive Job = "archive"
	// JobCleanup removes rows of an age from the hot store that are archived.
	JobCleanup Job = "cleanup"
	// JobRetention applies the limits of the configuration: age and size of the hot
	// store, age of the cold one.
	JobRetention Job = "retention"
	// JobUpkeep joins small files of the cold store, removes those that nothing lists,
	// and compares the checksums of some.
	JobUpkeep Job = "upkeep"
)

// The states of an operation: queued → running → succeeded, failed or interrupted.
const (
	OperationQueued    = "queued"
	OperationRunning   = "running"
	OperationSucceeded = "succeeded"
	OperationFailed    = "failed"
	// OperationInterrupted was ended by the end of the process. The next process takes
	// up again what somebody has asked for, under the same id, and it is queued again;
	// what was scheduled, the next one of its sort goes on with.
	OperationInterrupted = "interrupted"
)

// Operation is one archive or removal of rows: asked for, under way, or over. It
// goes on when whoever asked for it has left.
type Operation struct {
	ID        string           `json:"operation_id"`
	Job       Job              `json:"job" doc:"archive, cleanup (of the hot store, by age), retention (the configured limits) or upkeep (of the cold store's files)"`
	State     string           `json:"state" doc:"queued, running, succeeded, failed or interrupted (by the end of the process)"`
	Scheduled bool             `json:"scheduled" doc:"nobody asked for it"`
	Tables    []string         `json:"tables" doc:"that it is about; empty means all"`
	Cutoff    time.Time        `json:"cutoff_time" doc:"of archive and cleanup: rows that arrived before it are meant"`
	Created   time.Time        `json:"created" doc:"when it was asked for"`
	Started   time.Time        `json:"started,omitzero" doc:"absent before"`
	Finished  time.Time        `json:"finished,omitzero" doc:"absent before"`
	Rows      int64            `json:"rows" doc:"archived or removed so far"`
	Total     int64            `json:"rows_total" doc:"about how many there are to do"`
	Files     int              `json:"files" doc:"of the cold store, that an archive has listed"`
	Bytes     int64            `json:"bytes" doc:"of these files"`
	ByTable   map[string]int64 `json:"by_table" doc:"rows that an archive has listed, by table"`
	Kept      int64            `json:"rows_kept" doc:"rows that a cleanup left, because they are not archived"`
	Resumed   int              `json:"resumed,omitempty" doc:"processes that took it up again; the other counts are of what all of them have done; absent for none"`
	Problem   string           `json:"problem,omitempty" doc:"why it failed, or was interrupted; absent otherwise"`
	// Err is the error behind Problem.
	Err error `json:"-"`
}

// Over reports whether nothing more will come of it.
func (o *Operation) Over() bool { return o.State != OperationQueued && o.State != OperationRunning }

// work is what an operation is asked to do.
type work struct {
	job       Job
	kinds     []market.Kind // none means all
	age       time.Duration
	scheduled bool
}

// covers reports whether who asks for other gets it with w.
func (w work) covers(other work) bool {
	if w.job != other.job || w.job == JobRetention || w.job == JobUpkeep {
		return w.job == other.job
	}
	if w.age > other.age {
		return false
	}
	if len(w.kinds) == 0 {
		return true
	}
	return len(other.kinds) > 0 && !slices.ContainsFunc(other.kinds, func(k market.Kind) bool { return !slices.Contains(w.kinds, k) })
}

// operation is one with those who wait for it.
type operation struct {
	work work
	done chan struct{}
	// left: a process before has left it, and it waits to be taken up again; guarded
	// by operations.mu.
	left bool

	mu  sync.Mutex
	now Operation
	// removing is what was being removed when a process before ended, or is now.
	removing *persistence.Removal
}

func (o *operation) get() Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.now
	c.ByTable, c.Tables = maps.Clone(c.ByTable), slices.Clone(c.Tables)
	return c
}

// both is how it is, and what is being removed for it; the latter is not changed.
func (o *operation) both() (Operation, *persistence.Removal) {
	now := o.get()
	o.mu.Lock()
	defer o.mu.Unlock()
	return now, o.removing
}

func (o *operation) set(change func(*Operation)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.now.Over() {
		change(&o.now)
	}
}

// setRemoving notes what is being removed; nil is nothing.
func (o *operation) setRemoving(r *persistence.Removal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.removing = r
}

// progress takes what an archive has done so far.
func (o *operation) progress(r persistence.ArchiveReport) {
	o.set(func(s *Operation) {
		s.Rows, s.Files, s.Bytes, s.ByTable = r.Rows, r.Files, r.Bytes, r.ByTable
		s.Total = max(s.Total, s.Rows)
	})
}

// finish ends it; an operation ends once. It is noted before those who wait for it
// are told.
func (o *operation) finish(err error, note ...func()) {
	if !o.settle(err) {
		return
	}
	for _, n := range note {
		n()
	}
	close(o.done)
}

// settle says how it ended; false when it had ended before.
func (o *operation) settle(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now.Over() {
		return false
	}
	o.now.State, o.now.Finished = OperationSucceeded, time.Now().UTC()
	if o.now.ByTable == nil {
		o.now.ByTable = map[string]int64{}
	}
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled), errors.Is(err, persistence.ErrClosed):
		o.now.State, o.now.Err = OperationInterrupted, err
		o.now.Problem = "the service was stopped; once it runs again, the operation goes on"
		if o.now.Scheduled {
			o.now.Problem = "the service was stopped; the next operation goes on from there"
		}
	default:
		o.now.State, o.now.Problem, o.now.Err = OperationFailed, err.Error(), err
	}
	return true
}

// operationsKept is how many operations that are over can be asked about.
const operationsKept = 200

// operations are those that can be asked about. They outlive the actor, and the last
// of them the process: see ledger.go.
type operations struct {
	file   string // "" notes nothing
	saving sync.Mutex

	mu    sync.Mutex
	all   []*operation // oldest first
	fault error        // why the file is not up to date
}

func (s *operations) add(w work) (*operation, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("naming an operation: %w", err)
	}
	o := &operation{work: w, done: make(chan struct{}), now: Operation{
		ID: hex.EncodeToString(id[:]), Job: w.job, State: OperationQueued, Scheduled: w.scheduled, Tables: []string{}, ByTable: map[string]int64{},
		Created: time.Now().UTC(), Cutoff: time.Now().Add(-w.age).UTC(),
	}}
	for _, k := range w.kinds {
		o.now.Tables = append(o.now.Tables, k.Table())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, o)
	if len(s.all) > operationsKept {
		i := slices.IndexFunc(s.all, func(o *operation) bool { n := o.get(); return n.Over() })
		if i >= 0 {
			s.all = slices.Delete(s.all, i, i+1)
		}
	}
	return o, nil
}

func (s *operations) find(id string) *operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.all {
		if o.now.ID == id { // it never changes
			return o
		}
	}
	return nil
}

// list returns them, newest first.
func (s *operations) list() []Operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Operation, 0, len(s.all))
	for _, o := range slices.Backward(s.all) {
		list = append(list, o.get())
	}
	return list
}

// interrupt ends what an incarnation of the actor has left.
func (s *operations) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.all {
		if !o.left {
			o.finish(context.Canceled)
		}
	}
}

// ErrNoOperation: there is none of that id. The last 200 are known.
var ErrNoOperation = errors.New("no such operation")

// ErrNoTiers: this node has no cold store.
var ErrNoTiers = errors.New("this node has no cold store")

// Archive begins to copy the rows of kinds (none: all) that arrived more than age
// ago into the cold store, and returns at once. joined says that an archive that
// includes them is under way or waits already, and is it. Errors: ErrNoTiers,
// ErrBusy.
func (h *Handle) Archive(ctx context.Context, kinds []market.Kind, age time.Duration) (o Operation, joined bool, err error) {
	return h.begin(ctx, work{job: JobArchive, kinds: kinds, age: age})
}

// Cleanup begins to remove the rows from the hot store that arrived more than age
// ago and are archived, or all of them where nothing is archived by itself; else as
// Archive.
func (h *Handle) Cleanup(ctx context.Context, age time.Duration) (o Operation, joined bool, err error) {
	return h.begin(ctx, work{job: JobCleanup, age: age})
}

func (h *Handle) begin(ctx context.Context, w work) (Operation, bool, error) {
	if h.options.Tiers == nil {
		return Operation{}, false, ErrNoTiers
	}
	b, err := askAt[begunOperation](ctx, h.lifecycleAt.Load(), beginOperation{w})
	if err == nil && !b.joined { // who is told of it finds it after a crash too
		h.operations.save()
	}
	return b.now, b.joined, err
}

// Operation is how an operation is; ErrNoOperation.
func (h *Handle) Operation(id string) (Operation, error) {
	o := h.operations.find(id)
	if o == nil {
		return Operation{}, fmt.Errorf("%w: %q", ErrNoOperation, id)
	}
	return o.get(), nil
}

// Await waits until an operation is over. When ctx ends before, the operation goes
// on.
func (h *Handle) Await(ctx context.Context, id string) (Operation, error) {
	o := h.operations.find(id)
	if o == nil {
		return Operation{}, fmt.Errorf("%w: %q", ErrNoOperation, id)
	}
	select {
	case <-o.done:
		return o.get(), nil
	case <-ctx.Done():
		return o.get(), ctx.Err()
	}
}

// Operations lists the last operations, of this process and of those before, newest
// first.
func (h *Handle) Operations() []Operation { return h.operations.list() }
