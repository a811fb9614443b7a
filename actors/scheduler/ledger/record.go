package ledger

import (
	"errors"
	"time"
)

// Why a nominal time was recorded.
const (
	CauseSchedule = ""          // it was due
	CauseManual   = "manual"    // somebody asked for it
	CauseCatchUp  = "caught_up" // it was missed, and is made up for
)

// Why no run belongs to a nominal time.
const (
	SkipOverlap = "overlap" // the run before it was still under way
	SkipMissed  = "missed"  // nobody was there in time
	SkipQueue   = "queue"   // too many runs of the task wait already
)

// Fire is one recorded nominal time of a task, or a span of them that were missed.
type Fire struct {
	Task    string `json:"t"`
	Nominal int64  `json:"n"`           // in milliseconds since 1970
	Cause   string `json:"c,omitempty"` // one of the Cause words
	Skip    string `json:"s,omitempty"` // one of the Skip words; empty: a run belongs to it
	// Until and Count are those of a span: its last nominal time, and how many
	// there are from Nominal to it. 0 and 0 for a single one.
	Until int64 `json:"u,omitempty"`
	Count int   `json:"k,omitempty"`
}

// Time is the nominal time.
func (f Fire) Time() time.Time { return time.UnixMilli(f.Nominal).UTC() }

// ID is task@nominal time: what a target tells two runs apart by.
func (f Fire) ID() string { return f.Task + "@" + f.Time().Format(time.RFC3339Nano) }

// Times is how many nominal times it stands for.
func (f Fire) Times() int { return max(f.Count, 1) }

// end is the last nominal time.
func (f Fire) end() int64 { return max(f.Nominal, f.Until) }

// What became of a run.
const (
	Succeeded = "succeeded"
	Failed    = "failed"
	TimedOut  = "timed_out"
	Cancelled = "cancelled"
)

// Outcomes are all of them.
func Outcomes() []string { return []string{Succeeded, Failed, TimedOut, Cancelled} }

// Result is what became of the run of a fire.
type Result struct {
	Task     string `json:"t"`
	Nominal  int64  `json:"n"`           // of the fire, in milliseconds since 1970
	Outcome  string `json:"o"`           // one of Outcomes
	Started  int64  `json:"b"`           // when its first attempt began, in milliseconds since 1970
	Took     int64  `json:"d"`           // in microseconds, waits between attempts included
	Attempts int    `json:"a"`           // that were begun
	Status   int    `json:"h,omitempty"` // the HTTP status of the last attempt; 0 without one
	Answer   string `json:"r,omitempty"` // what the target said at last, cut
	Error    string `json:"e,omitempty"` // why it did not succeed
}

// batch is one message of the stream: fires or results. An empty one marks that a
// process has taken over.
type batch struct {
	Version int      `json:"v"`
	Fence   uint64   `json:"fence"`
	Fires   []Fire   `json:"fires,omitempty"`
	Results []Result `json:"results,omitempty"`
}

// version of the batches and snapshots; another one is refused.
const version = 1

// What appending meets.
var (
	// ErrFenced: another process has taken over. Final for this writer.
	ErrFenced = errors.New("another scheduler has taken over")
	// ErrUnavailable: the ledger cannot be reached, or does not take anything, right
	// now; the same batch is to be tried again.
	ErrUnavailable = errors.New("the ledger of the scheduler cannot be written")
	// ErrConflict: somebody else has written the key since.
	ErrConflict = errors.New("it was changed meanwhile")
	// ErrDamaged: the stream does not hold what it has to.
	ErrDamaged = errors.New("the ledger of the scheduler is damaged")
)
