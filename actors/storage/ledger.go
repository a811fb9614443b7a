package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// ledgerName is the file in Options.Dir that has the operations of this process and
// of those before.
const ledgerName = "storage-operations.json"

// ledgerVersion is the form of that file.
const ledgerVersion = 1

// resumeLimit is how often an operation is taken up again: one that ends the process
// must not end every one after it. resumeWithin is how long after it was left.
const (
	resumeLimit  = 3
	resumeWithin = 7 * 24 * time.Hour
)

// ledgerFile is what the file holds.
type ledgerFile struct {
	Version int `json:"version"`
	// Operations are in the order in which they were asked for.
	Operations []Operation `json:"operations"`
	// Removing is, by operation, what was about to leave the hot store when the file was
	// written: whether it has, the store tells.
	Removing map[string]persistence.Removal `json:"removing,omitempty"`
}

// load reads what the processes before have left. A file that cannot be read is moved
// aside, and named by the health report: what is stored does not depend on it.
func (s *operations) load(dir string) {
	if dir == "" {
		return
	}
	s.file = filepath.Join(dir, ledgerName)
	text, err := os.ReadFile(s.file)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var f ledgerFile
	if err == nil {
		if err = json.Unmarshal(text, &f); err == nil && f.Version != ledgerVersion {
			err = fmt.Errorf("its version is %d, this program knows %d", f.Version, ledgerVersion)
		}
	}
	if err != nil {
		aside := s.file + ".damaged"
		s.fault = fmt.Errorf("the operations of before are not known: %s: %w; it was moved to %s", s.file, err, aside)
		if err := os.Rename(s.file, aside); err != nil {
			s.fault = errors.Join(s.fault, err)
		}
		return
	}
	for _, o := range f.Operations {
		r := recalled(o, time.Now())
		if removing, ok := f.Removing[o.ID]; ok {
			r.removing = &removing
		}
		s.all = append(s.all, r)
	}
}

// recalled is an operation of a process before. One that was left undone is to be
// taken up again, unless the schedule does it anyway.
func recalled(o Operation, now time.Time) *operation {
	if o.Tables == nil {
		o.Tables = []string{}
	}
	if o.ByTable == nil {
		o.ByTable = map[string]int64{}
	}
	r := &operation{now: o, done: make(chan struct{})}
	r.work, r.left = workOf(o, now)
	switch {
	case r.left:
		r.now.State, r.now.Problem, r.now.Finished = OperationQueued, "", time.Time{}
		r.now.Resumed++
		return r
	case !o.Over():
		r.now.State, r.now.Finished = OperationInterrupted, now.UTC()
		r.now.Problem = "the process ended; the next operation goes on from there"
	}
	close(r.done)
	return r
}

// workOf is what an operation was asked to do; again says whether it is to be taken up
// again.
func workOf(o Operation, now time.Time) (w work, again bool) {
	w = work{job: o.Job, age: max(0, now.Sub(o.Cutoff)), scheduled: o.Scheduled}
	for _, table := range o.Tables {
		kind, ok := market.ParseKind(table)
		if !ok {
			return w, false
		}
		w.kinds = append(w.kinds, kind)
	}
	undone := !o.Over() || o.State == OperationInterrupted
	asked := !o.Scheduled && (o.Job == JobArchive || o.Job == JobCleanup)
	return w, undone && asked && o.Resumed < resumeLimit && now.Sub(o.Created) < resumeWithin
}

// resume returns, once, the operations that are to be taken up again.
func (s *operations) resume() (list []*operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.all {
		if o.left {
			o.left = false
			list = append(list, o)
		}
	}
	return list
}

// save writes the file: whole or not at all, synced. It is called without the lock of
// the operations, never by the actor itself. A failure is a matter of the health
// report.
func (s *operations) save() {
	if s.file == "" {
		return
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	f := ledgerFile{Version: ledgerVersion, Removing: map[string]persistence.Removal{}}
	s.mu.Lock()
	for _, o := range s.all {
		now, removing := o.both()
		f.Operations = append(f.Operations, now)
		if removing != nil {
			f.Removing[now.ID] = *removing
		}
	}
	s.mu.Unlock()
	err := writeWhole(s.file, f)
	if err != nil {
		err = fmt.Errorf("operations cannot be noted, and would be forgotten at the next start: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

// health is why operations are not noted; nil when they are.
func (s *operations) health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// writeWhole replaces a file by a document.
func writeWhole(path string, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	half := path + ".tmp"
	f, err := os.OpenFile(half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(half))
	}
	if err := os.Rename(half, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
